"""The lifter's canonical frame and ground pointmaps (paper 3.3 and 3.3.1).

Canonical frame: right-handed, metres, +Y up, the ground is y = 0, the origin lies on the ground below the camera's
optical centre, +Z is the camera's heading on the ground, so +X is the camera's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.types import Camera, GroundPlane

_STRAIGHT_DOWN = 1e-3
"""Below this horizontal part of the optical axis (0.06 degrees) a camera looks straight down: the image's up direction
is then its heading, and its roll is 0."""


@dataclass(frozen=True)
class CanonicalFrame:
    """``x_canonical = R_canonical_from_site @ x_site + t_canonical_from_site`` (metres)."""

    R_canonical_from_site: np.ndarray
    t_canonical_from_site: np.ndarray

    def to_canonical(self, points: np.ndarray) -> np.ndarray:
        """Move ``points (...,3)`` m from the site world into the canonical frame."""
        return points @ self.R_canonical_from_site.T + self.t_canonical_from_site

    def to_site(self, points: np.ndarray) -> np.ndarray:
        """Move ``points (...,3)`` m from the canonical frame into the site world."""
        return (points - self.t_canonical_from_site) @ self.R_canonical_from_site

    def camera(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return ``R_cam_from_canonical (3,3)`` and ``t_cam_from_canonical (3)`` m of ``camera``."""
        R = camera.R_cam_from_world @ self.R_canonical_from_site.T
        return R, camera.t_cam_from_world - R @ self.t_canonical_from_site


def canonical_frame(camera: Camera, ground: GroundPlane) -> CanonicalFrame:
    """Return the canonical frame of ``camera`` over ``ground``."""
    length = np.linalg.norm(ground.normal)  # GroundPlane allows 1 +- 1e-6, too coarse for a rotation
    up = ground.normal / length
    center = camera.center_world
    forward, image_up = camera.R_cam_from_world[2], -camera.R_cam_from_world[1]
    heading = forward - (forward @ up) * up
    if np.linalg.norm(heading) < _STRAIGHT_DOWN:
        heading = image_up - (image_up @ up) * up
    heading = heading / np.linalg.norm(heading)
    R = np.stack([np.cross(up, heading), up, heading])
    origin = center - ground.height_of(center) / length * up
    return CanonicalFrame(R, -R @ origin)


def pitch_roll_height(R_cam_from_canonical: Tensor, t_cam_from_canonical: Tensor) -> Tensor:
    """Return ``(...,3)``: pitch (rad, positive looks down), roll (rad, positive turns the image's right side down) and
    height over the ground (m) of cameras given in the canonical frame, whatever their heading in it.
    """
    forward, right = R_cam_from_canonical[..., 2, :], R_cam_from_canonical[..., 0, :]
    down = R_cam_from_canonical[..., 1, :]
    height = geometry.camera_center(R_cam_from_canonical, t_cam_from_canonical)[..., 1]
    level = forward[..., [0, 2]].norm(dim=-1)
    pitch = torch.atan2(
        -forward[..., 1], level
    )  # not asin: it loses half the digits, and its gradient, near 90 degrees
    roll = torch.atan2(-right[..., 1], -down[..., 1])
    roll = torch.where(level < _STRAIGHT_DOWN, torch.zeros_like(roll), roll)
    return torch.stack([pitch, roll, height], -1)


def ground_pointmap(
    R_cam_from_canonical: Tensor,
    t_cam_from_canonical: Tensor,
    bounds: Tensor,
    cells: tuple[int, int],
    max_range_m: float,
) -> Tensor:
    """Return the pointmap ``(..., H', W', 3)`` m in the canonical frame (paper 3.3.1).

    ``R (...,3,3)``, ``t (...,3)``; ``bounds (...,4)`` are x0, y0, x1, y1 of the image in normalised coordinates;
    ``cells`` (H', W'). A cell's value belongs to its centre; NaN at and above the horizon and past ``max_range_m``
    (horizontal distance from the camera).
    """
    rows, columns = cells
    u = (torch.arange(columns, dtype=bounds.dtype, device=bounds.device) + 0.5) / columns
    v = (torch.arange(rows, dtype=bounds.dtype, device=bounds.device) + 0.5) / rows
    x0, y0, x1, y1 = (edge[..., None, None] for edge in bounds.unbind(-1))
    x = x0 + (x1 - x0) * u
    y = y0 + (y1 - y0) * v[:, None]
    xy = torch.stack(torch.broadcast_tensors(x, y), -1)
    direction = geometry.ray_directions(xy, R_cam_from_canonical[..., None, None, :, :])
    origin = geometry.camera_center(R_cam_from_canonical, t_cam_from_canonical)[..., None, None, :]
    up = torch.tensor([0.0, 1.0, 0.0], dtype=xy.dtype, device=xy.device)
    points = geometry.intersect_plane(origin, direction, up, 0.0)
    reach = (points - origin)[..., [0, 2]].norm(dim=-1, keepdim=True)
    return torch.where(reach <= max_range_m, points, torch.nan)
