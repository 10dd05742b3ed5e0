"""Is a calibration possible? Refusals of cameras that are underground, far up, blind to the ground, or no cameras.

Each refusal looks for the usual mistake behind it (units, a transposed pose, a wrong sign) and names it where the
corrected numbers would be sane.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from mocap_video.calib import geometry, ground
from mocap_video.calib.fields import Field
from mocap_video.calib.mount import mount_of
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration, Camera, GroundPlane

logger = logging.getLogger(__name__)

MAX_HEIGHT_M = 200.0
"""A fixed camera higher than this over the ground is a mistake of units."""

MAX_RANGE_M = 200.0
"""Some pixel must see the ground within this horizontal distance of the camera."""

_FOV_DEG = (1.0, 170.0)
_FISHEYE_FOV_DEG = (1.0, 360.0)
_DRIFT = 1e-6
_NO_ROTATION = 1e-2
_GRID = 33


@dataclass(frozen=True)
class CalibrationSummary:
    """A calibration in the words of the person who hung the camera.

    ``height_m`` over the ground below the camera; ``tilt_down_deg`` positive looks down; ``roll_deg`` positive turns
    the image's right side down; ``hfov_deg`` and ``vfov_deg`` from edge to edge through the image's middle, lens
    included: NaN where the lens model does not reach the edge.
    """

    height_m: float
    tilt_down_deg: float
    roll_deg: float
    hfov_deg: float
    vfov_deg: float


def summarize(calibration: Calibration) -> CalibrationSummary:
    """Return height, tilt, roll and fields of view of ``calibration``."""
    camera = calibration.camera
    mount = mount_of(calibration)
    (width, rows), (x, y) = camera.size, ((camera.size[0] - 1) / 2, (camera.size[1] - 1) / 2)
    edges = torch.tensor([[-0.5, y], [width - 0.5, y], [x, -0.5], [x, rows - 0.5]], dtype=torch.float64)
    rays = geometry.ray_directions(geometry.normalized_from_pixels(edges, camera), torch.eye(3, dtype=torch.float64))
    left, right, top, bottom = rays.numpy()
    return CalibrationSummary(
        mount.height_m,
        *np.degrees([mount.tilt_down, mount.roll, _angle_between(left, right), _angle_between(top, bottom)]).tolist(),
    )


def _angle_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def checked_rotation(field: Field, R: np.ndarray) -> np.ndarray:
    """Return ``R (3,3)`` as an exact rotation: rounding is repaired (and said), anything else refused."""
    U, scale, Vt = np.linalg.svd(R)
    drift = float(np.abs(scale - 1).max())
    if drift > _NO_ROTATION:
        raise field.refusal(
            f"a rotation (orthonormal rows to {_NO_ROTATION:g})",
            f"Its rows are off by {drift:.3g}: give R with at least 4 decimals, without scale.",
        )
    if np.linalg.det(R) < 0:
        raise field.refusal(
            "a rotation (determinant 1), not a reflection (determinant -1)",
            "One axis of the site frame or the camera is flipped: use a right-handed site frame.",
        )
    if drift > _DRIFT:
        logger.warning("%s: %s: its rows were off orthonormal by %.2g and are set right", field.file, field.key, drift)
    return R if drift < 1e-12 else U @ Vt


def check_lens(intrinsics: Field, distortion: Field, camera: Camera) -> None:
    """Refuse focal lengths, an image centre or a lens that no camera has."""
    (width, height), (fx, fy) = camera.size, (camera.K[0, 0], camera.K[1, 1])
    for name, focal, side in (("fx", fx, width), ("fy", fy, height)):
        pinhole, fisheye = 2 * np.arctan(side / 2 / focal), side / focal
        low, high = _FISHEYE_FOV_DEG if camera.distortion == "fisheye" else _FOV_DEG
        fov_deg = np.degrees(fisheye if camera.distortion == "fisheye" else pinhole)
        if not low <= fov_deg <= high:
            raise Field(intrinsics.file, f"{intrinsics.key}.{name}", float(focal)).refusal(
                f"a focal length in pixels that gives a field of view of {low:g} to {high:g} degrees",
                f"It gives {fov_deg:.3g} degrees over {side} px. Pixels, not millimetres or fractions of the width.",
            )
    if not 0.5 <= fx / fy <= 2:
        raise intrinsics.refusal("fx and fy within a factor of 2", "Pixels are nearly square: check both numbers.")
    for name, center, side in (("cx", camera.K[0, 2], width), ("cy", camera.K[1, 2], height)):
        if not -0.5 * side <= center <= 1.5 * side:
            raise Field(intrinsics.file, f"{intrinsics.key}.{name}", float(center)).refusal(
                f"an image centre near the middle of the image, {side / 2:g} px",
                f"image_size is {width} x {height}: are the intrinsics those of another size, or cx and cy exchanged?",
            )
    blind = float(torch.isnan(geometry.normalized_from_pixels(_pixel_grid(camera), camera)[..., 0]).double().mean())
    if blind > 0.5:
        raise distortion.refusal(
            "coefficients that can be inverted over the image",
            f"They fold back on {blind:.0%} of it: check their order (opencv: k1, k2, p1, p2, k3) and fx.",
        )
    if blind > 0:
        place = f"{distortion.file}: {distortion.key}"
        logger.warning("%s: the lens model ends before the image does: %.1f %% has no ray", place, 100 * blind)


def check_view(extrinsics: Field, calibration: Calibration) -> None:
    """Refuse a camera that is below the ground, absurdly high, or sees no ground."""
    height = _height(calibration)
    if height <= 0:
        raise _refused(extrinsics, calibration, "the camera above the ground", f"{-height:.3g} m below it")
    if height > MAX_HEIGHT_M:
        unit, factor = ("millimetres", 1000) if height > 1000 else ("centimetres", 100)
        raise _refused(
            extrinsics,
            calibration,
            f"the camera at most {MAX_HEIGHT_M:g} m above the ground",
            f"{height:.5g} m",
            f"Lengths are metres: are these {unit}? Then divide them by {factor}.",
        )
    if not _sees_ground(calibration):
        tilt_deg = summarize(calibration).tilt_down_deg
        looks = f"looks {abs(tilt_deg):.3g} degrees {'down' if tilt_deg > 0 else 'up'}"
        expected = f"some pixel that sees the ground within {MAX_RANGE_M:g} m"
        raise _refused(extrinsics, calibration, expected, f"none: the camera is {height:.3g} m up and {looks}")


def _refused(
    extrinsics: Field, calibration: Calibration, expected: str, got: str, advice: str = ""
) -> CalibrationError:
    advice = advice or " ".join(_hints(extrinsics, calibration)) or "Check the pose, its units and `world`."
    return CalibrationError(f"{extrinsics.file}: {extrinsics.key}: expected {expected}, got {got}. {advice}")


def _hints(extrinsics: Field, calibration: Calibration) -> list[str]:
    """Return the usual mistakes that would explain an impossible pose: those whose correction gives a sane camera."""
    camera, plane = calibration.camera, calibration.ground
    if extrinsics.key.endswith("mount"):
        return ["tilt_down_deg is positive when the camera looks down: check its sign."]
    hints = []
    R, t = camera.R_cam_from_world.T, camera.center_world
    if _sane(replace(calibration, camera=replace(camera, R_cam_from_world=R, t_cam_from_world=t))):
        hints.append(
            "R and t look like the camera's pose in the site (camera to world); give the inverse: R transposed and "
            "t = -R_transposed c, where c is the camera's position."
        )
    if _sane(replace(calibration, ground=GroundPlane(-plane.normal, -plane.offset))):
        hints.append(
            "Either the up axis has the wrong sign (`world.up`, such as -y for y), or this is the mirror solution of a "
            "calibration from points on one plane: calibrate again with points off the ground."
        )
    return hints


def _sane(calibration: Calibration) -> bool:
    return 0.2 < _height(calibration) <= MAX_HEIGHT_M and _sees_ground(calibration)


def _height(calibration: Calibration) -> float:
    return float(calibration.ground.height_of(calibration.camera.center_world))


def _sees_ground(calibration: Calibration) -> bool:
    """Whether a pixel of a coarse grid sees the ground within ``MAX_RANGE_M`` of the point below the camera."""
    camera = calibration.camera
    R, t = (torch.from_numpy(a) for a in ground.canonical_frame(camera, calibration.ground).camera(camera))
    rays = geometry.ray_directions(geometry.normalized_from_pixels(_pixel_grid(camera), camera), R)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    points = geometry.intersect_plane(geometry.camera_center(R, t), rays, up, 0.0)
    return bool((points[..., [0, 2]].norm(dim=-1) <= MAX_RANGE_M).any())


def _pixel_grid(camera: Camera) -> torch.Tensor:
    """Return pixels ``(N, N, 2)`` spread evenly over the image, its corners included."""
    x, y = (torch.linspace(0, side - 1, _GRID, dtype=torch.float64) for side in camera.size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
