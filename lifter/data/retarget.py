"""From a source's joint positions to motion of our body, standing on its soles.

Bone directions are carried over, bone lengths are not: every rotation is the smallest one that turns our rest bone into
the source's direction, so any shape can wear any motion. The path of the root is scaled by the ratio of the leg
lengths, and its height is set by what carries the body, because a few centimetres of height over the floor are several
times as many in depth when a camera looks across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, percentile_filter
from torch import Tensor

from mocap_video.lifter.body import BodyModel, Posed
from mocap_video.lifter.data.motions import SourceClip
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix, skew

_FLESH_M = {0: 0.10, 4: 0.06, 5: 0.06, 15: 0.09, 16: 0.07, 17: 0.07, 18: 0.05, 19: 0.05, 22: 0.03, 23: 0.03}
"""Distance from a joint's centre to the skin below it, for joints that may carry a body that does not stand."""

_FLOOR_WINDOW_S = 2.0
_CLEARANCE_DEADZONE_M = 0.02


@dataclass(frozen=True)
class BodyMotion:
    """Motion of our body at a uniform rate, +Y up, metres.

    ``rotvec (T,24,3)`` rad, each joint relative to its parent; ``path (T,2)`` m: x and z of the pelvis for legs of unit
    length (thigh + shank); ``clearance (T)`` m: height of the lowest point of the body over the ground.
    """

    name: str
    source: str
    flags: tuple[str, ...]
    fps: float
    rotvec: np.ndarray
    path: np.ndarray
    clearance: np.ndarray


def lowest_point(posed: Posed) -> Tensor:
    """Return the height ``(...)`` m of the lowest of the soles and the flesh below the joints (+Y up)."""
    joints = list(_FLESH_M)
    flesh = torch.tensor([_FLESH_M[j] for j in joints], dtype=posed.joints.dtype, device=posed.joints.device)
    carried = (posed.joints[..., joints, 1] - flesh).amin(-1)
    return torch.minimum(posed.soles[..., 1].amin(-1), carried)


def leg_length(joints: Tensor) -> Tensor:
    """Return thigh + shank ``(...)`` m, mean of both sides, of ``joints (...,22+,3)`` in SMPL's order."""
    thigh = (joints[..., [4, 5], :] - joints[..., [1, 2], :]).norm(dim=-1)
    shank = (joints[..., [7, 8], :] - joints[..., [4, 5], :]).norm(dim=-1)
    return (thigh + shank).mean(-1)


def retarget(clip: SourceClip, body: BodyModel) -> BodyMotion:
    """Return ``clip`` as motion of ``body`` at its mean shape's proportions."""
    joints = torch.as_tensor(clip.joints, dtype=torch.float32)
    rotations = joint_rotations(joints, body.rest_joints)
    legs = leg_length(joints).median()
    own_legs = leg_length(body.rest_joints)
    hips = joints[:, [1, 2]].mean(1)
    posed = body.pose(torch.zeros(10), rotations, torch.zeros(3))
    root = hips / legs * own_legs - (posed.joints[:, [1, 2]].mean(1) - posed.joints[:, 0])
    height = (lowest_point(posed) - posed.joints[:, 0, 1] + root[:, 1]).numpy()
    return BodyMotion(
        name=clip.name,
        source=clip.source,
        flags=clip.flags,
        fps=clip.fps,
        rotvec=rotvec_from_matrix(rotations).numpy(),
        path=(root[:, [0, 2]] / own_legs).numpy(),
        clearance=_clearance(height, clip.fps),
    )


def _clearance(lowest: np.ndarray, fps: float) -> np.ndarray:
    """Height of the lowest point over a floor that follows the low points of the last seconds, never negative.

    Sources put their floor at different heights, and some drift; what stays low for a while is taken to stand.
    """
    window = max(3, min(len(lowest), round(_FLOOR_WINDOW_S * fps)))
    floor = percentile_filter(lowest, 15, size=window, mode="nearest")
    floor = gaussian_filter1d(floor, window / 4, mode="nearest")
    above = lowest - floor
    return np.where(above > _CLEARANCE_DEADZONE_M, above - _CLEARANCE_DEADZONE_M, 0.0).astype(np.float32)


def joint_rotations(joints: Tensor, rest: Tensor) -> Tensor:
    """Return relative rotations ``(T,24,3,3)`` that give ``rest (24,3)`` the bone directions of ``joints (T,22,3)``.

    The pelvis and the thorax are frames of two vectors; the spine between them shares their difference; limbs, neck and
    feet are swings without twist.
    """
    hip_line, shoulder_line = joints[:, 1] - joints[:, 2], joints[:, 16] - joints[:, 17]
    hips, shoulders = joints[:, [1, 2]].mean(1), joints[:, [16, 17]].mean(1)
    torso = shoulders - hips
    middle = 0.5 * (joints[:, 6] + joints[:, 9])
    pelvis = _frame(hip_line, middle - hips + 0.5 * torso)
    thorax = _frame(shoulder_line, shoulders - middle + 0.5 * torso)
    world: dict[int, Tensor] = {0: pelvis}
    local: dict[int, Tensor] = {0: pelvis}
    bend = rotvec_from_matrix(pelvis.mT @ thorax)
    for joint, fraction in ((3, 0.3), (6, 0.35), (9, 0.35)):
        local[joint] = matrix_from_rotvec(bend * fraction)
    world[9] = pelvis @ matrix_from_rotvec(bend)
    for joint in (13, 14):
        local[joint], world[joint] = torch.eye(3).expand(len(joints), 3, 3), world[9]
    chains = (
        (1, 4, 0), (4, 7, 1), (7, 10, 4), (2, 5, 0), (5, 8, 2), (8, 11, 5), (12, 15, 9),
        (16, 18, 13), (18, 20, 16), (17, 19, 14), (19, 21, 17),
    )  # fmt: skip
    for joint, child, parent in chains:
        target = (world[parent].mT @ (joints[:, child] - joints[:, joint])[..., None])[..., 0]
        local[joint] = swing(rest[child] - rest[joint], target)
        world[joint] = world[parent] @ local[joint]
    identity = torch.eye(3).expand(len(joints), 3, 3)
    return torch.stack([local.get(joint, identity) for joint in range(24)], 1)


def _frame(left: Tensor, up: Tensor) -> Tensor:
    """Rotation ``(T,3,3)`` whose columns are the body's left, up and front, from two directions ``(T,3)``."""
    x = torch.nn.functional.normalize(left, dim=-1)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, up), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


def swing(rest: Tensor, target: Tensor) -> Tensor:
    """Return the smallest rotation ``(T,3,3)`` that turns the direction ``rest (3)`` into ``target (T,3)``."""
    a = torch.nn.functional.normalize(rest, dim=-1).expand_as(target)
    b = torch.nn.functional.normalize(target, dim=-1)
    cosine = (a * b).sum(-1).clamp_min(-0.9999)[..., None, None]
    k = skew(torch.linalg.cross(a, b))
    return torch.eye(3) + k + k @ k / (1 + cosine)
