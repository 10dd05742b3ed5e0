"""fSpy's JSON export of camera parameters.

``cameraTransform`` is camera to world with the camera looking along -z and +y up (as in OpenGL and Blender): y and z
are turned over. The principal point is in units of half the longer side, y up. Lengths are in fSpy's reference unit.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mocap_video.calib.fields import Field
from mocap_video.calib.formats.base import Foreign, head, matrix_of, small_text
from mocap_video.errors import CalibrationError

_KEYS = ("principalPoint", "cameraTransform", "horizontalFieldOfView", "imageWidth", "imageHeight")
_NOTE = "fSpy's lengths are in the unit of its reference distance: give --scale where that was not metres."


def fits(path: Path) -> bool:
    """Whether ``path`` is fSpy's JSON."""
    text = head(path, 50_000)
    return text.lstrip().startswith("{") and "cameraTransform" in text


def read(path: Path) -> list[Foreign]:
    """Return the one camera at ``path``."""
    try:
        value = json.loads(small_text(path))
    except json.JSONDecodeError as error:
        raise CalibrationError(f"{path}: expected JSON, and it is not: {error}.") from error
    entry = Field(path, "", value).entries(_KEYS, _KEYS, open_ended=True)
    width, height = (entry[key].number(1) for key in ("imageWidth", "imageHeight"))
    rows = entry["cameraTransform"].entries(("rows",), ("rows",), open_ended=True)["rows"].value
    transform = np.array(rows, float) if isinstance(rows, list) else np.zeros(0)
    if transform.shape != (4, 4):
        raise entry["cameraTransform"].refusal("four rows of four numbers", "Export the camera parameters again.")
    point = entry["principalPoint"].entries(("x", "y"), ("x", "y"))
    unit = max(width, height) / 2
    cx, cy = width / 2 + point["x"].number() * unit - 0.5, height / 2 - point["y"].number() * unit - 0.5
    focal = width / 2 / np.tan(entry["horizontalFieldOfView"].number(1e-3, 3.1, "radians") / 2)
    R = np.diag([1.0, -1.0, -1.0]) @ transform[:3, :3].T
    pose = R, -R @ transform[:3, 3]
    size = int(width), int(height)
    return [Foreign(path.stem, matrix_of(focal, focal, cx, cy), "none", np.zeros(0), size, pose, _NOTE)]
