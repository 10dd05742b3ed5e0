"""Where the body fit starts: shape and pose in closed form from lifted joints, so that few iterations remain.

Everything is in a frame whose ground is y = 0 and up is +Y, metres. The skeleton may be any that names hips, knees,
ankles, shoulders, elbows and wrists.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.keypoints import keypoints
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix
from mocap_video.skeletons import SMPL24, Skeleton

_BONES = (
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
)  # fmt: skip
_LIMBS = (
    ("left_shoulder", "left_elbow", "left_wrist", (0.0, -1.0, 0.0)),
    ("right_shoulder", "right_elbow", "right_wrist", (0.0, 1.0, 0.0)),
    ("left_hip", "left_knee", "left_ankle", (1.0, 0.0, 0.0)),
    ("right_hip", "right_knee", "right_ankle", (1.0, 0.0, 0.0)),
)
"""Start, hinge, end, and the axis about which the hinge bends in the T-pose."""

_STRAIGHT = 0.3
"""Sine of the bend below which the hinge's axis is taken from the shortest turn rather than from the bend."""
_RIDGE_M2 = 4e-4
"""What one unit of every beta costs in the least squares on bone lengths: (2 cm)^2."""


def rest_points(body: BodyModel, betas: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the T-pose's points of ``skeleton`` ``(...,J,3)`` m of ``betas (...,10)``, as the file places them."""
    eye = torch.eye(3, dtype=betas.dtype, device=betas.device).expand(24, 3, 3)
    posed = body.pose(betas, eye, betas.new_zeros(3))
    return keypoints(posed, skeleton)


def start_betas(joints: Tensor, weight: Tensor, body: BodyModel, skeleton: Skeleton) -> Tensor:
    """Return ``(10)``: ridge least squares of median bone lengths of ``joints (T,J,3)`` m, ``weight (T,J)``.

    A bone counts in the frames where both its ends weigh at least their median over the track.
    """
    first = torch.tensor([skeleton.index(a) for a, _ in _BONES])
    second = torch.tensor([skeleton.index(b) for _, b in _BONES])

    def lengths(betas: Tensor) -> Tensor:
        rest = rest_points(body, betas, skeleton)
        return (rest[..., first, :] - rest[..., second, :]).norm(dim=-1)

    both = torch.minimum(weight[:, first], weight[:, second])
    measured = (joints[:, first] - joints[:, second]).norm(dim=-1)
    target = torch.where(both >= both.median(0).values, measured, torch.nan).nanmedian(0).values
    zero = joints.new_zeros(10)
    slope = torch.autograd.functional.jacobian(lengths, zero)
    assert isinstance(slope, Tensor)
    normal = slope.T @ slope + _RIDGE_M2 * torch.eye(10, dtype=zero.dtype, device=zero.device)
    return torch.linalg.solve(normal, slope.T @ (target - lengths(zero))).clamp(-3, 3)


def start_pose(joints: Tensor, betas: Tensor, body: BodyModel, skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``R_root (...,3,3)``, ``rotvec (...,23,3)`` rad and ``transl (...,3)`` m of ``joints (...,J,3)`` m.

    Torso from hips and shoulders, upper limbs from their direction, hinges from their bend; spine, head, feet and hands
    stay straight. ``betas`` broadcasts against the leading dimensions with a final 10.
    """
    at = {name: joints[..., index, :] for index, name in enumerate(skeleton.names)}
    middle_hip = (at["left_hip"] + at["right_hip"]) / 2
    middle_shoulder = (at["left_shoulder"] + at["right_shoulder"]) / 2
    across = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    R_root = _axes(middle_shoulder - middle_hip, across)
    rest = rest_points(body, torch.zeros_like(betas), skeleton)
    rotvec = joints.new_zeros(*joints.shape[:-2], 23, 3)
    for top, hinge, end, axis in _LIMBS:
        a, b = skeleton.index(top), skeleton.index(hinge)
        upper = _unit((R_root.mT @ (at[hinge] - at[top])[..., None])[..., 0])
        lower = _unit((R_root.mT @ (at[end] - at[hinge])[..., None])[..., 0])
        straight = _unit(rest[..., b, :] - rest[..., a, :])
        turn, bend = bent_limb(straight.expand_as(upper), upper, lower, joints.new_tensor(axis))
        rotvec[..., SMPL24.index(top) - 1, :] = turn
        rotvec[..., SMPL24.index(hinge) - 1, :] = bend
    rotations = torch.cat([R_root[..., None, :, :], matrix_from_rotvec(rotvec)], -3)
    posed = body.pose(betas, rotations, torch.zeros_like(middle_hip))
    points = keypoints(posed, skeleton)
    torso = [skeleton.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "shoulder")]
    return R_root, rotvec, (joints - points)[..., torso, :].mean(-2)


def bent_limb(straight: Tensor, upper: Tensor, lower: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotation vectors of the limb's top and hinge, of unit directions ``(...,3)`` in the torso's frame."""
    shortest = _turn_between(straight, upper)
    bent = torch.linalg.cross(upper, lower)
    hinge = bent + _STRAIGHT * (shortest @ axis)
    hinge = _unit(hinge - (hinge * upper).sum(-1, keepdim=True) * upper)
    rest_hinge = _unit(axis - (axis * straight).sum(-1, keepdim=True) * straight)
    rest = torch.stack([straight, rest_hinge, torch.linalg.cross(straight, rest_hinge)], -1)
    moved = torch.stack([upper, hinge, torch.linalg.cross(upper, hinge)], -1)
    angle = torch.atan2((bent * hinge).sum(-1), (upper * lower).sum(-1)).clamp(0, 2.6)
    return rotvec_from_matrix(moved @ rest.mT), angle[..., None] * axis


def _turn_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the shortest rotations ``(...,3,3)`` that turn unit ``a (...,3)`` into unit ``b (...,3)``."""
    cross, cosine = torch.linalg.cross(a, b), (a * b).sum(-1, keepdim=True)
    return matrix_from_rotvec(_unit(cross) * torch.atan2(cross.norm(dim=-1, keepdim=True), cosine))


def _axes(up: Tensor, across: Tensor) -> Tensor:
    """Return rotations ``(...,3,3)`` whose y is along ``up (...,3)`` and whose x is nearest to ``across (...,3)``."""
    y = _unit(up)
    x = _unit(across - (across * y).sum(-1, keepdim=True) * y)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)
