"""COLMAP: a folder with cameras and images as .txt or .bin. Every image is a camera of its own.

World to camera in OpenCV's axes, quaternion (w, x, y, z); the top-left pixel's centre is (0.5, 0.5) there, so 0.5 is
taken off the image centre. Scale and up axis are arbitrary unless the model was aligned: they must be given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.calib.formats.base import Foreign, matrix_of, small_text
from mocap_video.errors import CalibrationError

MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
)  # fmt: skip
"""COLMAP's models and how many parameters each has, by number."""

_ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
_TAKEN = (*_ONE_FOCAL, "PINHOLE", "OPENCV", "OPENCV_FISHEYE")
_NOTE = "COLMAP's scale and axes are arbitrary unless its model was aligned: give --scale, --up and --ground."

_Lens = tuple[str, int, int, np.ndarray]
_Pose = tuple[str, int, np.ndarray, np.ndarray]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def fits(path: Path) -> bool:
    """Whether ``path`` is such a folder or one of its files."""
    folder = _folder(path)
    named = path.is_dir() or path.stem in ("cameras", "images")
    return named and any((folder / f"cameras.{kind}").is_file() for kind in ("txt", "bin"))


def read(path: Path) -> list[Foreign]:
    """Return one camera for each image."""
    folder = _folder(path)
    binary = (folder / "cameras.bin").is_file()
    kind = "bin" if binary else "txt"
    files = [folder / f"{name}.{kind}" for name in ("cameras", "images")]
    try:
        lenses = _binary_cameras(files[0].read_bytes()) if binary else _text_cameras(files[0])
        poses = list(_binary_images(files[1].read_bytes()) if binary else _text_images(files[1]))
        return [_foreign(name, lenses[number], q, t, folder) for name, number, q, t in poses]
    except (struct.error, ValueError, IndexError, KeyError, OSError) as error:
        raise CalibrationError(
            f"{folder}: expected a COLMAP model in .{kind} files, got damaged ones ({error})."
        ) from error


def _foreign(name: str, lens: _Lens, q: np.ndarray, t: np.ndarray, folder: Path) -> Foreign:
    model, width, height, params = lens
    if model not in _TAKEN:
        raise CalibrationError(f"{folder}: camera model {model}: expected one of {', '.join(_TAKEN)}. Undistort first.")
    focal = 1 if model in _ONE_FOCAL else 2
    fx, fy = params[0], params[focal - 1]
    cx, cy = params[focal : focal + 2] - 0.5
    coeffs = params[focal + 2 :]
    fisheye = model.endswith("FISHEYE")
    if model in ("SIMPLE_RADIAL", "RADIAL"):
        coeffs = np.append(coeffs, np.zeros(5 - len(coeffs)))
    coeffs = np.append(coeffs, np.zeros(max(0, (4 if fisheye else 5) - len(coeffs))))
    kind = ("fisheye" if fisheye else "opencv") if np.any(coeffs) else "none"
    R = Rotation.from_quat(q[[1, 2, 3, 0]]).as_matrix()
    K = matrix_of(fx, fy, cx, cy)
    return Foreign(name, K, kind, coeffs if kind != "none" else np.zeros(0), (width, height), (R, t), _NOTE)


def _lines(path: Path) -> list[str]:
    return [line for line in small_text(path, 500_000_000).splitlines() if not line.startswith("#")]


def _text_cameras(path: Path) -> dict[int, _Lens]:
    rows = (line.split() for line in _lines(path) if line.strip())
    return {int(r[0]): (r[1], int(r[2]), int(r[3]), np.array(r[4:], float)) for r in rows}


def _text_images(path: Path) -> Iterator[_Pose]:
    for line in _lines(path)[::2]:  # every second line lists the image's points
        if line.strip():
            _, *pose, camera, name = line.split(maxsplit=9)
            numbers = np.array(pose, float)
            yield name, int(camera), numbers[:4], numbers[4:7]


def _binary_cameras(data: bytes) -> dict[int, _Lens]:
    (count,), at, found = struct.unpack_from("<Q", data), 8, {}
    for _ in range(count):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name, size = MODELS[model]
        found[number] = (name, width, height, np.array(struct.unpack_from(f"<{size}d", data, at + 24)))
        at += 24 + 8 * size
    return found


def _binary_images(data: bytes) -> Iterator[_Pose]:
    (count,), at = struct.unpack_from("<Q", data), 8
    for _ in range(count):
        numbers = np.array(struct.unpack_from("<7d", data, at + 4))
        (camera,) = struct.unpack_from("<i", data, at + 60)
        end = data.index(b"\0", at + 64)
        name = data[at + 64 : end].decode("utf-8", "replace")
        (points,) = struct.unpack_from("<Q", data, end + 1)
        at = end + 9 + 24 * points
        yield name, camera, numbers[:4], numbers[4:]
