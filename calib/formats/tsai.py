"""Tsai's camera model in XML, as PETS 2009 and others give it: Geometry, Intrinsic, Extrinsic.

World to camera, ``R = Rz(rz) Ry(ry) Rx(rx)`` in radians, x right, y down, z forward; millimetres. Tsai's kappa1 takes
the distortion off (ideal = bent (1 + kappa1 r^2), r in mm on the sensor); OpenCV's coefficients, which put it on, are
fitted to it over the image.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.calib.formats.base import Foreign, head, matrix_of, small_text
from mocap_video.errors import CalibrationError

_NOTE = "Tsai's lengths are millimetres and were divided by 1000."


def fits(path: Path) -> bool:
    """Whether ``path`` is Tsai's XML."""
    text = head(path)
    return "<Geometry" in text and "kappa1" in text


def read(path: Path) -> list[Foreign]:
    """Return the one camera at ``path``."""
    text = small_text(path)
    if "<!ENTITY" in text:
        raise CalibrationError(f"{path}: expected plain XML, got entity definitions. Remove them.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise CalibrationError(f"{path}: expected XML, and it is not: {error}.") from error
    camera = root if root.find("Geometry") is not None else root.find(".//*[Geometry]")
    parts = {} if camera is None else {name: camera.find(name) for name in ("Geometry", "Intrinsic", "Extrinsic")}

    def number(part: str, key: str) -> float:
        element = parts.get(part)
        try:
            return float(element.get(key, "")) if element is not None else float("nan")
        except ValueError:
            raise CalibrationError(f"{path}: {part}: expected a number called {key}.") from None

    focal, kappa = number("Intrinsic", "focal"), number("Intrinsic", "kappa1")
    fx = focal * number("Intrinsic", "sx") / number("Geometry", "dpx")
    fy = focal / number("Geometry", "dpy")
    size = int(number("Geometry", "width")), int(number("Geometry", "height"))
    K = matrix_of(fx, fy, number("Intrinsic", "cx"), number("Intrinsic", "cy"))
    if not np.isfinite(K).all():
        raise CalibrationError(f"{path}: expected Geometry and Intrinsic with all their numbers.")
    angles = [number("Extrinsic", key) for key in ("rx", "ry", "rz")]
    R = Rotation.from_euler("xyz", angles).as_matrix()
    t = np.array([number("Extrinsic", key) for key in ("tx", "ty", "tz")]) / 1000
    model, coeffs = _opencv_of(kappa * focal**2, K, size)
    return [Foreign(path.stem, K, model, coeffs, size, (R, t), _NOTE)]


def _opencv_of(kappa: float, K: np.ndarray, size: tuple[int, int]) -> tuple[str, np.ndarray]:
    """Return OpenCV's k1, k2, k3 that undo ``ideal = bent (1 + kappa bent^2)``, normalised, over the image."""
    if kappa == 0:
        return "none", np.zeros(0)
    corner = np.hypot(max(K[0, 2], size[0] - K[0, 2]) / K[0, 0], max(K[1, 2], size[1] - K[1, 2]) / K[1, 1])
    bent = np.linspace(0.01, 1, 200) * corner
    ideal = bent * (1 + kappa * bent**2)
    k1, k2, k3 = np.linalg.lstsq(np.stack([ideal**3, ideal**5, ideal**7], -1), bent - ideal, rcond=None)[0].tolist()
    return "opencv", np.array([k1, k2, 0.0, 0.0, k3])
