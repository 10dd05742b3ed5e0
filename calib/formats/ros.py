"""ROS camera_info, as ``camera_calibration`` saves it. Optics only: ROS keeps poses elsewhere.

plumb_bob is OpenCV's model, equidistant its fisheye; pixels are OpenCV's.
"""

from __future__ import annotations

from pathlib import Path

from mocap_video.calib.fields import Field
from mocap_video.calib.formats.base import Foreign, document, head, opencv_lens
from mocap_video.errors import CalibrationError

_MODELS = {"plumb_bob": False, "rational_polynomial": False, "equidistant": True, "fisheye": True}


def fits(path: Path) -> bool:
    """Whether ``path`` is a camera_info file."""
    text = head(path)
    return "camera_matrix:" in text and "distortion_model:" in text and not text.startswith("%YAML")


def read(path: Path) -> list[Foreign]:
    """Return the one camera at ``path``."""
    wanted = ("image_width", "image_height", "camera_matrix", "distortion_model", "distortion_coefficients")
    root = document(path).entries(wanted, wanted, open_ended=True)
    size = int(root["image_width"].number(1)), int(root["image_height"].number(1))
    model = root["distortion_model"].choice(_MODELS)
    K = _data(root["camera_matrix"]).numbers((9,), "of 9 numbers, row by row").reshape(3, 3)
    coeffs = _data(root["distortion_coefficients"]).numbers((4, 5, 8, 12, 14), "of distortion coefficients")
    name = root["camera_name"].text() if "camera_name" in root else path.stem
    if K[0, 0] == 0:
        raise CalibrationError(f"{path}: camera_matrix is zero: this camera was never calibrated.")
    return [Foreign(name, K, *opencv_lens(coeffs, path, fisheye=_MODELS[model]), size, None)]


def _data(field: Field) -> Field:
    return field.entries(("rows", "cols", "data"), ("data",), open_ended=True)["data"]
