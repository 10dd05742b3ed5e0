"""OpenCV FileStorage (YAML with ``%YAML:1.0``, XML or JSON), as its calibration samples and many scripts write it.

Camera and world are OpenCV's, as here: ``x_cam = R x_world + t``. There is no standard for the names, so the usual ones
are tried. The world's up axis is not stored: z by default.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.calib.formats.base import MAX_BYTES, Foreign, head, opencv_lens, rotation_of
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration

_K = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K", "M1", "M", "intrinsic_matrix", "mtx")
_D = ("distortion_coefficients", "Distortion_Coefficients", "distCoeffs", "dist_coeffs", "D", "D1", "dist")
_R = ("R", "rotation_matrix", "rvec", "rotation_vector", "Rot")
_T = ("T", "t", "tvec", "translation_vector", "translation")
_WIDTH, _HEIGHT = ("image_width", "image_Width", "width"), ("image_height", "image_Height", "height")


def fits(path: Path) -> bool:
    """Whether ``path`` is an OpenCV file with a camera matrix of its own."""
    text = head(path, 20_000)
    marked = text.startswith(("%YAML:1.0", "%YAML 1.0")) or "<opencv_storage>" in text or '"opencv-matrix"' in text
    return marked and any(name in text for name in _K)


def storage(path: Path) -> cv2.FileStorage:
    """Return the open storage at ``path``; ``CalibrationError`` if OpenCV cannot parse it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CalibrationError(f"{path}: expected at most {MAX_BYTES} bytes, got a larger file.")
        opened = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    except (cv2.error, OSError, SystemError) as error:
        raise CalibrationError(f"{path}: expected an OpenCV FileStorage, and OpenCV says: {error}.") from error
    if not opened.isOpened():
        raise CalibrationError(f"{path}: cannot be read as an OpenCV FileStorage. Check the path and the first line.")
    return opened


def matrix(node: cv2.FileNode) -> np.ndarray | None:
    """Return the matrix or the list of numbers at ``node``; None where there is none."""
    if node.empty() or node.isString() or node.isNone():
        return None
    if node.isSeq():
        return np.array([node.at(i).real() for i in range(node.size())])
    if not node.isMap():
        return None
    found = node.mat()
    return None if found is None else np.asarray(found, float)


def first(opened: cv2.FileStorage, names: tuple[str, ...]) -> np.ndarray | None:
    """Return the first matrix there is among ``names``."""
    return next((m for name in names if (m := matrix(opened.getNode(name))) is not None), None)


def _number(opened: cv2.FileStorage, names: tuple[str, ...]) -> int | None:
    nodes = (opened.getNode(name) for name in names)
    return next((int(node.real()) for node in nodes if node.isReal() or node.isInt()), None)


def read(path: Path) -> list[Foreign]:
    """Return the one camera at ``path``."""
    opened = storage(path)
    K, coeffs, R, t = (first(opened, names) for names in (_K, _D, _R, _T))
    if K is None or K.size != 9:
        raise CalibrationError(f"{path}: expected a 3 x 3 matrix called one of {', '.join(_K)}. Rename it.")
    width, height = _number(opened, _WIDTH), _number(opened, _HEIGHT)
    listed = first(opened, ("image_size", "imageSize", "size"))
    size = (width, height) if width and height else None
    if size is None and listed is not None and listed.size == 2:
        size = int(listed.ravel()[0]), int(listed.ravel()[1])
    flag = opened.getNode("fisheye_model")
    fisheye = "fisheye" in opened.getNode("distortion_model").string() or (not flag.empty() and flag.real() == 1)
    model, coeffs = opencv_lens(np.zeros(0) if coeffs is None else coeffs, path, fisheye=fisheye)
    pose = None if R is None or t is None else (rotation_of(R, path), t.ravel())
    return [Foreign(path.stem, K.reshape(3, 3), model, coeffs, size, pose)]


def write(calibration: Calibration, path: Path) -> None:
    """Write ``calibration`` as OpenCV YAML: camera_matrix, distortion_coefficients, R, rvec, T (metres), image size."""
    camera = calibration.camera
    with atomic_write(path) as partial:
        opened = cv2.FileStorage(f"{partial}.yml", cv2.FILE_STORAGE_WRITE)
        opened.write("image_width", int(camera.size[0]))
        opened.write("image_height", int(camera.size[1]))
        opened.write("camera_matrix", camera.K)
        opened.write("distortion_model", "fisheye" if camera.distortion == "fisheye" else "plumb_bob")
        opened.write(
            "distortion_coefficients", camera.coeffs.reshape(1, -1) if camera.coeffs.size else np.zeros((1, 5))
        )
        opened.write("R", camera.R_cam_from_world)
        opened.write("rvec", np.asarray(cv2.Rodrigues(camera.R_cam_from_world)[0]))
        opened.write("T", camera.t_cam_from_world.reshape(3, 1))
        opened.release()
        Path(f"{partial}.yml").replace(partial)
