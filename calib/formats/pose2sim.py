"""Pose2Sim's (and so aniposelib's) Calib.toml: one table for each camera.

``rotation`` is a rotation vector and ``translation`` metres, both from world to camera in OpenCV's axes; the world is z
up, as Pose2Sim calibrates it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.calib.fields import Field
from mocap_video.calib.formats.base import Foreign, opencv_lens, rotation_of, small_text
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("name", "size", "matrix", "distortions", "rotation", "translation", "fisheye")


def fits(path: Path) -> bool:
    """Whether ``path`` is a toml file."""
    return path.suffix.lower() == ".toml"


def read(path: Path) -> list[Foreign]:
    """Return the cameras at ``path``."""
    try:
        tables = tomllib.loads(small_text(path))
    except tomllib.TOMLDecodeError as error:
        raise CalibrationError(f"{path}: expected TOML, and it is not: {error}.") from error
    cameras = []
    for key, table in tables.items():
        if not isinstance(table, dict) or "matrix" not in table:
            continue
        entry = Field(path, key, table).entries(_KEYS, ("size", "matrix", "distortions"), open_ended=True)
        width, height = entry["size"].numbers((2,), "[width, height]").tolist()
        fisheye = bool(entry["fisheye"].value) if "fisheye" in entry else False
        lens = opencv_lens(entry["distortions"].numbers((4, 5), "[k1, k2, p1, p2]"), path, fisheye=fisheye)
        pose = None
        if "rotation" in entry and "translation" in entry:
            rotation = rotation_of(entry["rotation"].numbers((3,), "of a rotation vector"), path)
            pose = rotation, entry["translation"].numbers((3,), "[x, y, z] in metres")
        name = entry["name"].text() if "name" in entry else key
        cameras.append(Foreign(name, entry["matrix"].matrix_3x3(), *lens, (int(width), int(height)), pose))
    return cameras


def write(calibration: Calibration, path: Path) -> None:
    """Write ``calibration`` as a Calib.toml of one camera; five coefficients lose k3, which Pose2Sim does not take."""
    camera = calibration.camera
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in calibration.name) or "cam_01"
    coeffs = np.append(camera.coeffs, np.zeros(4))[:4]
    if camera.distortion == "opencv" and camera.coeffs[4] != 0:
        raise CalibrationError(
            f"{path}: Pose2Sim takes k1, k2, p1, p2, and this lens has k3 = {camera.coeffs[4]:g}. Calibrate without k3."
        )
    rotation = np.asarray(cv2.Rodrigues(camera.R_cam_from_world)[0]).ravel()
    lines = [
        f"[{name}]",
        f'name = "{name}"',
        f"size = {[float(side) for side in camera.size]}",
        f"matrix = {camera.K.astype(float).tolist()}",
        f"distortions = {coeffs.astype(float).tolist()}",
        f"rotation = {rotation.astype(float).tolist()}",
        f"translation = {camera.t_cam_from_world.astype(float).tolist()}",
        f"fisheye = {'true' if camera.distortion == 'fisheye' else 'false'}",
        "",
        "[metadata]",
        "adjusted = false",
        "error = 0.0",
        "",
    ]
    with atomic_write(path) as partial:
        partial.write_text("\n".join(lines), encoding="utf-8")
