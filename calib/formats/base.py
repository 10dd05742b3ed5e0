"""What the readers of other formats have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mocap_video.calib.fields import Field, parse_yaml, read_text
from mocap_video.errors import CalibrationError

MAX_BYTES = 5_000_000
"""A calibration of another tool larger than this is something else."""


@dataclass(frozen=True)
class Foreign:
    """A camera of another tool, its axes already ours: OpenCV's (x right, y down, z forward; the centre of the top-left
    pixel is (0, 0)).

    ``K (3,3)`` px; ``model`` and ``coeffs`` as in ``Camera``; ``size`` (W, H) px, None where the format does not say;
    ``pose``: ``R_cam_from_site (3,3)`` and ``t_cam_from_site (3)`` in the file's units, None where it has none;
    ``note``: what the user should know of the conversion.
    """

    name: str
    K: np.ndarray
    model: str
    coeffs: np.ndarray
    size: tuple[int, int] | None
    pose: tuple[np.ndarray, np.ndarray] | None
    note: str = ""


def document(path: Path) -> Field:
    """Return the YAML document at ``path``."""
    return parse_yaml(read_text(path), path)


def small_text(path: Path, most: int = MAX_BYTES) -> str:
    """Return the text of ``path``; ``CalibrationError`` if it is too large, not text, or not to be read."""
    try:
        if path.stat().st_size > most:
            raise CalibrationError(f"{path}: expected a calibration of at most {most} bytes, got a larger file.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: expected text in UTF-8, got other data.") from error


def head(path: Path, count: int = 4096) -> str:
    """Return the beginning of the file at ``path`` as text, empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(count).decode("utf-8", "replace")
    except OSError:
        return ""


def opencv_lens(coeffs: np.ndarray, where: Path | str, *, fisheye: bool = False) -> tuple[str, np.ndarray]:
    """Return model and coefficients of OpenCV's ``coeffs``, at most 5 (fisheye: 4); zeros are no lens."""
    coeffs = np.ravel(coeffs).astype(float)
    if not np.isfinite(coeffs).all():
        raise CalibrationError(f"{where}: expected finite distortion coefficients, got {coeffs}.")
    most = 4 if fisheye else 5
    if np.any(coeffs[most:]):
        raise CalibrationError(
            f"{where}: expected at most {most} distortion coefficients, got {len(coeffs)}: the rational, thin prism "
            "and tilted models are not taken. Calibrate with 5 coefficients, or as a fisheye."
        )
    if not np.any(coeffs):
        return "none", np.zeros(0)
    return ("fisheye" if fisheye else "opencv"), np.append(coeffs[:most], np.zeros(max(0, most - len(coeffs))))


def rotation_of(values: np.ndarray, where: Path | str) -> np.ndarray:
    """Return the rotation ``(3,3)`` that ``values`` give: a matrix, or a rotation vector of 3."""
    values = np.asarray(values, float)
    if values.size == 9:
        return values.reshape(3, 3)
    if values.size == 3:
        return np.asarray(cv2.Rodrigues(values.reshape(3, 1))[0], float)
    raise CalibrationError(f"{where}: expected a rotation of 9 or 3 numbers, got {values.size}.")


def matrix_of(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """Return ``K (3,3)``."""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
