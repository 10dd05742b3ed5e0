"""The files of a results folder but for the videos: people/NNN.npz, people.csv and report.json.

Each file appears whole or not at all, and report.json comes last: where it lies, the rest is there.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import platform
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

import mocap_video
from mocap_video.artifacts import atomic_write, storage_errors
from mocap_video.calib.checks import summarize
from mocap_video.calib.geometry import project
from mocap_video.errors import ArtifactError
from mocap_video.pipeline import measures
from mocap_video.pipeline.stages import StageRecord
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera, ClipResult, Person, VideoInfo

REPORT_VERSION = 1
CSV_HEADER = ("time_s", "person", "x", "y", "z", "speed", "contact", "trust")

_PERSON_FILE = re.compile(r"(\d{3,})\.npz")
_CONTACT_NAMES = {(False, False): "none", (True, False): "left", (False, True): "right", (True, True): "both"}

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
    arrays: dict[str, Any] = {name: np.asarray(getattr(record, name)) for name in _LAYOUT}
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


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
    except (OSError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
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
) -> None:
    """Write people/NNN.npz, people.csv and report.json into ``folder``, and remove the people of an earlier run."""
    report = folder / "report.json"
    with storage_errors(report):
        report.unlink(missing_ok=True)  # what an earlier run reported is not true of a half-rewritten folder
    written = {folder / "people" / f"{person.keypoints.person:03d}.npz": person for person in result.people}
    for path, person in written.items():
        write_person(person_record(person, framerate=float(result.video.rate), body_model=body_model), path)
    for path in person_files(folder):
        if path not in written:
            with storage_errors(path):
                path.unlink()
    write_people_csv(result, folder / "people.csv")
    with atomic_write(report) as partial:
        partial.write_text(strict_json(_report(result, stages, warnings)), encoding="utf-8")


def write_people_csv(result: ClipResult, path: Path) -> None:
    """Write one row per person and frame under ``CSV_HEADER``.

    x, y, z: the root (mid-hip) as lifted, m, site world; speed along the ground, m/s, over 0.3 s, empty where a frame
    stands alone; contact: none, left, right or both feet; trust 0 to 1. How they are found: ``measures``.
    """
    ground = result.calibration.ground
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        for person in result.people:
            time_s, joints = person.motion.time_s, person.motion.joints
            root = COCO17.root_of(joints)
            speed = measures.ground_speed(root, time_s, ground)
            contact = measures.foot_contact(joints, time_s, ground)
            trust = measures.trust(person.keypoints.score, person.motion.spread, person.body.residual)
            for i, (x, y, z) in enumerate(root):
                writer.writerow([
                    f"{time_s[i]:.6f}", person.motion.person, f"{x:.4f}", f"{y:.4f}", f"{z:.4f}",
                    "" if np.isnan(speed[i]) else f"{speed[i]:.3f}",
                    _CONTACT_NAMES[bool(contact[i, 0]), bool(contact[i, 1])], f"{trust[i]:.3f}",
                ])  # fmt: skip


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


def strict_json(value: object) -> str:
    """Return ``value`` as JSON that every parser takes: NaN and infinity become null.

    Takes dataclasses, mappings, sequences, numpy values, paths and fractions besides JSON's own. ``<`` is written as an
    escape, so the text may stand inside a page's script element whatever a name contains.
    """
    text = json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, indent=2)
    return text.replace("<", "\\u003c") + "\n"


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (Path, Fraction)):
        return str(value)
    raise TypeError(f"strict_json: no JSON for {type(value).__name__}")


@dataclass(frozen=True)
class PersonQuality:
    """How good one person's result is. ``mean_score`` over keypoints seen; medians over joints and frames;
    ``reprojection_px``: median distance of the lifted joints, projected, from the keypoints. NaN where nothing is.
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


def person_quality(person: Person, camera: Camera) -> PersonQuality:
    """Return the quality figures of ``person``, seen by ``camera``."""
    keypoints, motion, body = person.keypoints, person.motion, person.body
    with_score = keypoints.score > 0
    pixels, valid = project(torch.from_numpy(np.ascontiguousarray(motion.joints, dtype=float)), camera)
    distance = np.linalg.norm(pixels.numpy() - keypoints.xy, axis=-1)
    distance = distance[with_score & valid.numpy() & np.isfinite(distance)]
    return PersonQuality(
        person=keypoints.person,
        frames=len(keypoints.frames),
        first_s=float(keypoints.time_s[0]),
        last_s=float(keypoints.time_s[-1]),
        seen_fraction=float(keypoints.seen.mean()),
        mean_score=float(keypoints.score[with_score].mean()) if with_score.any() else float("nan"),
        median_spread_m=float(np.median(motion.spread)),
        median_residual_m=float(np.median(body.residual)),
        reprojection_px=float(np.median(distance)) if len(distance) else float("nan"),
        mean_trust=float(measures.trust(keypoints.score, motion.spread, body.residual).mean()),
    )


def _report(result: ClipResult, stages: Sequence[StageRecord], warnings: Sequence[str]) -> dict[str, object]:
    return {
        "version": REPORT_VERSION,
        "clip": _clip_summary(result.video),
        "calibration": _calibration_summary(result.calibration),
        "people": [person_quality(person, result.calibration.camera) for person in result.people],
        "stages": list(stages),
        "warnings": list(warnings),
        "provenance": result.provenance,
    }


def _clip_summary(video: VideoInfo) -> dict[str, object]:
    return {
        "path": video.path,
        "size": video.size,
        "rate": float(video.rate),
        "frames": len(video),
        "last_frame_s": video.time_s[-1],
        "rotation_deg": video.rotation_deg,
    }


def _calibration_summary(calibration: Calibration) -> dict[str, object]:
    return {
        "name": calibration.name,
        "source": calibration.source,
        "image_size": calibration.camera.size,
        "distortion": calibration.camera.distortion,
        "reprojection_error_px": calibration.reprojection_error_px,
        "up": calibration.ground.normal,
        **dataclasses.asdict(summarize(calibration)),
    }
