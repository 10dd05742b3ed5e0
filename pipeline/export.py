"""Results in other programs' formats. A format is a function of one person's record and a path, named in a table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.errors import ArtifactError, ConfigError, NoPersonError
from mocap_video.pipeline.results import PersonRecord, person_files, read_person
from mocap_video.skeletons import COCO17, SMPL24, Skeleton

Exporter = Callable[[PersonRecord, Path], None]


def export(folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write every person of the results ``folder`` to export/NNN.FORMAT in each of ``formats``; return the files."""
    unknown = [name for name in formats if name not in EXPORTERS]
    if unknown or not formats:
        asked = ", ".join(unknown) or "none"
        raise ConfigError(f"export format: expected one or more of {', '.join(sorted(EXPORTERS))}, got {asked}.")
    people = person_files(folder)
    if not people:
        if not (folder / "report.json").is_file():
            raise ArtifactError(f"{folder}: not a results folder: it has no people/*.npz. Give the -o folder of a run.")
        raise NoPersonError(f"{folder}: nothing to export: the run found no person.")
    written = []
    for source in people:
        record = read_person(source)
        for name in dict.fromkeys(formats):
            target = folder / "export" / f"{source.stem}.{name}"
            EXPORTERS[name](record, target)
            written.append(target)
    return written


def write_joints_csv(record: PersonRecord, path: Path) -> None:
    """Write one row per frame: frame, time_s, seen (0 or 1), then x, y, z of every joint in metres, site world.

    Columns are ``<skeleton>_<joint>_<axis>_m``, first COCO-17 as lifted (``coco17_nose_x_m``), then the fitted body's
    SMPL-24 joints (``smpl24_pelvis_x_m``).
    """
    positions = np.concatenate([record.joints_world, record.smpl_joints_world], 1).reshape(len(record.frame), -1)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["frame", "time_s", "seen", *_columns(COCO17), *_columns(SMPL24)])
        for i, row in enumerate(positions):
            numbers = (f"{value:.4f}" for value in row)
            writer.writerow([record.frame[i], f"{record.time_s[i]:.6f}", int(record.seen[i]), *numbers])


def _columns(skeleton: Skeleton) -> list[str]:
    return [f"{skeleton.name}_{joint}_{axis}_m" for joint in skeleton.names for axis in "xyz"]


EXPORTERS: Mapping[str, Exporter] = {"csv": write_joints_csv}
