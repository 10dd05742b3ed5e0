"""EasyMocap: a folder with intri.yml and extri.yml, OpenCV FileStorage with ``names`` and K_, dist_, R_ or Rot_, T_.

World to camera in OpenCV's axes, metres; the world is z up, as its chessboard calibration makes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.calib.formats.base import Foreign, opencv_lens, rotation_of
from mocap_video.calib.formats.opencv import first, storage
from mocap_video.errors import CalibrationError

_FILES = ("intri.yml", "extri.yml")


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def fits(path: Path) -> bool:
    """Whether ``path`` is such a folder, or one of its two files."""
    return (path.is_dir() or path.name in _FILES) and (_folder(path) / _FILES[0]).is_file()


def read(path: Path) -> list[Foreign]:
    """Return the cameras of the folder ``path``, or of the folder of the file ``path``."""
    folder = _folder(path)
    intri = storage(folder / _FILES[0])
    extri = storage(folder / _FILES[1]) if (folder / _FILES[1]).is_file() else None
    names = intri.getNode("names")
    cameras = []
    for name in (names.at(i).string() for i in range(names.size())):
        K, coeffs = first(intri, (f"K_{name}",)), first(intri, (f"dist_{name}", f"D_{name}"))
        if K is None or K.size != 9:
            raise CalibrationError(f"{folder / _FILES[0]}: expected a 3 x 3 matrix K_{name}, got none.")
        sides = (first(intri, (f"{side}_{name}",)) for side in "WH")
        numbers = (
            [_whole(intri.getNode(f"{side}_{name}")) for side in "WH"] if not any(s is not None for s in sides) else []
        )
        size = (numbers[0], numbers[1]) if len(numbers) == 2 and all(numbers) else None
        R = t = None
        if extri is not None:
            R, t = first(extri, (f"Rot_{name}", f"R_{name}")), first(extri, (f"T_{name}",))
        pose = None if R is None or t is None else (rotation_of(R, folder / _FILES[1]), t.ravel())
        lens = opencv_lens(np.zeros(0) if coeffs is None else coeffs, folder / _FILES[0])
        cameras.append(Foreign(name, K.reshape(3, 3), *lens, size, pose))
    return cameras


def _whole(node: object) -> int:
    return int(node.real()) if node.isReal() or node.isInt() else 0  # pyright: ignore[reportAttributeAccessIssue]
