"""Results and truths that are arrays of joints: MotionBERT, ElePose, MVLift, MAS, AIST++, our own, and plain npz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.data.smpl_files import read_npz
from mocap_video.lifter.others.base import (
    NBA16,
    OPENPOSE18,
    Placement,
    ReadOptions,
    Sequence3D,
    ask_trust,
    choose_track,
)
from mocap_video.lifter.unpickling import read_arrays, read_object_array
from mocap_video.skeletons import COCO17, H36M17, SKELETONS

_AIST_FPS = 60.0
_CM = 0.01


def _shape_of(path: Path) -> tuple[int, ...] | None:
    """Return the shape of an npy, from its header alone; () for a pickled object, None for another file."""
    if path.suffix != ".npy":
        return None
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (ValueError, OSError, EOFError):  # numpy's refusal of an array of Python objects
        return ()


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False), float)
    except (ValueError, OSError, EOFError) as error:
        raise ArtifactError(f"{path}: expected an array of joints ({error})") from error


def _names_in(path: Path) -> set[str]:
    if path.suffix != ".npz" or not path.is_file():
        return set()
    return set(read_npz(path))


class MotionBert:
    """MotionBERT's ``X3D.npy``: ``(T,17,3)`` in Human3.6M's order, the camera's axes, the picture's own scale."""

    def recognises(self, path: Path) -> bool:
        """Say whether it is an array of 17 joints."""
        shape = _shape_of(path)
        return shape is not None and len(shape) == 3 and shape[1:] == (17, 3)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        return _placed(path, H36M17.names, _read_npy(path), "camera", metric=False)


class ElePose:
    """ElePose's answers as its network gives them: ``(T,51)``, 17 x's, 17 y's, 17 z's of Human3.6M's joints about the
    root, in the camera's axes, of no scale. It publishes no file; save this array with ``np.save``.
    """

    def recognises(self, path: Path) -> bool:
        """Say whether it is an array of rows of 51 numbers."""
        shape = _shape_of(path)
        return shape is not None and (shape[1:] == (51,) or shape[1:] == (3, 17))

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        joints = _read_npy(path).reshape(-1, 3, 17).transpose(0, 2, 1)
        return _placed(path, H36M17.names, joints, "camera", metric=False)


class MvLift:
    """MVLift's npy of ``(T,18,3)`` joints in OpenPose's order of 18, in axes of its own; its scale is not metres."""

    def recognises(self, path: Path) -> bool:
        """Say whether it is an array of 18 joints."""
        shape = _shape_of(path)
        return shape is not None and len(shape) == 3 and shape[1:] == (18, 3)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        return _placed(path, OPENPOSE18, _read_npy(path), "own", metric=False)


class Mas:
    """MAS's ``results.npy``: a pickled dictionary of ``motions (N,16,3,T)``, its NBA joints, and ``model_kwargs`` with
    their ``lengths``; axes of its own, of no scale.
    """

    def recognises(self, path: Path) -> bool:
        """Say whether it is a pickled object of numpy's."""
        return _shape_of(path) == ()

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return one motion; ``options.person`` is its number, from 0."""
        ask_trust(path, options)
        stored = read_object_array(path)
        motions = np.asarray(stored.get("motions"), float)
        if motions.ndim != 4 or motions.shape[1:3] != (len(NBA16), 3):
            raise ArtifactError(f"{path}: expected MAS's motions (N,{len(NBA16)},3,T), got {motions.shape}")
        said = stored.get("model_kwargs", {}).get("y", {}).get("lengths", [motions.shape[3]] * len(motions))
        lengths = {str(i): int(length) for i, length in enumerate(np.asarray(said).ravel())}
        number = choose_track(path, lengths, options.person)
        return _placed(path, NBA16, motions[int(number)].transpose(2, 0, 1)[: lengths[number]], "own", metric=False)


class AistKeypoints:
    """AIST++'s ``keypoints3d/NAME.pkl``: COCO-17 in cm, 60 frames a second, in the axes of its stage: a truth."""

    def recognises(self, path: Path) -> bool:
        """Say whether it lies in a folder of that name."""
        return path.suffix in (".pkl", ".npz") and path.parent.name == "keypoints3d"

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return the dancer."""
        if path.suffix == ".pkl":
            ask_trust(path, options)
        stored = read_npz(path) if path.suffix == ".npz" else read_arrays(path)
        points = stored.get("keypoints3d_optim", stored.get("keypoints3d"))
        if points is None:
            raise ArtifactError(f"{path}: expected keypoints3d_optim (T,17,3), got {sorted(stored)}")
        joints = _CM * np.asarray(points, float)
        return _placed(path, COCO17.names, joints, "site", time_s=np.arange(len(joints)) / _AIST_FPS)


class OurPeople:
    """Our own ``people/NNN.npz``: the lifted joints, site world."""

    def recognises(self, path: Path) -> bool:
        """Say whether it holds the names of a person's file."""
        return {"joints_world", "time_s", "frame"} <= _names_in(path)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        stored = read_npz(path)
        return _placed(path, COCO17.names, stored["joints_world"], "site", stored["time_s"], stored["frame"])


class Triangulated:
    """``gt.npz`` of the pose2sim recordings: ``xyz_world_filt6hz (T,J,3)`` m, ``joint_names``, ``fps``: a truth."""

    def recognises(self, path: Path) -> bool:
        """Say whether it holds these names."""
        return {"xyz_world_filt6hz", "joint_names", "fps"} <= _names_in(path)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        stored = read_npz(path)
        joints = stored["xyz_world_filt6hz"]
        names = tuple(str(name) for name in stored["joint_names"])
        return _placed(path, names, joints, "site", time_s=np.arange(len(joints)) / float(stored["fps"]))


class PlainJoints:
    """An npz of ``joints (T,J,3)`` with ``skeleton`` (coco17, smpl24, h36m17) or ``names (J)``; optional ``time_s``,
    ``frame`` or ``fps``, ``placement`` (site, camera, own; site) and ``metric`` (true).
    """

    def recognises(self, path: Path) -> bool:
        """Say whether it holds joints."""
        return "joints" in _names_in(path)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:  # noqa: ARG002 - readers take the same
        """Return the person."""
        stored = read_npz(path)
        joints, placement = np.asarray(stored["joints"], float), str(stored.get("placement", "site"))
        if placement not in get_args(Placement):
            raise ArtifactError(f"{path}: placement: expected one of {get_args(Placement)}, got {placement!r}")
        time_s, frames = stored.get("time_s"), stored.get("frame")
        if time_s is None and "fps" in stored:
            time_s = (np.arange(len(joints)) if frames is None else frames) / float(stored["fps"])
        metric = bool(stored.get("metric", True))
        return _placed(path, _names(path, stored), joints, placement, time_s, frames, metric=metric)  # type: ignore[arg-type]


def _names(path: Path, stored: Mapping[str, Any]) -> tuple[str, ...]:
    if "names" in stored:
        return tuple(str(name) for name in stored["names"])
    skeleton = str(stored.get("skeleton", COCO17.name))
    if skeleton not in SKELETONS:
        raise ConfigError(f"{path}: skeleton: expected one of {', '.join(SKELETONS)}, or names (J), got {skeleton!r}")
    return SKELETONS[skeleton].names


def _placed(
    path: Path,
    names: tuple[str, ...],
    joints: np.ndarray,
    placement: Placement,
    time_s: np.ndarray | None = None,
    frames: np.ndarray | None = None,
    *,
    metric: bool = True,
) -> Sequence3D:
    """Return a checked sequence; ``ArtifactError`` where shapes disagree."""
    own = np.arange(len(joints)) if frames is None else np.asarray(frames).astype(np.int64)
    try:
        return Sequence3D(path.stem, names, np.asarray(joints, float), own, time_s, placement, metric)
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}") from error
