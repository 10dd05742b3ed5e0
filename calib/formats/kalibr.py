"""Kalibr camchain: pinhole cameras with radtan (OpenCV's model), equidistant (its fisheye) or no distortion.

Optics only: its poses are between cameras and to an IMU, not to a site.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.calib.formats.base import Foreign, document, head, matrix_of, opencv_lens

_MODELS = {"radtan": False, "equidistant": True, "none": False}


def fits(path: Path) -> bool:
    """Whether ``path`` is a camchain."""
    text = head(path)
    return "cam0:" in text and "camera_model:" in text


def read(path: Path) -> list[Foreign]:
    """Return the cameras at ``path``."""
    cameras = []
    for name, chain in document(path).entries((), open_ended=True).items():
        wanted = ("camera_model", "intrinsics", "distortion_model", "distortion_coeffs", "resolution")
        entry = chain.entries(wanted, ("camera_model", "intrinsics", "resolution"), open_ended=True)
        entry["camera_model"].choice(["pinhole"])
        model = entry["distortion_model"].choice(_MODELS) if "distortion_model" in entry else "none"
        coeffs = np.zeros(0)
        if model != "none":
            coeffs = entry["distortion_coeffs"].numbers((4,), "[k1, k2, p1, p2] or [k1, k2, k3, k4]")
        fx, fy, cx, cy = entry["intrinsics"].numbers((4,), "[fu, fv, pu, pv]").tolist()
        width, height = entry["resolution"].numbers((2,), "[width, height]").tolist()
        lens = opencv_lens(coeffs, path, fisheye=_MODELS[model])
        cameras.append(Foreign(name, matrix_of(fx, fy, cx, cy), *lens, (int(width), int(height)), None))
    return cameras
