"""What the body fit measures on a posed body, and how it changes with the pose, in closed form.

Features are 3-vectors of a frame, in one stack: the points of the observed skeleton, the 24 joints, the 6 soles (m) and
the rotation vectors of the free joints (rad). Parameters of a frame: three per free joint, then the translation. The
root turns by a small rotation in its own frame; the others add to their rotation vector. Hands and wrists, which no
keypoint shows, stay straight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel, KeypointBasis, Posed
from mocap_video.lifter.keypoints import keypoints, mixed
from mocap_video.lifter.rotations import matrix_from_rotvec, right_jacobian
from mocap_video.skeletons import SMPL24, SMPL_PARENTS, Skeleton

FREE = tuple(j for j, name in enumerate(SMPL24.names) if not name.endswith(("_wrist", "_hand")))
"""Joints that the fit turns; the first is the root."""
POSE_SIZE = 3 * len(FREE) + 3
"""Parameters of one frame."""
TURNS = slice(3, 3 * len(FREE))
"""Of these, the rotation vectors, in the order of the stack's turns."""
_BODY = [j - 1 for j in FREE[1:]]
_SUBTREE = torch.zeros(24, 24)
for _joint in range(24):
    _above = _joint
    while _above >= 0:
        _SUBTREE[_joint, _above] = 1.0
        _above = SMPL_PARENTS[_above]


@dataclass(frozen=True)
class Pose:
    """``R_root (B,L,3,3)``, ``rotvec (B,L,23,3)`` rad, ``transl (B,L,3)`` m, canonical frame."""

    R_root: Tensor
    rotvec: Tensor
    transl: Tensor

    @property
    def rotations(self) -> Tensor:
        """Every joint's rotation relative to its parent ``(B,L,24,3,3)``."""
        return torch.cat([self.R_root[..., None, :, :], matrix_from_rotvec(self.rotvec)], -3)

    def moved(self, step: Tensor) -> Pose:
        """Return the pose after ``step (B,L,POSE_SIZE)``."""
        rotvec = self.rotvec.clone()
        rotvec[..., _BODY, :] += step[..., 3:-3].unflatten(-1, (-1, 3))
        return replace(
            self,
            R_root=self.R_root @ matrix_from_rotvec(step[..., :3]),
            rotvec=rotvec,
            transl=self.transl + step[..., -3:],
        )

    def where(self, chosen: Tensor, other: Pose) -> Pose:
        """Return this pose in the windows ``chosen (B)`` bool, and ``other`` elsewhere."""
        mine, theirs = vars(self), vars(other)
        return Pose(**{k: torch.where(chosen.reshape(-1, *[1] * (mine[k].ndim - 1)), mine[k], theirs[k]) for k in mine})


@dataclass(frozen=True)
class Layout:
    """Where the features stand in the stack: slices over N."""

    points: slice
    joints: slice
    soles: slice
    turns: slice


def layout(skeleton: Skeleton) -> Layout:
    """Return the stack's layout for an observed ``skeleton``."""
    ends = [0]
    for size in (len(skeleton), 24, 6, len(_BODY)):
        ends.append(ends[-1] + size)
    return Layout(*(slice(a, b) for a, b in pairwise(ends)))


def features(body: BodyModel, betas: Tensor, pose: Pose, skeleton: Skeleton) -> tuple[Tensor, Posed]:
    """Return the stack ``(B,L,N,3)`` and the posed body; ``betas (...,10)`` broadcast against ``(B,L)``."""
    posed = body.pose(betas, pose.rotations, pose.transl)
    points = keypoints(posed, skeleton)
    return torch.cat([points, posed.joints, posed.soles, pose.rotvec[..., _BODY, :]], -2), posed


def pose_jacobian(body: BodyModel, betas: Tensor, pose: Pose, posed: Posed, skeleton: Skeleton) -> Tensor:
    """Return how the points of the stack change with the pose: ``(B,L,N-19,3,POSE_SIZE)``, all but the turns."""
    subtree = _SUBTREE.to(pose.transl)
    free = list(FREE)
    joints = (posed.joints[..., :, None, :] - posed.joints[..., None, :, :]) * subtree[..., None]
    coco, soles = (_arms(basis, body, betas, posed, subtree) for basis in (body.coco, body.soles))
    points = mixed(joints, coco, soles, skeleton, dim=-3)
    arms = torch.cat([points, joints, soles], -3)[..., free, :]
    axes = posed.R_world_from_joint[..., free, :, :]
    axes = torch.cat([axes[..., :1, :, :], axes[..., 1:, :, :] @ right_jacobian(pose.rotvec[..., _BODY, :])], -3)
    jacobian = arms.new_zeros(*arms.shape[:-2], 3, POSE_SIZE)
    jacobian[..., -3:] = torch.eye(3, dtype=arms.dtype, device=arms.device)
    arm = [part.repeat_interleave(3, -1) for part in arms.unbind(-1)]
    axis = [part.flatten(-2)[..., None, :] for part in axes.unbind(-2)]
    for x in range(3):  # the cross product of every joint's axes with the arm from it, component by component
        y, z = (x + 1) % 3, (x + 2) % 3
        torch.sub(axis[y] * arm[z], axis[z] * arm[y], out=jacobian[..., x, :-3])
    return jacobian


def shape_jacobian(body: BodyModel, pose: Pose, skeleton: Skeleton) -> Tensor:
    """Return how the points of the stack change with the betas ``(B,L,N-19,3,10)``: affinely, with the pose held."""
    turns = layout(skeleton).turns.start
    units = torch.eye(10, dtype=pose.transl.dtype, device=pose.transl.device)
    zero, _ = features(body, torch.zeros_like(units[0]), pose, skeleton)
    return torch.stack([features(body, unit, pose, skeleton)[0] - zero for unit in units], -1)[..., :turns, :, :]


def _arms(basis: KeypointBasis, body: BodyModel, betas: Tensor, posed: Posed, subtree: Tensor) -> Tensor:
    """Return lever arms ``(...,K,24,3)`` m: a small turn about joint ``a`` moves keypoint ``k`` by its cross product.

    Of a keypoint's share on each joint, the part that hangs below ``a`` turns about ``a``.
    """
    R = posed.R_world_from_joint
    point = basis.point + (basis.point_shape @ betas[..., None, None, :, None])[..., 0]
    rest = body.rest_joints + (body.rest_joints_shape @ betas[..., None, :, None])[..., 0]
    origin = posed.joints - (R @ rest[..., None])[..., 0]
    share = torch.einsum("...jab,...kjb->...kja", R, point) + basis.mass[..., None] * origin[..., None, :, :]
    below = torch.einsum("...kjc,ja->...kac", share, subtree)
    return below - (basis.mass @ subtree)[..., None] * posed.joints[..., None, :, :]
