"""Reader of Human3.6M's joints in the npz that pose lifters share (VideoPose3D's ``data_3d_h36m.npz``).

World positions in metres, +Z up, 50 frames a second; 32 joints, of which 17 move, or these 17 alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.data.smpl_files import read_npz
from mocap_video.lifter.data.sources import Choice, KeypointClip
from mocap_video.lifter.unpickling import UNREADABLE, ArrayUnpickler
from mocap_video.registry import MOTION_READERS
from mocap_video.skeletons import H36M17

_FPS = 50.0
_MOVING = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""Of the 32 joints, those of ``H36M17``, in its order."""
_SUBJECTS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
_KEY = "positions_3d"


@MOTION_READERS.register_module("h36m")
class Human36M:
    """Human3.6M: ``positions_3d`` of subjects and actions (a pickle inside the npz), or one plain array a recording,
    named ``S1/Walking``. Subjects 9 and 11 are the test split.
    """

    splits = tuple(_SUBJECTS)

    def recognises(self, folder: Path) -> bool:
        """Say whether the npz lies in ``folder``."""
        return any(folder.glob("data_3d_h36m*.npz"))

    def read(self, folder: Path, choice: Choice) -> Iterator[KeypointClip]:
        """Yield one clip a subject and action."""
        for path in sorted(folder.glob("data_3d_h36m*.npz")):
            for name, joints in _recordings(path, choice):
                if name.partition("/")[0] in _SUBJECTS[choice.split or "train"]:
                    yield KeypointClip(name, "h36m", _FPS, H36M17.name, _level(path, name, joints))


def _recordings(path: Path, choice: Choice) -> Iterator[tuple[str, np.ndarray]]:
    plain = read_npz(path)
    if plain:
        yield from plain.items()
        return
    if not choice.trust:
        raise ConfigError(
            f"{path}: {_KEY} is a Python pickle inside the npz. It is read as plain arrays and can run nothing, but "
            "give --trust to have it opened, or write one array a recording, named S1/Walking"
        )
    for subject, actions in _pickled(path).items():
        for action, joints in actions.items():
            yield f"{subject}/{action}", joints


def _pickled(path: Path) -> dict[str, dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{_KEY}.npy") as member:
            version = np.lib.format.read_magic(member)
            header: Any = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            header(member)
            stored = ArrayUnpickler(member).load()
            return stored.item()
    except (*UNREADABLE, OSError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path}: expected {_KEY}: a dictionary of subjects and actions ({error})") from error


def _level(path: Path, name: str, joints: np.ndarray) -> np.ndarray:
    if joints.ndim != 3 or joints.shape[1:] not in ((32, 3), (17, 3)) or joints.dtype.kind != "f":
        raise ArtifactError(f"{path}: {name}: expected (T,32,3) or (T,17,3), got {joints.dtype} {joints.shape}")
    joints = joints[:, _MOVING] if joints.shape[1] == 32 else joints
    return np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], -1).astype(np.float32)
