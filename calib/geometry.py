"""Projection and its inverses: the only file that projects.

Everything is torch and batched: leading dimensions broadcast. Two image spaces occur. *Pixels* are those of the
original image, lens distortion included. *Normalised* coordinates are ideal pinhole: ``(x / z, y / z)`` in the camera
frame, no unit. The lifter sees normalised coordinates alone, so it never sees a lens.

Small products are written out by component: this is several times faster on large batches than batched 3 x 3 matrix
products, and autocast or TF32, which would round a product to 10 bits, leave it alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mocap_video.types import Camera

NEAR_M = 0.05
"""Points nearer to the image plane than this, or behind it, are not visible (metres)."""

_WIDEST_RAD = 1.55
"""Rays farther than this from the optical axis (88.8 degrees) have no usable pinhole coordinates."""

_RADIAL_STEPS = 30
_TANGENTIAL_STEPS = 12


def to_camera(points_world: Tensor, R_cam_from_world: Tensor, t_cam_from_world: Tensor) -> Tensor:
    """Return ``points_world (...,3)`` m in the camera frame ``(...,3)`` m."""
    return torch.stack(_camera_components(points_world, R_cam_from_world, t_cam_from_world), -1)


def _camera_components(points: Tensor, R: Tensor, t: Tensor) -> list[Tensor]:
    x, y, z = points.unbind(-1)
    return [R[..., i, 0] * x + R[..., i, 1] * y + R[..., i, 2] * z + t[..., i] for i in range(3)]


def project_normalized(points_world: Tensor, R: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Project ``points_world (...,3)`` m; return normalised ``xy (...,2)`` and ``depth (...)`` m.

    Depth is clamped to ``NEAR_M`` in the division alone, so gradients stay finite; a caller tests ``depth > NEAR_M``.
    """
    x, y, depth = _camera_components(points_world, R, t)
    divisor = depth.clamp_min(NEAR_M)
    return torch.stack([x / divisor, y / divisor], -1), depth


def lens_limit(model: str, coeffs: np.ndarray | Tensor) -> float:
    """Return the ideal normalised radius up to which the lens model is one to one (infinite without a lens).

    Beyond it the polynomial folds back: a point outside the field of view would land inside the picture. OpenCV's
    tangential terms, which move the fold a little, are left out.
    """
    if model == "none":
        return np.inf
    k = np.asarray(torch.as_tensor(coeffs).detach().cpu(), dtype=np.float64)
    k = k if model == "fisheye" else k[[0, 1, 4]]
    # The slope of u (1 + k1 u^2 + k2 u^4 + ...) is a polynomial in u^2, its first positive root the fold. Solved for
    # 1 / u^2, the polynomial begins with 1, so that coefficients near 0 do no harm.
    roots = np.roots(np.concatenate([[1.0], k * np.arange(3, 2 * len(k) + 2, 2)]))
    folds = roots.real[np.isreal(roots) & (roots.real > 1e-12)] ** -0.5
    widest = _WIDEST_RAD if model == "fisheye" else np.tan(_WIDEST_RAD)
    limit = min([*folds.tolist(), widest])
    return float(np.tan(limit)) if model == "fisheye" else float(limit)


def distort(xy: Tensor, model: str, coeffs: Tensor) -> Tensor:
    """Bend ideal normalised ``xy (...,2)`` by the lens: OpenCV's ``coeffs (5)`` or fisheye ``coeffs (4)``.

    One lens a call. The formula alone: beyond ``lens_limit`` it folds back.
    """
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

    The radius is found between 0 and the fold of the model, so the result is never on the far side of it; a few Newton
    steps then take in OpenCV's tangential terms. The result is checked by bending it again. Not for gradients.
    """
    if model == "none":
        return xy
    limit = lens_limit(model, coeffs)
    bent = xy.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    if model == "fisheye":
        radius = torch.tan(_invert_odd(bent, coeffs, float(np.arctan(limit))))
        ideal = xy * (radius / bent)
        one_to_one = torch.ones_like(bent, dtype=torch.bool)
    else:
        # Not from the fold itself, where there is no slope: short of it Newton's steps do not overshoot.
        radius = _invert_odd(bent, coeffs[[0, 1, 4]], limit).clamp(max=0.9 * limit)
        ideal, one_to_one = _invert_opencv(xy * (radius / bent), xy, coeffs, limit)
    error = (distort(ideal, model, coeffs) - xy).norm(dim=-1, keepdim=True)
    # Rounding alone leaves a few units in the last place; a point beyond the fold misses by far more.
    good = one_to_one & (error <= 256 * torch.finfo(xy.dtype).eps * (1 + bent))
    return torch.where(good, ideal, torch.nan)


def _invert_odd(target: Tensor, coeffs: Tensor, limit: float) -> Tensor:
    """Solve ``u (1 + k1 u^2 + k2 u^4 + ...) = target`` for u in [0, limit], where the left side increases.

    Newton's method kept inside a shrinking bracket; beyond the range of the left side the answer is ``limit``.
    """
    low, high = torch.zeros_like(target), torch.full_like(target, limit)
    u = target.clamp(max=limit)
    for _ in range(_RADIAL_STEPS):
        u2 = u * u
        factor, slope = torch.zeros_like(u), torch.zeros_like(u)
        for power in range(len(coeffs), 0, -1):
            factor = u2 * (factor + coeffs[power - 1])
            slope = u2 * (slope + (2 * power + 1) * coeffs[power - 1])
        short = u * (1 + factor) < target
        low, high = torch.where(short, u, low), torch.where(short, high, u)
        step = u - (u * (1 + factor) - target) / (1 + slope)
        u = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
    return u


def _invert_opencv(ideal: Tensor, bent: Tensor, coeffs: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Refine ``ideal (...,2)`` so that OpenCV's full model bends it to ``bent``; also ``(...,1)``: before the fold."""
    k1, k2, p1, p2, k3 = coeffs.unbind(-1)
    determinant = torch.ones_like(ideal[..., 0])
    for _ in range(_TANGENTIAL_STEPS):
        x, y = ideal.unbind(-1)
        r2 = x * x + y * y
        radial, rise = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
        xx = radial + x * x * rise + 2 * p1 * y + 6 * p2 * x
        yy = radial + y * y * rise + 6 * p1 * y + 2 * p2 * x
        xy = x * y * rise + 2 * p1 * x + 2 * p2 * y
        determinant = xx * yy - xy * xy
        dx, dy = (distort(ideal, "opencv", coeffs) - bent).unbind(-1)
        ideal = ideal - torch.stack([yy * dx - xy * dy, xx * dy - xy * dx], -1) / determinant[..., None]
    before_fold = (determinant > 0) & (ideal.norm(dim=-1) <= limit)
    return ideal, before_fold[..., None]


def camera_tensors(camera: Camera, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``K, R, t, coeffs`` of ``camera`` with the dtype and device of ``like``."""

    def cast(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=like.dtype, device=like.device)

    return cast(camera.K), cast(camera.R_cam_from_world), cast(camera.t_cam_from_world), cast(camera.coeffs)


def project(points_world: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Project ``points_world (...,3)`` m to pixels ``(...,2)``; also ``valid (...)`` bool.

    Valid is in front of the camera and within the lens's field, not necessarily inside the picture. Pixels that are not
    valid are finite and mean nothing.
    """
    K, R, t, coeffs = camera_tensors(camera, points_world)
    xy, depth = project_normalized(points_world, R, t)
    within = xy.norm(dim=-1) <= lens_limit(camera.distortion, camera.coeffs)
    return pixels_from_normalized(xy, camera, K=K, coeffs=coeffs), (depth > NEAR_M) & within


def pixels_from_normalized(
    xy: Tensor, camera: Camera, *, K: Tensor | None = None, coeffs: Tensor | None = None
) -> Tensor:
    """Return pixels ``(...,2)`` of ideal normalised ``xy (...,2)``, through the lens.

    A point beyond the lens's field goes to the edge of the field, where the model would fold it back into the picture.
    """
    if K is None or coeffs is None:
        K, _, _, coeffs = camera_tensors(camera, xy)
    limit = lens_limit(camera.distortion, camera.coeffs)
    if np.isfinite(limit):
        xy = xy * (limit / xy.norm(dim=-1, keepdim=True).clamp_min(1e-9)).clamp(max=1)
    u, v = distort(xy, camera.distortion, coeffs).unbind(-1)
    return torch.stack([K[0, 0] * u + K[0, 1] * v + K[0, 2], K[1, 1] * v + K[1, 2]], -1)


def normalized_from_pixels(pixels: Tensor, camera: Camera) -> Tensor:
    """Return ideal normalised ``(...,2)`` of ``pixels (...,2)``; NaN stays NaN, and marks pixels with no inverse."""
    K, _, _, coeffs = camera_tensors(camera, pixels)
    v = (pixels[..., 1] - K[1, 2]) / K[1, 1]
    u = (pixels[..., 0] - K[0, 2] - K[0, 1] * v) / K[0, 0]
    return undistort(torch.stack([u, v], -1), camera.distortion, coeffs)


def ray_directions(xy: Tensor, R_cam_from_world: Tensor) -> Tensor:
    """Return world directions ``(...,3)`` of normalised ``xy (...,2)``, scaled so that depth along them is 1."""
    right, down, forward = R_cam_from_world.unbind(-2)
    return xy[..., :1] * right + xy[..., 1:] * down + forward


def camera_center(R_cam_from_world: Tensor, t_cam_from_world: Tensor) -> Tensor:
    """Return the optical centre ``(...,3)`` in the world, metres."""
    return -(R_cam_from_world * t_cam_from_world[..., :, None]).sum(-2)


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

    ``R (V,...,3,3)``, ``t (V,...,3)`` m and ``weight (V,...)`` broadcast; a weight of 0, below 0 or NaN leaves the view
    out (its xy may be NaN), and NaN xy with a positive weight makes its point NaN. Returns ``(...,3)`` m in the
    world, NaN where fewer than two views or no baseline determine the point. A row's residual is the metric distance
    from the ray's plane, so a weight is an inverse standard deviation in metres up to a common factor.

    In float32 a point counts as undetermined when its rays are within about 0.2 degrees of parallel, or when one view
    outweighs all others together by more than about 300 to 1.
    """
    used = weight > 0
    weight = torch.where(used, weight, torch.zeros_like(weight))
    u, v = torch.where(used[..., None], xy, torch.zeros_like(xy)).unbind(-1)

    def rows(column: Tensor) -> Tensor:
        return torch.cat(
            [(u * column[..., 2] - column[..., 0]) * weight, (v * column[..., 2] - column[..., 1]) * weight]
        )

    x, y, z, right = rows(R[..., 0]), rows(R[..., 1]), rows(R[..., 2]), rows(-t)
    matrix = [(a * b).sum(0) for a, b in ((x, x), (x, y), (x, z), (y, y), (y, z), (z, z))]
    return _solve_symmetric_3x3(matrix, [(a * right).sum(0) for a in (x, y, z)])


def _solve_symmetric_3x3(matrix: list[Tensor], target: list[Tensor]) -> Tensor:
    """Solve for ``(...,3)`` by cofactors, given the upper triangle xx, xy, xz, yy, yz, zz; NaN where singular."""
    xx, xy, xz, yy, yz, zz = matrix
    a, b, c = target
    cof_xx, cof_xy, cof_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    cof_yy, cof_yz, cof_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * cof_xx + xy * cof_xy + xz * cof_xz
    # Below this the determinant is rounding: the cofactors cancel to a few units in the last place of scale cubed.
    scale = (xx + yy + zz) / 3
    singular = ~(determinant > 32 * torch.finfo(determinant.dtype).eps * scale**3)
    safe = torch.where(singular, torch.ones_like(determinant), determinant)
    columns = [
        cof_xx * a + cof_xy * b + cof_xz * c,
        cof_xy * a + cof_yy * b + cof_yz * c,
        cof_xz * a + cof_yz * b + cof_zz * c,
    ]
    return torch.where(singular[..., None], torch.nan, torch.stack(columns, -1) / safe[..., None])
