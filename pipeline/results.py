"""The files of a results folder but for the videos: people/NNN.npz, people.csv and report.json.

Each file appears whole or not at all, and report.json comes last: where it lies, the rest is there.
"""

from __future__ import annotations

import csv
import dataclasses
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

import mocap_video
from mocap_video.artifacts import NPZ_FAULTS, atomic_write, storage_errors
from mocap_video.calib.checks import summarize
from mocap_video.calib.geometry import project
from mocap_video.errors import ArtifactError
from mocap_video.pipeline import measures
from mocap_video.pipeline.cast import Cast
from mocap_video.pipeline.npz import open_npz
from mocap_video.pipeline.plain_json import strict_json
from mocap_video.pipeline.stages import StageRecord
from mocap_video.pipeline.trust import CONTEXT_S, FLAGS, Trust, assess
from mocap_video.skeletons import COCO17
from mocap_video.stretches import Course
from mocap_video.types import Calibration, ClipResult, Person

REPORT_VERSION = 1
CSV_HEADER = ("time_s", "person", "x", "y", "z", "speed", "contact", "trust", "flags", "clock")

_PERSON_FILE = re.compile(r"(\d{3,})\.npz")
_CONTACT_NAMES = {(False, False): "none", (True, False): "left", (False, True): "right", (True, True): "both"}

_QUALITY_ROWS = 4096
"""At most so many of a person's frames, evenly spread, go into the figures of report.json."""

_LEAST_ROWS = 2
"""A slow video's speeds reach over so many frames, however long they last."""

_T = -1  # stands for the number of frames
_LAYOUT: dict[str, tuple[str, tuple[int, ...]]] = {
    "frame": ("int64", (_T,)),
    "time_s": ("float64", (_T,)),
    "seen": ("bool", (_T,)),
    "keypoints2d": ("float64", (_T, 17, 3)),
    "joints_world": ("float64", (_T, 17, 3)),
    "spread_m": ("float64", (_T, 17)),
    "smpl_joints_world": ("float64", (_T, 24, 3)),
    "poses": ("float64", (_T, 72)),
    "betas": ("float64", (10,)),
    "trans": ("float64", (_T, 3)),
    "gender": ("str", ()),
    "mocap_framerate": ("float64", ()),
    "body_model": ("str", ()),
    "residual_m": ("float64", (_T,)),
}


@dataclass(frozen=True)
class PersonRecord:
    """What people/NNN.npz holds, name by name; T frames where the person is seen or bridged.

    ``frame (T)`` counts from 0 over the video, ``time_s (T)`` s from its first frame; ``seen (T)`` is False where the
    frame is bridged. ``keypoints2d (T,17,3)``: x and y in px of the original image, and score (NaN, NaN, 0 where
    missing). ``joints_world (T,17,3)`` COCO-17 and ``smpl_joints_world (T,24,3)`` in metres, site world;
    ``spread_m (T,17)`` error to expect of the lifted joints. ``poses (T,72)`` rotation vectors in rad, global
    orientation first, ``trans (T,3)`` m: in the site world's axes. ``betas (10)``, ``gender`` and ``body_model`` (name
    and sha256) say which body; ``residual_m (T)`` its distance from the lifted joints. ``mocap_framerate`` is nominal.
    """

    frame: np.ndarray
    time_s: np.ndarray
    seen: np.ndarray
    keypoints2d: np.ndarray
    joints_world: np.ndarray
    spread_m: np.ndarray
    smpl_joints_world: np.ndarray
    poses: np.ndarray
    betas: np.ndarray
    trans: np.ndarray
    gender: str
    mocap_framerate: float
    body_model: str
    residual_m: np.ndarray

    def __post_init__(self) -> None:
        for name, (kind, shape) in _LAYOUT.items():
            value = np.asarray(getattr(self, name))
            expected = tuple(len(self.frame) if side == _T else side for side in shape)
            fits_kind = value.dtype.kind == "U" if kind == "str" else value.dtype == np.dtype(kind)
            if value.shape != expected or not fits_kind:
                raise ValueError(f"{name}: expected {kind} {expected}, got {value.dtype} {value.shape}")


def person_record(person: Person, *, framerate: float, body_model: str) -> PersonRecord:
    """Return the record of a COCO-17 ``person``; ``framerate`` in Hz; ``body_model``: name and sha256 of the file."""
    keypoints, motion, body = person.keypoints, person.motion, person.body
    for part in (keypoints, motion):
        if part.skeleton != COCO17.name:
            raise ValueError(f"{type(part).__name__}.skeleton: expected {COCO17.name}, got {part.skeleton}")
    rotations = np.concatenate([body.global_orient[:, None], body.body_pose], 1)
    return PersonRecord(
        frame=keypoints.frames.astype(np.int64),
        time_s=keypoints.time_s.astype(float),
        seen=keypoints.seen.astype(bool),
        keypoints2d=np.concatenate([keypoints.xy, keypoints.score[..., None]], -1).astype(float),
        joints_world=motion.joints.astype(float),
        spread_m=motion.spread.astype(float),
        smpl_joints_world=body.joints.astype(float),
        poses=rotations.reshape(len(rotations), -1).astype(float),
        betas=body.betas.astype(float),
        trans=body.transl.astype(float),
        gender=body.gender,
        mocap_framerate=float(framerate),
        body_model=body_model,
        residual_m=body.residual.astype(float),
    )


def write_person(record: PersonRecord, path: Path) -> None:
    """Write people/NNN.npz: plain numpy arrays under the names of ``PersonRecord``, no pickles."""
    write_person_parts([record], path)


def write_person_parts(records: Iterable[PersonRecord], path: Path) -> None:
    """Write people/NNN.npz of one person from ``records`` of the person's rows, one after another; what holds for all
    rows is that of the last.
    """
    with open_npz(path) as npz:
        for record in records:
            arrays = {name: np.asarray(getattr(record, name)) for name in _LAYOUT}
            npz.append({name: array for name, array in arrays.items() if _T in _LAYOUT[name][1]})
            npz.put({name: array for name, array in arrays.items() if _T not in _LAYOUT[name][1]})


def read_person(path: Path) -> PersonRecord:
    """Return what ``write_person`` wrote; ``ArtifactError`` for a file that is anything else."""
    advice = "Run `mocap-video run` on the clip again to write it anew."
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in _LAYOUT}
        for name, (_, shape) in _LAYOUT.items():
            if shape == () and arrays[name].shape == ():
                arrays[name] = arrays[name].item()
        return PersonRecord(**arrays)
    except KeyError as error:
        raise ArtifactError(f"{path}: not a person's file: {error.args[0]}. {advice}") from error
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file. Check the path.") from error
    except (*NPZ_FAULTS, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: expected a person's file (npz): {error}. {advice}") from error


def person_files(folder: Path) -> list[Path]:
    """Return the files of people in the results ``folder``, by number."""
    found = {path: _PERSON_FILE.fullmatch(path.name) for path in (folder / "people").glob("*.npz")}
    return sorted((path for path, match in found.items() if match), key=lambda path: int(path.stem))


def write_results(
    folder: Path,
    result: ClipResult,
    *,
    body_model: str,
    stages: Sequence[StageRecord],
    warnings: Sequence[str],
    began: datetime | None = None,
    skipped_s: Sequence[tuple[float, float]] = (),
) -> None:
    """Write people/NNN.npz, people.csv and report.json into ``folder``, and remove the people of an earlier run.

    ``began``: the wall clock at the video's first frame, None where it is not known. ``skipped_s``: from when to when,
    s, nobody was looked for. People are read and written a piece at a time.
    """
    report = folder / "report.json"
    with storage_errors(report):
        report.unlink(missing_ok=True)  # what an earlier run reported is not true of a half-rewritten folder
    cast = Cast.of(result.people)
    rate = float(result.video.rate)
    written = {folder / "people" / f"{course.person:03d}.npz": course for course in cast.courses}
    for path, course in written.items():
        parts = (cast.rows(course, *course.rows_in(piece)) for piece in course.pieces)
        write_person_parts((person_record(part, framerate=rate, body_model=body_model) for part in parts), path)
    for path in person_files(folder):
        if path not in written:
            with storage_errors(path):
                path.unlink()
    write_people_csv(result, folder / "people.csv", began)
    with atomic_write(report) as partial:
        told = _report(result, stages, warnings, began, skipped_s)
        partial.write_text(strict_json(told), encoding="utf-8")


def write_people_csv(result: ClipResult, path: Path, began: datetime | None = None) -> None:
    """Write one row per person and frame under ``CSV_HEADER``.

    x, y, z: the root (mid-hip) as lifted, m, site world; speed along the ground, m/s, over 0.3 s, empty where a frame
    stands alone; contact: none, left, right or both feet; trust 0 to 1; flags: ids of ``trust.FLAGS`` with
    ``;`` between them. How they are found: ``measures`` and ``trust``. clock: the wall clock, ISO 8601, where ``began``
    says what it was at the video's first frame; empty elsewhere.
    """
    cast = Cast.of(result.people)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        for course in cast.courses:
            for piece in course.pieces:
                first, stop = course.rows_in(piece)
                start, end = _with_neighbours(course, first, stop)
                rows = _csv_rows(cast.rows(course, start, end), result.calibration)
                for time_s, row in zip(course.time_s[first:stop], rows[first - start : stop - start], strict=True):
                    writer.writerow([*row, clock_at(began, time_s)])


def _with_neighbours(course: Course, first: int, stop: int) -> tuple[int, int]:
    """Return the rows that decide what is told of rows ``first`` to before ``stop``."""
    times = course.time_s[[first, stop - 1]] + np.array([-1, 1]) * max(measures.REACH_S, CONTEXT_S)
    start, end = np.searchsorted(course.time_s, times)
    return max(0, min(int(start), first - _LEAST_ROWS)), min(len(course), max(int(end), stop + _LEAST_ROWS))


def _csv_rows(person: Person, calibration: Calibration) -> list[list[object]]:
    """Return what the columns up to the last say of each of a person's rows."""
    time_s, joints, ground = person.motion.time_s, person.motion.joints, calibration.ground
    root = COCO17.root_of(joints)
    speed = measures.ground_speed(root, time_s, ground)
    contact = measures.foot_contact(joints, time_s, ground)
    trust = assess(person, calibration)
    return [
        [
            f"{time_s[i]:.6f}", person.motion.person, f"{x:.4f}", f"{y:.4f}", f"{z:.4f}",
            "" if np.isnan(speed[i]) else f"{speed[i]:.3f}",
            _CONTACT_NAMES[bool(contact[i, 0]), bool(contact[i, 1])], f"{trust.score[i]:.3f}",
            ";".join(trust.ids(i)),
        ]
        for i, (x, y, z) in enumerate(root)
    ]  # fmt: skip


def clock_at(began: datetime | None, time_s: float) -> str:
    """Return the wall clock ``time_s`` s after ``began`` in ISO 8601 to milliseconds; empty where that is unknown."""
    return "" if began is None else (began + timedelta(seconds=float(time_s))).isoformat(timespec="milliseconds")


def provenance(*, command: Sequence[str], config: object, weights: Mapping[str, str]) -> dict[str, object]:
    """Return what made a result: versions of everything that computes, the ``command``, the parsed ``config``, and the
    digests of the ``weights`` by name.
    """
    versions = {
        "mocap_video": mocap_video.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
    }
    return {"versions": versions, "command": list(command), "config": config, "weights": dict(weights)}


@dataclass(frozen=True)
class PersonQuality:
    """How good one person's result is. ``mean_score`` over keypoints seen; medians over joints and frames;
    ``reprojection_px``: median distance of the lifted joints, projected, from the keypoints. NaN where nothing is.
    ``mean_trust`` 0 to 1; ``flags``: share of the frames that have each flag, of those that occur.
    """

    person: int
    frames: int
    first_s: float
    last_s: float
    seen_fraction: float
    mean_score: float
    median_spread_m: float
    median_residual_m: float
    reprojection_px: float
    mean_trust: float
    flags: Mapping[str, float]


def person_quality(person: Person, calibration: Calibration) -> PersonQuality:
    """Return the quality figures of ``person``."""
    return course_quality(Cast.of([person]), 0, calibration)


def course_quality(cast: Cast, index: int, calibration: Calibration) -> PersonQuality:
    """Return the quality figures of one person of ``cast``: of a long track over a sample of it."""
    course = cast.courses[index]
    every = -(-len(course) // _QUALITY_ROWS)
    parts = [_figures(cast, course, piece, every, calibration) for piece in course.pieces]
    score, spread, distance, residual, trust, flags = (np.concatenate(values) for values in zip(*parts, strict=True))
    known = score[score > 0]
    return PersonQuality(
        person=course.person,
        frames=len(course),
        first_s=float(course.time_s[0]),
        last_s=float(course.time_s[-1]),
        seen_fraction=float((score > 0).any(-1).mean()),
        mean_score=float(known.mean()) if len(known) else float("nan"),
        median_spread_m=float(np.median(spread)),
        median_residual_m=float(np.median(residual)),
        reprojection_px=float(np.nanmedian(distance)) if np.isfinite(distance).any() else float("nan"),
        mean_trust=float(trust.mean()),
        flags=Trust(trust, flags).shares(),
    )


def _figures(cast: Cast, course: Course, piece: int, every: int, calibration: Calibration) -> tuple[np.ndarray, ...]:
    """Return, of one in ``every`` of a person's rows in ``piece``: keypoint scores ``(n,17)``, spread ``(n,17)`` m,
    distance of the lifted joints from the keypoints ``(n,17)`` px (NaN where there is none), residual ``(n)`` m, trust
    ``(n)`` and flags ``(n,F)``.
    """
    first, stop = course.rows_in(piece)
    start, end = _with_neighbours(course, first, stop)
    person = cast.rows(course, start, end)
    keypoints, motion, body = person.keypoints, person.motion, person.body
    pixels, valid = project(torch.from_numpy(np.ascontiguousarray(motion.joints, dtype=float)), calibration.camera)
    distance = np.linalg.norm(pixels.numpy() - keypoints.xy, axis=-1)
    usable = (keypoints.score > 0) & valid.numpy() & np.isfinite(distance)
    distance = np.where(usable, distance, np.nan)
    trust = assess(person, calibration)
    rows = np.arange(first + -first % every, stop, every) - start
    return tuple(
        value[rows] for value in (keypoints.score, motion.spread, distance, body.residual, trust.score, trust.flags)
    )


def _report(
    result: ClipResult,
    stages: Sequence[StageRecord],
    warnings: Sequence[str],
    began: datetime | None,
    skipped_s: Sequence[tuple[float, float]],
) -> dict[str, object]:
    cast = Cast.of(result.people)
    people = [course_quality(cast, index, result.calibration) for index in range(len(cast))]
    return {
        "version": REPORT_VERSION,
        "clip": {**_clip_summary(result), "start_time": began.isoformat() if began else None},
        "calibration": _calibration_summary(result.calibration),
        "people": people,
        "flags": {name: flag.sentence for name, flag in FLAGS.items() if any(name in one.flags for one in people)},
        "skipped_s": list(skipped_s),
        "stages": list(stages),
        "warnings": list(warnings),
        "provenance": result.provenance,
    }


def _clip_summary(result: ClipResult) -> dict[str, object]:
    video = result.video
    return {
        "path": video.path,
        "size": video.size,
        "rate": float(video.rate),
        "frames": len(video),
        "last_frame_s": video.time_s[-1],
        "rotation_deg": video.rotation_deg,
        "first_drawn_s": video.time_s[min(np.searchsorted(video.time_s, result.start_s - 1e-4), len(video) - 1)],
    }


def _calibration_summary(calibration: Calibration) -> dict[str, object]:
    return {
        "name": calibration.name,
        "source": calibration.source,
        "image_size": calibration.camera.size,
        "distortion": calibration.camera.distortion,
        "reprojection_error_px": calibration.reprojection_error_px,
        "camera": calibration.camera,
        "ground": calibration.ground,
        "up": calibration.ground.normal,
        **dataclasses.asdict(summarize(calibration)),
    }
