"""Where points of the site fall on a camera's image, through its lens, for drawing."""

from __future__ import annotations

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.types import Camera


class Lens:
    """Lays points out on the image of ``camera``.

    Triangles are bent at their corners: a corner's place is exact, and a body's triangles are a few pixels wide, so the
    straight edges between them do not show. Points outside the lens's field, which its polynomial would fold back into
    the image, are left out.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._limit = geometry.lens_limit(camera.distortion, camera.coeffs)

    def place(self, points_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``xy (...,2)`` px and ``depth (...)`` m of ``points_world (...,3)`` m in the site world.

        The depth is 0 and xy meaningless for points behind the camera or outside the lens's field. Both have the
        precision of the points.
        """
        points = torch.as_tensor(np.asarray(points_world))
        _, R, t, _ = geometry.camera_tensors(self.camera, points)
        ideal, depth = geometry.project_normalized(points, R, t)
        seen = (depth > geometry.NEAR_M) & (ideal.norm(dim=-1) <= self._limit)
        xy = geometry.pixels_from_normalized(ideal, self.camera)
        return xy.numpy(), torch.where(seen, depth, 0.0).numpy()
