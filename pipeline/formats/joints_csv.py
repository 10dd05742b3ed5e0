"""CSV: every joint as it is, in metres in the site world, at the clip's own times."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.pipeline.formats.base import Take
from mocap_video.skeletons import COCO17, SMPL24, Skeleton


def write_joints_csv(take: Take, path: Path) -> None:
    """Write one row per frame: frame, time_s, seen (0 or 1), then x, y, z of every joint in metres, site world.

    Columns are ``<skeleton>_<joint>_<axis>_m``, first COCO-17 as lifted (``coco17_nose_x_m``), then the fitted body's
    SMPL-24 joints (``smpl24_pelvis_x_m``).
    """
    record = take.record
    positions = np.concatenate([record.joints_world, record.smpl_joints_world], 1).reshape(len(record.frame), -1)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["frame", "time_s", "seen", *_columns(COCO17), *_columns(SMPL24)])
        for i, row in enumerate(positions):
            numbers = (f"{value:.4f}" for value in row)
            writer.writerow([record.frame[i], f"{record.time_s[i]:.6f}", int(record.seen[i]), *numbers])


def _columns(skeleton: Skeleton) -> list[str]:
    return [f"{skeleton.name}_{joint}_{axis}_m" for joint in skeleton.names for axis in "xyz"]
