"""A camera by how it hangs: height, tilt and roll, in the site frame that a mount makes for itself.

That frame is right-handed, metres, +z up; the ground is z = 0, the origin lies on it below the camera's optical centre,
+y is the camera's heading on the ground, so +x points to the camera's right. A positive tilt looks down (90 degrees:
straight down, and +y is the image's up direction); a positive roll turns the image's right side down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from mocap_video.calib import ground
from mocap_video.types import Calibration, Camera, GroundPlane

GROUND = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)
"""The ground of every mount's own site frame."""


@dataclass(frozen=True)
class Mount:
    """How a camera hangs: ``height_m`` of its optical centre over the ground, ``tilt_down`` and ``roll`` in rad."""

    height_m: float
    tilt_down: float
    roll: float

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``R_cam_from_site (3,3)`` and ``t_cam_from_site (3)`` m in the mount's own site frame."""
        forward = np.array([0, np.cos(self.tilt_down), -np.sin(self.tilt_down)])
        level_right = np.array([1.0, 0, 0])
        level_down = np.cross(forward, level_right)
        right = np.cos(self.roll) * level_right + np.sin(self.roll) * level_down
        R = np.stack([right, np.cross(forward, right), forward])
        return R, -R @ np.array([0, 0, self.height_m])

    def calibration(self, lens: Camera) -> Calibration:
        """Return the camera with the optics of ``lens`` (its pose is not looked at) on this mount."""
        R, t = self.pose()
        return Calibration(replace(lens, R_cam_from_world=R, t_cam_from_world=t), GROUND)


def mount_of(calibration: Calibration) -> Mount:
    """Return how the camera of ``calibration`` hangs over its ground."""
    R, t = ground.canonical_frame(calibration.camera, calibration.ground).camera(calibration.camera)
    tilt, roll, height = ground.pitch_roll_height(torch.from_numpy(R), torch.from_numpy(t)).tolist()
    return Mount(height, tilt, roll)


def pinhole(size: tuple[int, int], focal_px: float) -> Camera:
    """Return the optics of an ideal camera: square pixels, the axis in the middle of an image of ``size`` (W, H) px."""
    width, height = size
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1.0]])
    return Camera(K, np.eye(3), np.zeros(3), size)


def zoomed(lens: Camera, factor: float) -> Camera:
    """Return ``lens`` with ``factor`` times its focal length."""
    K = lens.K.copy()
    K[:2, :2] *= factor
    return replace(lens, K=K)
