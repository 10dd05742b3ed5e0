"""Rotations in torch: rotation vectors on disk, matrices in computation, six numbers in optimisation."""

from __future__ import annotations

import torch
from torch import Tensor


def skew(vectors: Tensor) -> Tensor:
    """Return the cross-product matrices ``(...,3,3)`` of ``vectors (...,3)``."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def matrix_from_rotvec(rotvec: Tensor) -> Tensor:
    """Return rotation matrices ``(...,3,3)`` of rotation vectors ``(...,3)`` in rad (Rodrigues); smooth at zero."""
    square = (rotvec * rotvec).sum(-1)[..., None, None]
    small = square < 1e-8
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - square / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - square / 24, (1 - torch.cos(angle)) / safe)
    k = skew(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + sine * k + cosine * (k @ k)


def rotvec_from_matrix(matrix: Tensor) -> Tensor:
    """Return rotation vectors ``(...,3)`` in rad, of length at most pi, of rotation matrices ``(...,3,3)``.

    Goes through the unit quaternion with the largest component taken first, so it is exact near half turns too.
    """
    m = matrix
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    candidates = torch.stack(
        [
            torch.stack([1 + m00 + m11 + m22, m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0],
                         m[..., 1, 0] - m[..., 0, 1]], -1),
            torch.stack([m[..., 2, 1] - m[..., 1, 2], 1 + m00 - m11 - m22, m[..., 0, 1] + m[..., 1, 0],
                         m[..., 0, 2] + m[..., 2, 0]], -1),
            torch.stack([m[..., 0, 2] - m[..., 2, 0], m[..., 0, 1] + m[..., 1, 0], 1 - m00 + m11 - m22,
                         m[..., 1, 2] + m[..., 2, 1]], -1),
            torch.stack([m[..., 1, 0] - m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1],
                         1 - m00 - m11 + m22], -1),
        ],
        -2,
    )  # fmt: skip
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)
    quaternion = candidates.gather(-2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    quaternion = torch.nn.functional.normalize(quaternion, dim=-1)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = quaternion[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    return torch.where(sine > 1e-9, quaternion[..., 1:] * (angle / sine.clamp_min(1e-9)), 2 * quaternion[..., 1:])


def matrix_from_six(six: Tensor) -> Tensor:
    """Return rotation matrices ``(...,3,3)`` of two columns ``(...,6)``, made orthonormal (Zhou et al. 2019)."""
    first = torch.nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def six_from_matrix(matrix: Tensor) -> Tensor:
    """Return the first two columns ``(...,6)`` of rotation matrices ``(...,3,3)``."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], -1)


def right_jacobian(rotvec: Tensor) -> Tensor:
    """Return ``(...,3,3)`` by which a small change of ``rotvec (...,3)`` rad turns the rotated frame, in that frame.

    ``exp(v + d) = exp(v) exp(J d)`` to first order in ``d``.
    """
    square = (rotvec * rotvec).sum(-1)[..., None, None]
    small = square < 1e-6
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - square / 24, (1 - torch.cos(angle)) / safe)
    second = torch.where(small, 1 / 6 - square / 120, (angle - torch.sin(angle)) / (safe * angle))
    k = skew(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) - first * k + second * (k @ k)
