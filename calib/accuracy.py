"""What errors of a calibration do to places on the ground, straight ahead of the camera at given distances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from mocap_video.calib import geometry, ground
from mocap_video.calib.mount import mount_of, zoomed
from mocap_video.types import Calibration

RANGES_M = (5.0, 10.0, 20.0)
"""The distances from the point below the camera at which an accuracy is stated."""

_STEP = 1e-5


def altered(
    calibration: Calibration, *, tilt_down: float = 0, roll: float = 0, log_height: float = 0, log_focal: float = 0
) -> Calibration:
    """Return ``calibration`` in its mount's own site frame, changed by so many rad, rad, and in logarithms."""
    mount = mount_of(calibration)
    mount = replace(
        mount,
        height_m=mount.height_m * float(np.exp(log_height)),
        tilt_down=mount.tilt_down + tilt_down,
        roll=mount.roll + roll,
    )
    return mount.calibration(zoomed(calibration.camera, float(np.exp(log_focal))))


def ground_seen(calibration: Calibration, pixels: np.ndarray) -> np.ndarray:
    """Return where on the ground ``(...,3)`` m, site world, ``pixels (...,2)`` look; NaN at and above the horizon."""
    camera, plane = calibration.camera, calibration.ground
    R, t = torch.from_numpy(camera.R_cam_from_world), torch.from_numpy(camera.t_cam_from_world)
    rays = geometry.ray_directions(geometry.normalized_from_pixels(torch.as_tensor(pixels), camera), R)
    normal = torch.from_numpy(plane.normal)
    return geometry.intersect_plane(geometry.camera_center(R, t), rays, normal, plane.offset).numpy()


def pixels_ahead(calibration: Calibration, distances_m: np.ndarray) -> np.ndarray:
    """Return the pixels ``(D,2)`` of the ground straight ahead at ``distances_m (D)``, in the image or not; NaN where
    the lens does not reach.
    """
    frame = ground.canonical_frame(calibration.camera, calibration.ground)
    zero = np.zeros_like(distances_m)
    points = frame.to_site(np.stack([zero, zero, distances_m], -1))
    pixels, valid = geometry.project(torch.from_numpy(points), calibration.camera)
    return torch.where(valid[:, None], pixels, torch.nan).numpy()


def ground_errors(truth: Calibration, claimed: Calibration, distances_m: np.ndarray) -> np.ndarray:
    """Return how far ``(D)`` m ``claimed`` misplaces what ``truth`` has straight ahead on the ground at
    ``distances_m (D)``; infinite where it takes that for the sky. Both must be in one site frame, that of the known
    points or each mount's own: with points, it does not matter where the camera is believed to be.
    """
    pixels = pixels_ahead(truth, distances_m)
    distance = np.linalg.norm(ground_seen(claimed, pixels) - ground_seen(truth, pixels), axis=-1)
    return np.where(np.isfinite(pixels).all(-1) & np.isnan(distance), np.inf, distance)


@dataclass(frozen=True)
class Uncertainty:
    """How well a calibration is known, as standard deviations: tilt and roll (degrees), height (m), focal length
    (relative), and the place on the ground in the site frame straight ahead, ``ground_m`` at ``RANGES_M``.
    """

    tilt_deg: float
    roll_deg: float
    height_m: float
    focal: float
    ground_m: tuple[float, ...]

    def as_text(self) -> str:
        """Return two lines for a reader, as ranges of 95 %."""
        known = [f"{2 * s:.2f} m at {d:.0f} m" for s, d in zip(self.ground_m, RANGES_M, strict=True) if 2 * s < d]
        lost = [f"{d:.0f} m" for s, d in zip(self.ground_m, RANGES_M, strict=True) if not 2 * s < d]
        where = f"so a place on the ground to {', '.join(known)}" if known else ""
        unknown = f"{'; ' if known else ''}unknown at {' and '.join(lost)}" if lost else ""
        return (
            f"known to (95 %): tilt {2 * self.tilt_deg:.1f} deg, roll {2 * self.roll_deg:.1f} deg, height "
            f"{2 * self.height_m:.2f} m, focal length {f'{2 * self.focal:.0%}' if self.focal > 0 else 'as given'}\n"
            f"{where}{unknown}"
        )


def uncertainty(build: Callable[[np.ndarray], Calibration], x: np.ndarray, covariance: np.ndarray) -> Uncertainty:
    """Return what ``covariance (P,P)`` of ``x (P)`` means for the calibration that ``build`` makes: to first order, but
    for places, which a tilt towards the horizon moves far more than one away from it.
    """
    best = build(x)

    def properties(calibration: Calibration) -> np.ndarray:
        mount = mount_of(calibration)
        return np.array([mount.tilt_down, mount.roll, mount.height_m, np.log(calibration.camera.K[0, 0])])

    steps = np.eye(len(x)) * _STEP
    slopes = np.stack([(properties(build(x + step)) - properties(build(x - step))) / (2 * _STEP) for step in steps], -1)
    variance = np.einsum("ik,kl,il->i", slopes, covariance, slopes)
    tilt, roll, height, focal = np.sqrt(variance).tolist()
    ground_m = _places_open(build, x, covariance, best)
    return Uncertainty(float(np.degrees(tilt)), float(np.degrees(roll)), height, focal, tuple(ground_m.tolist()))


def _places_open(
    build: Callable[[np.ndarray], Calibration], x: np.ndarray, covariance: np.ndarray, best: Calibration
) -> np.ndarray:
    """Return the standard deviations ``(D)`` m of places at ``RANGES_M``: half of what two deviations along each axis
    of ``covariance`` do, in the worse direction; at most the distance itself for each.
    """
    distances = np.array(RANGES_M)
    pixels = pixels_ahead(best, distances)
    places = ground_seen(best, pixels)
    values, axes = np.linalg.eigh(covariance)
    total = np.zeros(len(distances))
    for step in (axes * np.sqrt(np.clip(values, 0, None))).T:
        moved = [np.linalg.norm(ground_seen(build(x + sign * 2 * step), pixels) - places, axis=-1) for sign in (1, -1)]
        worse = np.where(np.isfinite(moved), moved, np.inf).max(0) / 2
        total += np.minimum(worse, distances) ** 2
    return np.where(np.isfinite(pixels).all(-1), np.sqrt(total), np.nan)
