"""Projection and its inverses: the only file that projects.

Everything is torch and batched: leading dimensions broadcast. Two image spaces occur. *Pixels* are those of the
original image, lens distortion included. *Normalised* coordinates are ideal pinhole: ``(x / z, y / z)`` in the camera
frame, no unit. The lifter sees normalised coordinates alone, so it never sees a lens.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mocap_video.types import Camera

NEAR_M = 0.05
"""Points nearer to the image plane than this, or behind it, are not visible (metres)."""

_UNDISTORT_STEPS = 20
_UNDISTORT_TOLERANCE = 1e-6


def to_camera(points_world: Tensor, R_cam_from_world: Tensor, t_cam_from_world: Tensor) -> Tensor:
    """Return ``points_world (...,3)`` m in the camera frame ``(...,3)`` m."""
    return (R_cam_from_world @ points_world[..., None])[..., 0] + t_cam_from_world


def project_normalized(points_world: Tensor, R: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Project ``points_world (...,3)`` m; return normalised ``xy (...,2)`` and ``depth (...)`` m.

    Depth is clamped to ``NEAR_M`` in the division alone, so gradients stay finite; a caller tests ``depth > NEAR_M``.
    """
    in_camera = to_camera(points_world, R, t)
    depth = in_camera[..., 2]
    return in_camera[..., :2] / depth.clamp_min(NEAR_M)[..., None], depth


def distort(xy: Tensor, model: str, coeffs: Tensor) -> Tensor:
    """Bend ideal normalised ``xy (...,2)`` by the lens (OpenCV's 5-coefficient or fisheye model)."""
    if model == "none":
        return xy
    if model == "fisheye":
        radius = xy.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        theta = torch.atan(radius)
        return xy * (_fisheye_theta(theta, coeffs) / radius)
    k1, k2, p1, p2, k3 = coeffs.unbind(-1)
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([x * radial + dx, y * radial + dy], -1)


def _fisheye_theta(theta: Tensor, coeffs: Tensor) -> Tensor:
    t2 = theta * theta
    k1, k2, k3, k4 = coeffs.unbind(-1)
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def undistort(xy: Tensor, model: str, coeffs: Tensor) -> Tensor:
    """Invert ``distort``: ``xy (...,2)`` bent to ideal; NaN where the lens model has no inverse there.

    Newton on the radius for fisheye; for OpenCV's model a fixed-point iteration on the displacement, which is how the
    model is inverted in practice. The result is checked by bending it again.
    """
    if model == "none":
        return xy
    if model == "fisheye":
        bent = xy.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        theta = bent.clamp(max=1.5)
        for _ in range(_UNDISTORT_STEPS):
            t2 = theta * theta
            k1, k2, k3, k4 = coeffs.unbind(-1)
            slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
            theta = (theta - (_fisheye_theta(theta, coeffs) - bent) / slope).clamp(0, 1.55)
        ideal = xy * (torch.tan(theta) / bent)
    else:
        ideal = xy.clone()
        for _ in range(_UNDISTORT_STEPS):
            ideal = xy - (distort(ideal, model, coeffs) - ideal)
    error = (distort(ideal, model, coeffs) - xy).norm(dim=-1, keepdim=True)
    return torch.where(error < _UNDISTORT_TOLERANCE * (1 + xy.norm(dim=-1, keepdim=True)) * 1e2, ideal, torch.nan)


def camera_tensors(camera: Camera, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``K, R, t, coeffs`` of ``camera`` with the dtype and device of ``like``."""

    def cast(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=like.dtype, device=like.device)

    return cast(camera.K), cast(camera.R_cam_from_world), cast(camera.t_cam_from_world), cast(camera.coeffs)


def project(points_world: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Project ``points_world (...,3)`` m to pixels ``(...,2)``; also ``valid (...)`` bool: in front of the camera."""
    K, R, t, coeffs = camera_tensors(camera, points_world)
    xy, depth = project_normalized(points_world, R, t)
    return pixels_from_normalized(xy, camera, K=K, coeffs=coeffs), depth > NEAR_M


def pixels_from_normalized(
    xy: Tensor, camera: Camera, *, K: Tensor | None = None, coeffs: Tensor | None = None
) -> Tensor:
    """Return pixels ``(...,2)`` of ideal normalised ``xy (...,2)``, through the lens."""
    if K is None or coeffs is None:
        K, _, _, coeffs = camera_tensors(camera, xy)
    bent = distort(xy, camera.distortion, coeffs)
    ones = torch.ones_like(bent[..., :1])
    return (K @ torch.cat([bent, ones], -1)[..., None])[..., :2, 0]


def normalized_from_pixels(pixels: Tensor, camera: Camera) -> Tensor:
    """Return ideal normalised ``(...,2)`` of ``pixels (...,2)``; NaN stays NaN, and marks pixels with no inverse."""
    K, _, _, coeffs = camera_tensors(camera, pixels)
    ones = torch.ones_like(pixels[..., :1])
    bent = (torch.linalg.inv(K) @ torch.cat([pixels, ones], -1)[..., None])[..., :2, 0]
    return undistort(bent, camera.distortion, coeffs)


def ray_directions(xy: Tensor, R_cam_from_world: Tensor) -> Tensor:
    """Return world directions ``(...,3)`` of normalised ``xy (...,2)``, scaled so that depth along them is 1."""
    ones = torch.ones_like(xy[..., :1])
    return (R_cam_from_world.transpose(-1, -2) @ torch.cat([xy, ones], -1)[..., None])[..., 0]


def camera_center(R_cam_from_world: Tensor, t_cam_from_world: Tensor) -> Tensor:
    """Return the optical centre ``(...,3)`` in the world, metres."""
    return -(R_cam_from_world.transpose(-1, -2) @ t_cam_from_world[..., None])[..., 0]


def intersect_plane(origin: Tensor, direction: Tensor, normal: Tensor, offset: Tensor | float) -> Tensor:
    """Return where rays ``origin + s direction`` (...,3) meet ``normal . x + offset = 0``; NaN where s <= 0."""
    slope = (direction * normal).sum(-1)
    height = (origin * normal).sum(-1) + offset
    safe = torch.where(slope.abs() < 1e-12, torch.full_like(slope, 1e-12), slope)
    distance = -height / safe
    points = origin + distance[..., None] * direction
    return torch.where((distance > 0)[..., None] & (slope.abs() > 1e-12)[..., None], points, torch.nan)


def triangulate(xy: Tensor, R: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """Weighted linear triangulation (DLT, Hartley and Sturm 1997) of normalised ``xy (V,...,2)``.

    ``R (V,...,3,3)``, ``t (V,...,3)`` m and ``weight (V,...)`` broadcast; weight 0 leaves a view out (its xy may be
    NaN). Returns ``(...,3)`` m in the world, NaN where fewer than two views or no baseline determine the point.
    A row's residual is the metric distance from the ray's plane, so a weight is an inverse standard deviation in metres
    up to a common factor.
    """
    xy = torch.where(weight[..., None] > 0, xy, torch.zeros_like(xy))
    rows = (xy[..., None] * R[..., 2:3, :] - R[..., :2, :]) * weight[..., None, None]
    right = (t[..., :2] - xy * t[..., 2:3]) * weight[..., None]
    normal_matrix = (rows.transpose(-1, -2) @ rows).sum(0)
    target = (rows.transpose(-1, -2) @ right[..., None])[..., 0].sum(0)
    return _solve_3x3(normal_matrix, target)


def _solve_3x3(matrix: Tensor, target: Tensor) -> Tensor:
    """Solve symmetric ``matrix (...,3,3) x = target (...,3)`` by cofactors; NaN where singular. Fast in large batches."""
    a, b, c = matrix.unbind(-1)
    bc, ca, ab = torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)
    determinant = (a * bc).sum(-1)
    scale = matrix.diagonal(dim1=-2, dim2=-1).sum(-1) / 3
    singular = determinant.abs() <= 1e-9 * scale**3
    safe = torch.where(singular, torch.ones_like(determinant), determinant)
    cofactors = torch.stack([bc, ca, ab], -2)
    solution = (cofactors @ target[..., None])[..., 0] / safe[..., None]
    return torch.where(singular[..., None], torch.nan, solution)
