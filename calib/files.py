"""cam.yaml: what it says, how it is written, and which videos it belongs to.

Two forms of ``extrinsics``. ``world_to_camera`` gives ``R (3,3)`` and ``t (3)`` m in any right-handed metric site
frame, ``x_cam = R x_site + t``; ``world`` says which way is up and where the ground is. ``mount`` gives height, tilt
and roll, and makes its own site frame: +z up, the origin on the ground below the camera, +y its heading: ``mount``.

Two forms of ``intrinsics``: fx, fy, cx, cy in pixels, the centre of the top-left pixel being (0, 0); or ``hfov_deg``,
the angle between the left and the right edge of the image through its middle, lens included, with square pixels and the
optical axis in the middle of the image, ((W - 1) / 2, (H - 1) / 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
import yaml

from mocap_video.artifacts import atomic_write
from mocap_video.calib import checks, geometry
from mocap_video.calib.checks import CalibrationSummary, summarize
from mocap_video.calib.fields import Entries, Field, parse_yaml, read_text
from mocap_video.calib.mount import GROUND, Mount
from mocap_video.errors import CalibrationError
from mocap_video.types import COEFFICIENTS, Calibration, Camera, DistortionModel, GroundPlane

__all__ = [
    "CalibrationSummary",
    "calibration_for_size",
    "camera_for_size",
    "read_calibration",
    "read_lens",
    "summarize",
    "write_calibration",
    "write_lens",
]

VERSION = 1

_KEYS = ("version", "image_size", "intrinsics", "distortion", "extrinsics", "world", "site")
_PINHOLE = ("fx", "fy", "cx", "cy")
_MOUNT = ("height_m", "tilt_down_deg", "roll_deg")
AXES = {sign + axis: (1 if not sign else -1) * np.eye(3)[i] for sign in ("", "-") for i, axis in enumerate("xyz")}
"""Unit vectors by name: x, y, z, -x, -y, -z."""

_COEFFS = {"opencv": "[k1, k2, p1, p2, k3]", "fisheye": "[k1, k2, k3, k4]"}


def read_calibration(path: Path) -> Calibration:
    """Return the calibration that the cam.yaml at ``path`` describes; anything impossible in it is refused."""
    path = Path(path)
    return _parse(read_text(path), path)


def _parse(text: str, path: Path) -> Calibration:
    """Return the calibration that ``text`` describes; ``path`` is the file that messages name."""
    top = _entries(text, path, ("extrinsics",))
    lens = _read_optics(top, path)
    forms = top["extrinsics"].entries(("world_to_camera", "mount"))
    if len(forms) != 1:
        raise top["extrinsics"].refusal("exactly one of world_to_camera and mount", "Keep the one you measured.")
    form, pose = next(iter(forms.items()))
    R, t = _read_mount(pose) if form == "mount" else _read_world_to_camera(pose)
    camera = replace(lens, R_cam_from_world=R, t_cam_from_world=t)
    plane = _read_mount_world(top.get("world")) if form == "mount" else _read_world(top, path)
    calibration = Calibration(camera, plane, *_read_site(top.get("site", Field(path, "site", None))))
    checks.check_view(pose, calibration)
    return calibration


def read_lens(path: Path) -> Camera:
    """Return the optics that the cam.yaml, or lens.yaml (the same without ``extrinsics``), at ``path`` describes.

    The pose of the camera returned means nothing.
    """
    path = Path(path)
    return _read_optics(_entries(read_text(path), path, ()), path)


def _entries(text: str, path: Path, required: tuple[str, ...]) -> Entries:
    """Return the top keys of ``text``, which must be of this version and have the optics and the ``required`` keys."""
    root = parse_yaml(text, path)
    if isinstance(root.value, Mapping) and "intrinsics" in root.value and not set(required) <= set(root.value):
        raise CalibrationError(
            f"{path}: extrinsics: missing: this is a lens.yaml, without the camera's pose. Give it to calib "
            "from-points or from-mount by --lens, or add extrinsics.mount."
        )
    top = root.entries(_KEYS, required=("version", "image_size", "intrinsics", *required))
    if top["version"].value != VERSION or isinstance(top["version"].value, bool):
        raise top["version"].refusal(
            str(VERSION), "A newer file needs a newer mocap-video; otherwise write version: 1."
        )
    return top


def _read_optics(top: Entries, path: Path) -> Camera:
    """Return image size, intrinsics and distortion as a camera at its own origin."""
    size = _read_size(top["image_size"])
    distortion = top.get("distortion", Field(path, "distortion", None))
    model, coeffs = _read_distortion(distortion)
    K = _read_intrinsics(top["intrinsics"], size, model, coeffs)
    lens = Camera(K, np.eye(3), np.zeros(3), size, model, coeffs)
    checks.check_lens(top["intrinsics"], distortion, lens)
    return lens


def _read_size(field: Field) -> tuple[int, int]:
    width, height = field.numbers((2,), "[width, height] in pixels").tolist()
    if not (width.is_integer() and height.is_integer() and min(width, height) >= 16 and max(width, height) <= 65536):
        raise field.refusal(
            "[width, height] as whole pixels from 16 to 65536", "Give the size of the calibrated images."
        )
    return int(width), int(height)


def _read_distortion(field: Field) -> tuple[DistortionModel, np.ndarray]:
    """Return the model's name and its coefficients; four OpenCV coefficients are [k1, k2, p1, p2] with k3 = 0."""
    if field.value is None or field.value == "none":
        return "none", np.zeros(0)
    entries = field.entries(("model", "coeffs"), required=("model",))
    model = cast(DistortionModel, entries["model"].choice(COEFFICIENTS))
    coeffs = entries.get("coeffs", Field(field.file, f"{field.key}.coeffs", None))
    if model == "none":
        if coeffs.value:
            raise coeffs.refusal("no coefficients with model: none", "Name the model: opencv or fisheye.")
        return "none", np.zeros(0)
    counts = (4, 5) if model == "opencv" else (4,)
    numbers = coeffs.numbers(counts, f"{_COEFFS[model]} of model {model}")
    return model, np.append(numbers, np.zeros(COEFFICIENTS[model] - len(numbers)))


def _read_intrinsics(field: Field, size: tuple[int, int], model: str, coeffs: np.ndarray) -> np.ndarray:
    """Return ``K (3,3)`` px."""
    entries = field.entries((*_PINHOLE, "hfov_deg"))
    if "hfov_deg" in entries:
        if len(entries) > 1:
            raise field.refusal("either fx, fy, cx, cy or hfov_deg, not both", "Keep the numbers that were calibrated.")
        return _intrinsics_from_fov(entries["hfov_deg"], size, model, coeffs)
    entries = field.entries(_PINHOLE, required=_PINHOLE)
    fx, fy = (entries[key].number(1e-9, 1e9, "pixels") for key in ("fx", "fy"))
    cx, cy = (entries[key].number(unit="pixels") for key in ("cx", "cy"))
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _intrinsics_from_fov(field: Field, size: tuple[int, int], model: str, coeffs: np.ndarray) -> np.ndarray:
    half = math.radians(field.number(1, 177 if model == "fisheye" else 170, "degrees")) / 2
    edge = torch.tensor([math.tan(half), 0.0], dtype=torch.float64)
    if edge[0] > geometry.lens_limit(model, coeffs):
        raise field.refusal(
            "a field of view that the lens model reaches",
            "The distortion folds back before the image's edge: check its coefficients.",
        )
    focal = size[0] / 2 / float(geometry.distort(edge, model, torch.from_numpy(coeffs))[0])
    return np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1.0]])


def _read_world_to_camera(field: Field) -> tuple[np.ndarray, np.ndarray]:
    entries = field.entries(("R", "t"), required=("R", "t"))
    R = checks.checked_rotation(entries["R"], entries["R"].matrix_3x3())
    return R, entries["t"].numbers((3,), "[x, y, z] in metres")


def _read_mount(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Return R and t of the mount's own site frame (see ``mount``)."""
    entries = field.entries(_MOUNT, required=_MOUNT)
    height = entries["height_m"].number(unit="metres")
    if height <= 0:
        raise entries["height_m"].refusal(
            "a height above the ground, in metres", "Measure from the ground to the lens."
        )
    tilt = math.radians(entries["tilt_down_deg"].number(-90, 90, "degrees"))
    roll = math.radians(entries["roll_deg"].number(-180, 180, "degrees"))
    return Mount(height, tilt, roll).pose()


def _read_mount_world(field: Field | None) -> GroundPlane:
    if field is not None:
        entries = field.entries(("up", "ground"))
        if [entry.value for entry in entries.values()] != [{"up": "z", "ground": 0}[key] for key in entries]:
            raise field.refusal(
                "{up: z, ground: 0} with extrinsics.mount, which makes its own site frame",
                "Remove `world`, or give the pose as world_to_camera in your site frame.",
            )
    return GROUND


def _read_world(top: Entries, path: Path) -> GroundPlane:
    if "world" not in top:
        raise CalibrationError(
            f"{path}: world: missing; expected it with extrinsics.world_to_camera. "
            "Add the up axis and the ground's height on it, such as `world: {up: z, ground: 0.0}`."
        )
    entries = top["world"].entries(("up", "ground", "ground_plane"))
    if ("ground" in entries) == ("ground_plane" in entries):
        raise top["world"].refusal(
            "{up: z, ground: h} or {up: z, ground_plane: [a, b, c, d]}", "Give the ground in one of the two ways."
        )
    if "ground_plane" in entries:
        return _read_plane(entries["ground_plane"], entries.get("up"))
    if "up" not in entries:
        raise top["world"].refusal("the up axis beside ground", "Add `up: z` (or x, y, -x, -y, -z).")
    return GroundPlane(AXES[entries["up"].choice(AXES)], -entries["ground"].number(unit="metres along up") + 0.0)


def _read_plane(field: Field, up: Field | None) -> GroundPlane:
    """Return the plane ``a x + b y + c z + d = 0``; its normal is turned to the side of ``up`` where that is given."""
    *normal, offset = field.numbers((4,), "[a, b, c, d] of the plane a x + b y + c z + d = 0, metres")
    normal, length = np.array(normal), float(np.linalg.norm(normal))
    if length < 1e-9:
        raise field.refusal(
            "a plane whose normal [a, b, c] is not zero", "Give the ground's normal, such as [0, 0, 1, 0]."
        )
    normal, offset = normal / length, offset / length
    if up is None:
        return GroundPlane(normal, float(offset))
    along = float(normal @ AXES[up.choice(AXES)])
    if abs(along) < math.cos(math.radians(45)):
        raise field.refusal(
            f"a ground whose normal is within 45 degrees of the up axis {up.value}",
            f"It is {math.degrees(math.acos(min(abs(along), 1))):.0f} degrees from it: check `up` and the plane.",
        )
    side = math.copysign(1.0, along)
    return GroundPlane(side * normal, float(side * offset))


def _read_site(field: Field) -> tuple[str, str, float | None]:
    """Return name, source and reprojection error in px; other keys of ``site`` are the user's own."""
    if field.value is None:
        return "", "", None
    entries = field.entries(("name", "source", "reprojection_error_px"), open_ended=True)
    name, source = (entries[key].text() if key in entries else "" for key in ("name", "source"))
    error = entries.get("reprojection_error_px")
    known = error is not None and error.value is not None
    return name, source, error.number(0, 1e6, "pixels") if error is not None and known else None


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write ``calibration`` as a cam.yaml that ``read_calibration`` answers with the same numbers.

    What would be refused on reading is refused here, before anything is written.
    """
    path = Path(path)
    camera = calibration.camera
    site: dict[str, object] = {"name": calibration.name, "source": calibration.source}
    if calibration.reprojection_error_px is not None:
        site["reprojection_error_px"] = float(calibration.reprojection_error_px)
    document = {
        **_document_of(camera),
        "extrinsics": {
            "world_to_camera": {
                "R": camera.R_cam_from_world.astype(float).tolist(),
                "t": camera.t_cam_from_world.astype(float).tolist(),
            }
        },
        "world": _world_of(calibration.ground),
        "site": {key: value for key, value in site.items() if value != ""},
    }
    text = _dump(document)
    _parse(text, path)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_lens(lens: Camera, path: Path, source: str = "") -> None:
    """Write the optics of ``lens`` as a lens.yaml that ``read_lens`` answers with the same numbers."""
    path = Path(path)
    text = _dump({**_document_of(lens), "site": {"source": source}})
    _read_optics(_entries(text, path, ()), path)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _document_of(camera: Camera) -> dict[str, object]:
    K = camera.K.astype(float)
    return {
        "version": VERSION,
        "image_size": [int(side) for side in camera.size],
        "intrinsics": dict(zip(_PINHOLE, (float(K[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))), strict=True)),
        "distortion": {"model": camera.distortion, "coeffs": camera.coeffs.astype(float).tolist()},
    }


def _dump(document: dict[str, object]) -> str:
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def _world_of(plane: GroundPlane) -> dict[str, object]:
    for up, direction in AXES.items():
        if np.array_equal(direction, plane.normal):
            return {"up": up, "ground": -float(plane.offset) + 0.0}
    return {"ground_plane": [*plane.normal.astype(float).tolist(), float(plane.offset)]}


def calibration_for_size(
    calibration: Calibration, size: tuple[int, int], *, calib_path: Path, clip_path: Path
) -> Calibration:
    """Return ``calibration`` for images of ``size`` (W, H) px: rescaled when the aspect agrees, else refused.

    The aspect agrees when one scale explains both sides to 1 px, the rounding of encoders.
    """
    camera = camera_for_size(calibration.camera, size, calib_path=calib_path, clip_path=clip_path)
    return replace(calibration, camera=camera)


def camera_for_size(camera: Camera, size: tuple[int, int], *, calib_path: Path, clip_path: Path) -> Camera:
    """As ``calibration_for_size``, for a camera alone."""
    old = camera.size
    if tuple(size) == tuple(old):
        return camera
    low = max((new - 1) / side for new, side in zip(size, old, strict=True))
    high = min((new + 1) / side for new, side in zip(size, old, strict=True))
    if low > high:
        turned = (old[1] > old[0]) != (size[1] > size[0])
        advice = "The clip is turned against the calibrated images. " if turned else ""
        raise CalibrationError(
            f"{calib_path}: image_size: expected the aspect of {clip_path}, which is {size[0]} x {size[1]}, got "
            f"{old[0]} x {old[1]}. {advice}Use the calibration of this camera in this mode; a cropped or padded video "
            f"needs its own image_size, cx and cy."
        )
    return camera.resized((int(size[0]), int(size[1])))
