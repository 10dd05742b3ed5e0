"""Results in other programs' formats: the table of them, and what is written for a results folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mocap_video.artifacts import storage_errors
from mocap_video.errors import ArtifactError, ConfigError, NoPersonError
from mocap_video.lifter.body import GENDERS, BodyModel, load_body
from mocap_video.pipeline.formats import amass, bvh, c3d, glb, joints_csv, trc, usd
from mocap_video.pipeline.formats.base import Performer, PersonFormat, SceneFormat, Take
from mocap_video.pipeline.results import person_files, read_person

EXPORTERS: Mapping[str, PersonFormat | SceneFormat] = {
    "bvh": PersonFormat(bvh.write_bvh),
    "glb": SceneFormat(glb.write_glb),
    "csv": PersonFormat(joints_csv.write_joints_csv),
    "trc": PersonFormat(trc.write_trc),
    "c3d": PersonFormat(c3d.write_c3d, c3d.NEEDS),
    "npz": PersonFormat(amass.write_amass),
    "usd": SceneFormat(usd.write_usd, usd.NEEDS),
}
"""Every format by name, which is also the suffix of its files."""

_RUN_AGAIN = "Run `mocap-video run` on the clip again to write it anew."


def check_formats(formats: Sequence[str]) -> None:
    """Raise ``ConfigError`` for a format that does not exist, ``MissingExtra`` for one whose package is not there."""
    unknown = [name for name in formats if name not in EXPORTERS]
    if unknown or not formats:
        asked = ", ".join(unknown) or "none"
        raise ConfigError(f"export format: expected one or more of {', '.join(EXPORTERS)}, got {asked}.")
    for name in formats:
        need = EXPORTERS[name].need
        if need is not None:
            need.check()


def export(folder: Path, formats: Sequence[str], *, body: BodyModel | None = None) -> list[Path]:
    """Write the people of the results ``folder`` in each of ``formats``; return the files.

    A format of one person a file gives export/NNN.FORMAT, one of everybody export/scene.FORMAT; files of people whom
    an earlier run found are removed. ``body``: the one that they wear, where it is not one that ships.
    """
    check_formats(formats)
    sources = person_files(folder)
    if not sources:
        if not (folder / "report.json").is_file():
            raise ArtifactError(f"{folder}: not a results folder: it has no people/*.npz. Give the -o folder of a run.")
        raise NoPersonError(f"{folder}: nothing to export: the run found no person.")
    up = _up_of(folder)
    places = {name: _targets(folder / "export", name, sources) for name in dict.fromkeys(formats)}
    alone = {name: chosen for name in places if isinstance(chosen := EXPORTERS[name], PersonFormat)}
    together = {name: chosen for name in places if isinstance(chosen := EXPORTERS[name], SceneFormat)}
    takes = (Take(int(source.stem), read_person(source), source, up) for source in sources)
    everyone = tuple(takes) if together else ()  # else one at a time: hours of everyone fill the memory
    for number, take in enumerate(everyone or takes):
        for name, chosen in alone.items():
            chosen.write(take, places[name][number])
    if together:
        performers = _performers(everyone, body)
        for name, chosen in together.items():
            chosen.write(performers, places[name][0])
    for name, targets in places.items():
        _remove_others(folder / "export", name, targets)
    return [target for targets in places.values() for target in targets]


def _targets(folder: Path, name: str, sources: Sequence[Path]) -> list[Path]:
    """Return the files that the people of ``sources`` are exported to: one of everybody, or one for each."""
    if isinstance(EXPORTERS[name], SceneFormat):
        return [folder / f"scene.{name}"]
    return [folder / f"{source.stem}.{name}" for source in sources]


def _up_of(folder: Path) -> np.ndarray:
    """Return the upward direction ``(3)`` of the site world that the results in ``folder`` are in."""
    report = folder / "report.json"
    try:
        up = np.array(json.loads(report.read_text(encoding="utf-8"))["calibration"]["up"], dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{report}: expected a report that says which way is up, got none ({type(error).__name__}). {_RUN_AGAIN}"
        ) from error
    if up.shape != (3,) or not abs(np.linalg.norm(up) - 1) < 1e-6:
        raise ArtifactError(f"{report}: calibration.up: expected a unit vector, got {up.tolist()}. {_RUN_AGAIN}")
    return up


def _performers(takes: Sequence[Take], given: BodyModel | None) -> tuple[Performer, ...]:
    """Return ``takes`` with the body that each was fitted with: the one ``given``, or one that ships."""
    genders = {take.record.gender for take in takes}
    known = [given] if given else [load_body(gender) for gender in GENDERS if gender in genders]
    bodies = {f"{body.name} {body.digest}": body for body in known}
    for take in takes:
        if take.record.body_model not in bodies:
            raise ArtifactError(
                f"{take.source}: was fitted with the body {take.record.body_model}, which is not "
                f"{'the one given' if given else 'one that ships with this version'}. Give its file with --smpl-model, "
                "or run the clip again."
            )
    return tuple(Performer(take, bodies[take.record.body_model]) for take in takes)


def _remove_others(folder: Path, name: str, kept: Sequence[Path]) -> None:
    """Remove exports in the format ``name`` of people who are no longer there."""
    pattern = re.compile(rf"\d{{3,}}\.{name}")
    for path in folder.iterdir():
        if pattern.fullmatch(path.name) and path not in kept:
            with storage_errors(path):
                path.unlink()
