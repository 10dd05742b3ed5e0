"""The body as a rig: joints in a T-pose and how each turns, with +Y up, for formats that animate a skeleton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.errors import ArtifactError
from mocap_video.pipeline.formats.axes import R_yup_from_site
from mocap_video.pipeline.formats.base import Take
from mocap_video.pipeline.results import PersonRecord
from mocap_video.skeletons import SMPL_PARENTS

JOINT_NAMES = (
    "Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot", "RightFoot", "Spine2",
    "LeftToeBase", "RightToeBase", "Neck", "LeftShoulder", "RightShoulder", "Head", "LeftArm", "RightArm",
    "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHandMiddle1", "RightHandMiddle1",
)  # fmt: skip
"""SMPL-24's joints, in its order, by the names that animation programs map by themselves."""

_AGREE_M = 1e-3
_MEASURED_FRAMES = 64


@dataclass(frozen=True)
class Rig:
    """``rest (24,3)`` m: the joints in the body's frame, T-pose, +Y up, facing +Z; ``turns (T,24,4)``: unit quaternions
    x y z w, each relative to its parent, the first into the exported frame; ``root (T,3)`` m: where the pelvis is
    there. The exported frame is ``R_yup_from_site`` of the site world.
    """

    rest: np.ndarray
    turns: np.ndarray
    root: np.ndarray

    @property
    def offsets(self) -> np.ndarray:
        """Each joint from its parent at rest ``(24,3)`` m; the root's is its place at rest."""
        return np.array([self.rest[j] - (self.rest[p] if p >= 0 else 0) for j, p in enumerate(SMPL_PARENTS)])


def rig_of(take: Take) -> Rig:
    """Return the rig of ``take``; ``ArtifactError`` where the record's joints are not those of its poses."""
    record = take.record
    R = R_yup_from_site(take.up)
    turns = turns_of(record)
    rest = _rest_joints(take, turns)
    turns[:, 0] = (Rotation.from_matrix(R) * Rotation.from_quat(turns[:, 0])).as_quat()
    return Rig(rest, _without_sign_changes(turns), record.smpl_joints_world[:, 0] @ R.T)


def turns_of(record: PersonRecord) -> np.ndarray:
    """Return the pose as unit quaternions ``(T,24,4)``, x y z w, the first into the site world's axes."""
    return Rotation.from_rotvec(record.poses.reshape(-1, 3)).as_quat().reshape(-1, 24, 4)


def _rest_joints(take: Take, turns: np.ndarray) -> np.ndarray:
    """Return the joints at rest ``(24,3)`` m: a posed joint, turned back, lies in every frame at one place."""
    record = take.record
    chosen = np.unique(np.linspace(0, len(record.frame) - 1, _MEASURED_FRAMES).round().astype(int))
    joints = record.smpl_joints_world[chosen]
    rest = [(joints[:, 0] - record.trans[chosen]).mean(0)]
    world = [Rotation.from_quat(turns[chosen, 0])]
    worst = float(np.abs(joints[:, 0] - record.trans[chosen] - rest[0]).max())
    for joint in range(1, 24):
        parent = SMPL_PARENTS[joint]
        bone = world[parent].inv().apply(joints[:, joint] - joints[:, parent])
        rest.append(rest[parent] + bone.mean(0))
        worst = max(worst, float(np.abs(bone - bone.mean(0)).max()))
        world.append(world[parent] * Rotation.from_quat(turns[chosen, joint]))
    if not worst < _AGREE_M:
        raise ArtifactError(
            f"{take.source}: smpl_joints_world, poses and trans must belong together to {1e3 * _AGREE_M:g} mm, got "
            f"{1e3 * worst:.1f} mm. Run `mocap-video run` on the clip again to write them anew."
        )
    return np.array(rest)


def _without_sign_changes(turns: np.ndarray) -> np.ndarray:
    """Return ``turns (T,J,4)`` with each quaternion of the two that mean the same nearer to the one before it."""
    flips = np.where((turns[1:] * turns[:-1]).sum(-1) < 0, -1.0, 1.0)
    return np.concatenate([turns[:1], turns[1:] * np.cumprod(flips, 0)[..., None]])
