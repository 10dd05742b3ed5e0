"""Walking stick figures seen by a site camera: what a perfect detector would say of a known scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.detectors.base import Poses, no_regions
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera, GroundPlane

# Of an adult of 1.7 m: metres to the left, forward and up, in COCO-17 order.
_STANDING = np.array([
    [0.0, 0.12, 1.56], [0.03, 0.10, 1.60], [-0.03, 0.10, 1.60], [0.08, 0.02, 1.58], [-0.08, 0.02, 1.58],
    [0.17, 0.0, 1.38], [-0.17, 0.0, 1.38], [0.22, 0.0, 1.10], [-0.22, 0.0, 1.10], [0.23, 0.05, 0.85],
    [-0.23, 0.05, 0.85], [0.11, 0.0, 0.90], [-0.11, 0.0, 0.90], [0.11, 0.02, 0.50], [-0.11, 0.02, 0.50],
    [0.11, 0.0, 0.10], [-0.11, 0.0, 0.10],
])  # fmt: skip


def site_calibration() -> Calibration:
    """Return a camera 4 m over a z-up ground, looking along +y, 20 degrees down; focal length 1200 px, 1280 x 720."""
    K = np.array([[1200.0, 0, 639.5], [0, 1200.0, 359.5], [0, 0, 1]])
    tilt = np.radians(20.0)
    forward = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    right = np.array([1.0, 0.0, 0.0])
    R = np.stack([right, np.cross(forward, right), forward])
    ground = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)
    return Calibration(Camera(K, R, -R @ np.array([0, 0, 4.0]), (1280, 720)), ground, name="synthetic site")


def standing_joints(position: np.ndarray, heading: float) -> np.ndarray:
    """Return joints ``(17,3)`` m of an adult standing at ``position (2)`` m (x, y), facing ``heading`` rad from +x."""
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    flat = _STANDING[:, :1] * left + _STANDING[:, 1:2] * forward + position
    return np.concatenate([flat, _STANDING[:, 2:]], 1)


def projected(joints: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return ``joints (...,3)`` m in px ``(...,2)``."""
    return geometry.project(torch.as_tensor(joints), calibration.camera)[0].numpy()


def poses_of(xy: np.ndarray, *, score: float = 0.9, presence: float = 0.95) -> Poses:
    """Return poses of ``xy (N,17,2)`` px, all with the same certainty."""
    n = len(xy)
    return Poses(xy.reshape(n, 17, 2), np.full((n, len(COCO17)), score), np.full(n, presence), no_regions(n))


@dataclass(frozen=True)
class Walk:
    """A straight walk: at ``start (2)`` m at time 0, with ``velocity (2)`` m/s, seen from ``enter_s`` to ``leave_s``
    but not within the intervals ``hidden_s``.
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    enter_s: float = 0.0
    leave_s: float = np.inf
    hidden_s: tuple[tuple[float, float], ...] = ()

    def joints(self, time_s: float) -> np.ndarray:
        """Return the joints ``(17,3)`` m at ``time_s``."""
        velocity = np.array(self.velocity)
        return standing_joints(np.array(self.start) + velocity * time_s, float(np.arctan2(velocity[1], velocity[0])))

    def seen(self, time_s: float) -> bool:
        """Return whether nothing hides the walker at ``time_s``."""
        hidden = any(start <= time_s < end for start, end in self.hidden_s)
        return self.enter_s <= time_s < self.leave_s and not hidden
