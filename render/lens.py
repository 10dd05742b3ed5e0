"""Where points of the site fall on a camera's image, through its lens, for drawing."""

from __future__ import annotations

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.types import Camera

_PADDING = 0.1
"""Points this far outside the image, as a share of its size, keep their place: edges leave the image straight."""


class Lens:
    """Lays points out on the image of ``camera``.

    Triangles are bent at their corners: a corner's place is exact, and a body's triangles are a few pixels wide, so the
    straight edges between them do not show. A lens model is only good up to the image's border; polynomials turn back
    beyond it and would fold what lies outside the view into the image, so directions past the border are left out.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._R = torch.as_tensor(camera.R_cam_from_world, dtype=torch.float64)
        self._t = torch.as_tensor(camera.t_cam_from_world, dtype=torch.float64)
        width, height = camera.size
        columns = torch.linspace(-_PADDING, 1 + _PADDING, 61, dtype=torch.float64) * (width - 1)
        rows = torch.linspace(-_PADDING, 1 + _PADDING, 61, dtype=torch.float64) * (height - 1)
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        radius = geometry.normalized_from_pixels(grid, camera).norm(dim=-1)
        self._radius = float(radius[torch.isfinite(radius)].max())

    def place(self, points_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``xy (...,2)`` px and ``depth (...)`` m of ``points_world (...,3)`` m in the site world.

        The depth is 0 and xy meaningless for points behind the camera or past what the lens shows.
        """
        points = torch.as_tensor(np.asarray(points_world, np.float64))
        ideal, depth = geometry.project_normalized(points, self._R, self._t)
        seen = (depth > geometry.NEAR_M) & (ideal.norm(dim=-1) <= self._radius)
        xy = geometry.pixels_from_normalized(torch.where(seen[..., None], ideal, 0.0), self.camera)
        return xy.numpy(), torch.where(seen, depth, 0.0).numpy()
