"""Where the recordings are that may not be committed: MOCAP_VIDEO_DATA, or ../shared/data beside the repository."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mocap_video.calib.files import read_calibration
from mocap_video.pipeline.video import read_frames
from mocap_video.types import Calibration, Frame


def data_root() -> Path:
    """Return the data folder, whether it exists or not."""
    return Path(os.environ.get("MOCAP_VIDEO_DATA") or Path(__file__).parents[1].parent / "shared" / "data")


def motion_folder() -> Path:
    """Return the folder of the open motion set; skip the test where it is absent."""
    folder = data_root() / "motions"
    if not (folder / "manifest.csv").is_file():
        pytest.skip("no open motion set (set MOCAP_VIDEO_DATA to the data folder)")
    return folder


def real_folder(name: str) -> Path:
    """Return the folder of the real recording ``name``; skip the test where it is absent."""
    folder = data_root() / "real" / name
    if not folder.is_dir():
        pytest.skip(f"no recording {name} (set MOCAP_VIDEO_DATA to the data folder)")
    return folder


def real_frames(path: Path, *, every: int = 1, count: int | None = None) -> list[Frame]:
    """Return ``count`` frames of ``path``, one in ``every``."""
    return list(islice(read_frames(path), 0, None if count is None else every * count, every))


def real_calibration(path: Path) -> Calibration:
    """Return the calibration in ``path``."""
    return read_calibration(path)


def real_joints(folder: Path) -> np.ndarray:
    """Return the triangulated COCO-17 joints ``(100,17,3)`` m, site world, of the man; NaN where unknown."""
    with np.load(folder / "gt.npz") as truth:
        return truth["xyz_world_filt6hz"][:, :17].astype(float)
