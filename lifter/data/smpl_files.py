"""Readers of motion in SMPL's parameters: AMASS, BEDLAM, RICH and AIST++, in the layouts they are published in.

Rotations relative to the parent mean the same on our body as on SMPL's, SMPL+H's and SMPL-X's first 22 joints, so they
are taken as they are. Hands and faces are left out; shapes are not taken, because their betas mean nothing on our body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.artifacts import NPZ_FAULTS
from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.data.sources import COMMON_JOINTS, Choice, KeypointClip, RotationClip
from mocap_video.lifter.unpickling import read_arrays
from mocap_video.registry import MOTION_READERS
from mocap_video.skeletons import COCO17

_Y_UP_FROM_Z_UP = Rotation.from_matrix([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_RICH_FPS = 30.0
_AIST_FPS = 60.0
_BEDLAM_FPS = {"30fps": 30.0, "6fps": 6.0}
_CM = 0.01


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the plain arrays of an npz, without those of Python objects. ``ArtifactError`` if it is none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: array for name in stored.files if (array := _plain(stored, name)) is not None}
    except NPZ_FAULTS as error:
        raise ArtifactError(f"{path}: expected an npz of arrays ({error})") from error


def _plain(stored: Any, name: str) -> np.ndarray | None:
    try:
        return stored[name]
    except ValueError:  # numpy's refusal of an array of Python objects
        return None


def rotation_clip(
    name: str, source: str, fps: float, turns: np.ndarray, root: np.ndarray, turn: Rotation | None = None
) -> RotationClip:
    """Return a clip of ``turns (T,>=66)`` rad and ``root (T,3)`` m, whose axes ``turn`` brings to +Y up.

    Without ``turn`` the axes are the source's own, and up is left to be found. ``ValueError`` for other shapes.
    """
    count = len(root)
    if turns.ndim != 2 or turns.shape[0] != count or turns.shape[1] < 3 * COMMON_JOINTS or root.shape != (count, 3):
        raise ValueError(f"expected turns (T,>=66) and root (T,3), got {turns.shape} and {root.shape}")
    if not (np.isfinite(turns).all() and np.isfinite(root).all() and fps > 0):
        raise ValueError("expected finite numbers and a positive frame rate")
    rotvec = np.zeros((count, 24, 3), dtype=np.float32)
    rotvec[:, :COMMON_JOINTS] = turns[:, : 3 * COMMON_JOINTS].reshape(count, -1, 3)
    if turn is not None:
        rotvec[:, 0] = (turn * Rotation.from_rotvec(rotvec[:, 0])).as_rotvec()
        root = turn.apply(root)
    return RotationClip(name, source, fps, rotvec, root.astype(np.float32), level=turn is not None)


def _refuse_untrusted(folder: Path, choice: Choice, what: str) -> None:
    if not choice.trust:
        raise ConfigError(
            f"{folder}: {what} are published as Python pickles. They are read as plain arrays and can run nothing, but "
            "give --trust to have them opened, or convert them to npz with the same names"
        )


@MOTION_READERS.register_module("amass")
class Amass:
    """AMASS: one npz a recording, SMPL+H or SMPL-X poses, +Z up. Files without poses (stage I) are passed by."""

    splits = ()

    def recognises(self, folder: Path) -> bool:
        """Say whether there is an npz with AMASS's names under ``folder``."""
        return any(_is_amass(_names(path)) for path in sorted(folder.rglob("*.npz"))[:20])

    def read(self, folder: Path, choice: Choice) -> Iterator[RotationClip]:  # noqa: ARG002 - it has no splits
        """Yield one clip a recording."""
        for path in sorted(folder.rglob("*.npz")):
            if not _is_amass(_names(path)):
                continue
            stored = read_npz(path)
            fps = float(stored["mocap_framerate" if "mocap_framerate" in stored else "mocap_frame_rate"])
            name = path.relative_to(folder).with_suffix("").as_posix()
            yield _checked(path, name, "amass", fps, stored["poses"], stored["trans"], _Y_UP_FROM_Z_UP)


def _names(path: Path) -> set[str]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return set(stored.files) if isinstance(stored, np.lib.npyio.NpzFile) else set()
    except NPZ_FAULTS:
        return set()


def _is_amass(names: set[str]) -> bool:
    return {"poses", "trans"} <= names and bool({"mocap_framerate", "mocap_frame_rate"} & names)


def _checked(
    path: Path, name: str, source: str, fps: float, turns: np.ndarray, root: np.ndarray, turn: Rotation | None
) -> RotationClip:
    try:
        return rotation_clip(name, source, fps, np.asarray(turns, float), np.asarray(root, float), turn)
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: {name}: {error}") from error


@MOTION_READERS.register_module("bedlam")
class Bedlam:
    """BEDLAM's labels: an npz a scene, one row a person and picture, SMPL-X in the camera with its pose.

    The 30 fps labels are motion; those at 6 fps are interpolated, which blunts fast motion.
    """

    splits = ()

    def recognises(self, folder: Path) -> bool:
        """Say whether there is an npz with BEDLAM's names under ``folder``."""
        return any({"imgname", "pose_cam", "cam_ext"} <= _names(path) for path in sorted(folder.rglob("*.npz"))[:20])

    def read(self, folder: Path, choice: Choice) -> Iterator[RotationClip]:  # noqa: ARG002 - it has no splits
        """Yield one clip a person and sequence."""
        for path in sorted(folder.rglob("*.npz")):
            stored = read_npz(path)
            if not {"imgname", "pose_cam", "trans_cam", "cam_ext", "sub"} <= set(stored):
                continue
            fps = next((rate for mark, rate in _BEDLAM_FPS.items() if mark in path.stem), _BEDLAM_FPS["30fps"])
            images = stored["imgname"].astype(str)
            sequences = np.array(
                [f"{image.rpartition('/')[0]}/{who}" for image, who in zip(images, stored["sub"], strict=True)]
            )
            for sequence in np.unique(sequences):
                rows = np.flatnonzero(sequences == sequence)
                rows = rows[np.argsort(images[rows])]
                turns, root = _bedlam_in_world({key: stored[key][rows] for key in ("pose_cam", "trans_cam", "cam_ext")})
                yield _checked(path, f"{path.stem}/{sequence}", "bedlam", fps, turns, root, None)


def _bedlam_in_world(rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Turns and root in the scene's axes: a camera that moves is taken out. ``cam_ext``: camera from world."""
    R = Rotation.from_matrix(rows["cam_ext"][:, :3, :3]).inv()
    turns = rows["pose_cam"].astype(float).copy()
    turns[:, :3] = (R * Rotation.from_rotvec(turns[:, :3])).as_rotvec()
    return turns, R.apply(rows["trans_cam"])


@MOTION_READERS.register_module("rich")
class Rich:
    """RICH's bodies: ``SPLIT/SEQUENCE/FRAME/SUBJECT.pkl``, SMPL-X in the scene's axes, which are not level."""

    splits = ("train", "val", "test")

    def recognises(self, folder: Path) -> bool:
        """Say whether frames of bodies lie under one of RICH's splits."""
        return any(any((folder / split).glob("*/[0-9]*/*.[pn][kp][lz]")) for split in self.splits)

    def read(self, folder: Path, choice: Choice) -> Iterator[RotationClip]:
        """Yield one clip a subject of a sequence; where frames are missing a new clip begins."""
        for sequence in sorted((folder / (choice.split or self.splits[0])).iterdir()):
            tracks: dict[str, list[tuple[int, Path]]] = {}
            for path in sorted(sequence.glob("[0-9]*/*")):
                if path.suffix in (".pkl", ".npz"):
                    tracks.setdefault(path.stem, []).append((int(path.parent.name), path))
            for subject, frames in sorted(tracks.items()):
                breaks = [i for i in range(1, len(frames)) if frames[i][0] != frames[i - 1][0] + 1]
                for first, last in zip([0, *breaks], [*breaks, len(frames)], strict=True):
                    paths = [path for _, path in frames[first:last]]
                    name = f"{sequence.name}/{subject}/{frames[first][0]:05d}"
                    yield self._clip(name, paths, choice)

    def _clip(self, name: str, paths: list[Path], choice: Choice) -> RotationClip:
        turns, root = [], []
        for path in paths:
            if path.suffix == ".pkl":
                _refuse_untrusted(path, choice, "RICH's bodies")
            stored = read_npz(path) if path.suffix == ".npz" else read_arrays(path)
            try:
                parts = [np.asarray(stored[key], float).ravel() for key in ("global_orient", "body_pose", "transl")]
            except (KeyError, ValueError, TypeError) as error:
                raise ArtifactError(f"{path}: expected global_orient, body_pose and transl ({error})") from error
            turns.append(np.concatenate(parts[:2]))
            root.append(parts[2])
        return _checked(paths[0], name, "rich", _RICH_FPS, np.stack(turns), np.stack(root), None)


@MOTION_READERS.register_module("aist")
class Aist:
    """AIST++: ``motions/*.pkl`` (SMPL, +Y up), or ``keypoints3d/*.pkl`` (COCO-17, cm) where there are no motions.

    Recordings that its ``ignore_list.txt`` names are left out.
    """

    splits = ()

    def recognises(self, folder: Path) -> bool:
        """Say whether motions or keypoints lie under ``folder``."""
        return bool(self._files(folder))

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        for part in ("motions", "keypoints3d"):
            found = sorted(path for path in (folder / part).glob("*") if path.suffix in (".pkl", ".npz"))
            if found:
                return found
        return []

    def read(self, folder: Path, choice: Choice) -> Iterator[RotationClip | KeypointClip]:
        """Yield one clip a recording."""
        ignored = folder / "ignore_list.txt"
        left_out = set(ignored.read_text().split()) if ignored.is_file() else set()
        for path in self._files(folder):
            if path.stem in left_out:
                continue
            if path.suffix == ".pkl":
                _refuse_untrusted(path, choice, "AIST++'s recordings")
            stored = read_npz(path) if path.suffix == ".npz" else read_arrays(path)
            yield self._clip(path, stored)

    @staticmethod
    def _clip(path: Path, stored: Mapping[str, Any]) -> RotationClip | KeypointClip:
        if path.parent.name == "motions":
            try:
                root = np.asarray(stored["smpl_trans"], float) / float(np.ravel(stored["smpl_scaling"])[0])
                turns = stored["smpl_poses"]
            except (KeyError, IndexError, ValueError) as error:
                raise ArtifactError(f"{path}: expected smpl_poses, smpl_trans and smpl_scaling ({error})") from error
            return _checked(path, path.stem, "aist", _AIST_FPS, turns, root, Rotation.identity())
        points = stored.get("keypoints3d_optim", stored.get("keypoints3d"))
        if points is None or np.shape(points)[1:] != (17, 3):
            raise ArtifactError(f"{path}: expected keypoints3d_optim (T,17,3), got {sorted(stored)}")
        return KeypointClip(path.stem, "aist", _AIST_FPS, COCO17.name, _CM * np.asarray(points, np.float32))
