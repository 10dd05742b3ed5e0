"""From any source to motion of our body, standing on its soles.

Joint positions: bone directions are carried over, bone lengths are not; every rotation is the smallest one that turns
our rest bone into the source's direction, so any shape can wear any motion. Rotations in SMPL's layout are taken as
they are. Keypoint sets go through the body fit. The path of the root is scaled by the ratio of the leg lengths, and its
height is set by what carries the body, because a few centimetres of height over the floor are several times as many in
depth when a camera looks across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, percentile_filter
from torch import Tensor

from mocap_video.lifter.body import BodyModel, Posed
from mocap_video.lifter.data.sources import AnyClip, KeypointClip, RotationClip, SourceClip
from mocap_video.lifter.fit import FitConfig, fit_body
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix, skew
from mocap_video.skeletons import SKELETONS
from mocap_video.types import Calibration, Camera, GroundPlane, Keypoints2D, Motion3D

_FLESH_M = {0: 0.10, 4: 0.06, 5: 0.06, 15: 0.09, 16: 0.07, 17: 0.07, 18: 0.05, 19: 0.05, 22: 0.03, 23: 0.03}
"""Distance from a joint's centre to the skin below it, for joints that may carry a body that does not stand."""

BANK_FPS = 30.0
"""Rate of prepared motion; every source is brought to it."""

_SMPL_LEG_M = 0.78
"""Thigh + shank of SMPL's mean shape: sources in SMPL's parameters give no lengths that mean anything here."""

_UPRIGHT_SD_M = 0.1
_CONTACT_M, _CONTACT_MPS = 0.04, 0.4
_RESTING_MPS = 0.2
_LEAST_RESTING = 5
_STEEPEST_RAD = 0.35
"""A foot that rests is turned flat by at most so much (20 degrees): what is steeper stands on its toes."""
_FLOOR_WINDOW_S = 2.0
_CLEARANCE_DEADZONE_M = 0.02


@dataclass(frozen=True)
class BodyMotion:
    """Motion of our body at a uniform rate, +Y up, metres.

    ``rotvec (T,24,3)`` rad, each joint relative to its parent; ``path (T,2)`` m: x and z of the pelvis for legs of unit
    length (thigh + shank); ``clearance (T)`` m: height of the lowest point of the body over the ground;
    ``contact (T,2)`` bool: the left, the right sole stands on the ground.
    """

    name: str
    source: str
    flags: tuple[str, ...]
    fps: float
    rotvec: np.ndarray
    path: np.ndarray
    clearance: np.ndarray
    contact: np.ndarray


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


def to_body(clip: AnyClip, body: BodyModel) -> BodyMotion:
    """Return a clip of any kind as motion of ``body`` at its mean shape's proportions, at ``BANK_FPS``."""
    if isinstance(clip, RotationClip):
        return _from_rotations(clip, body)
    if isinstance(clip, KeypointClip):
        return _from_keypoints(clip, body)
    return retarget(clip, body)


def retarget(clip: SourceClip, body: BodyModel) -> BodyMotion:
    """Return a clip of joint positions as motion of ``body``."""
    joints = _resampled(torch.as_tensor(clip.joints, dtype=torch.float32), clip.fps)
    rotations = joint_rotations(joints, body.rest_joints)
    hips = joints[:, [1, 2]].mean(1) / leg_length(joints).median()
    posed = body.pose(torch.zeros(10), rotations, torch.zeros(3))
    from_hips = posed.joints[:, [1, 2]].mean(1) - posed.joints[:, 0]
    root = hips * leg_length(body.rest_joints) - from_hips
    return _standing(clip.name, clip.source, clip.flags, rotations, root, body)


def _from_rotations(clip: RotationClip, body: BodyModel) -> BodyMotion:
    rotations = _resampled_rotations(matrix_from_rotvec(torch.as_tensor(clip.rotvec)), clip.fps)
    root = _resampled(torch.as_tensor(clip.root), clip.fps) / _SMPL_LEG_M * leg_length(body.rest_joints)
    if not clip.level:
        turn = _levelling(rotations, root, body)
        rotations = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], 1)
        root = root @ turn.mT
    return _standing(clip.name, clip.source, (), rotations, root, body)


def _levelling(rotations: Tensor, root: Tensor, body: BodyModel) -> Tensor:
    """Rotation ``(3,3)`` to +Y up: the direction in which the lower foot stays at one height, near the torsos' mean."""
    posed = body.pose(torch.zeros(10), rotations, root)
    torso = torch.nn.functional.normalize((posed.joints[:, 12] - posed.joints[:, 0]).mean(0), dim=0)
    soles = posed.soles.unflatten(1, (2, 3)).mean(2)
    lower = soles.gather(1, (soles @ torso).argmin(1)[:, None, None].expand(-1, 1, 3))[:, 0]
    about = lower - lower.mean(0)
    scatter = about.mT @ about / len(about) + _UPRIGHT_SD_M**2 * (torch.eye(3) - torch.outer(torso, torso))
    normal = torch.linalg.eigh(scatter).eigenvectors[:, 0]
    return swing(normal * torch.sign(normal @ torso), torch.tensor([[0.0, 1.0, 0.0]]))[0]


def _from_keypoints(clip: KeypointClip, body: BodyModel) -> BodyMotion:
    """Fit the body to joints alone: the fit's camera sees nothing, and the floor is where the lower ankle stands."""
    skeleton = SKELETONS[clip.skeleton]
    joints = _resampled(torch.as_tensor(clip.joints, dtype=torch.float32), clip.fps).double().numpy()
    lower = joints[:, skeleton.pair("ankle"), 1].min(1)
    joints[..., 1] += skeleton.stance.ankle_m - np.percentile(lower, 15)
    joints[..., [0, 2]] -= joints.mean((0, 1))[[0, 2]]
    frames, shape = np.arange(len(joints)), joints.shape[:2]
    time_s = frames / BANK_FPS
    nothing = Keypoints2D(1, clip.skeleton, frames, time_s, np.full((*shape, 2), np.nan), np.zeros(shape))
    motion = Motion3D(1, clip.skeleton, frames, time_s, joints, np.full(shape, 0.01))
    fit = fit_body(nothing, motion, _blind_camera(), body, FitConfig())
    rotvec = torch.as_tensor(np.concatenate([fit.global_orient[:, None], fit.body_pose], 1)).float()
    own = body.pose(torch.as_tensor(fit.betas).float(), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    root = torch.as_tensor(fit.joints[:, 0]).float() / leg_length(own.joints) * leg_length(body.rest_joints)
    return _standing(clip.name, clip.source, (), matrix_from_rotvec(rotvec), root, body)


def _blind_camera() -> Calibration:
    """A camera 3 m over the ground y = 0 of a site with +Y up, 10 m from its origin."""
    camera = Camera(
        np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]]),
        np.diag([-1.0, -1.0, 1.0]),
        np.array([0.0, 3.0, 10.0]),
        (1000, 1000),
    )
    return Calibration(camera, GroundPlane(np.array([0.0, 1.0, 0.0]), 0.0))


def _resampled(values: Tensor, fps: float) -> Tensor:
    """Return ``values (T,...)`` at ``BANK_FPS``, interpolated linearly."""
    before, after, share = _places(len(values), fps)
    return torch.lerp(values[before], values[after], share.view(-1, *[1] * (values.ndim - 1)))


def _resampled_rotations(rotations: Tensor, fps: float) -> Tensor:
    """Return ``rotations (T,24,3,3)`` at ``BANK_FPS``, each turned its share of the way to the next."""
    before, after, share = _places(len(rotations), fps)
    step = rotvec_from_matrix(rotations[before].mT @ rotations[after])
    return rotations[before] @ matrix_from_rotvec(step * share[:, None, None])


def _places(count: int, fps: float) -> tuple[Tensor, Tensor, Tensor]:
    place = torch.arange(int((count - 1) * BANK_FPS / fps + 1e-6) + 1) * (fps / BANK_FPS)
    before = place.floor().long().clamp_max(count - 1)
    return before, (before + 1).clamp_max(count - 1), (place - before).float()


def _standing(
    name: str, source: str, flags: tuple[str, ...], rotations: Tensor, root: Tensor, body: BodyModel
) -> BodyMotion:
    """Put ``body``, posed by ``rotations`` along the pelvis's path ``root (T,3)`` m, on the ground."""
    rotations = _flat_feet(rotations, root, body)
    posed = body.pose(torch.zeros(10), rotations, torch.zeros(3))
    placed = root - posed.joints[:, 0]
    lowest = lowest_point(posed)
    clearance = _clearance((lowest + placed[:, 1]).numpy(), BANK_FPS)
    height = torch.as_tensor(clearance) - lowest
    soles = posed.soles + torch.stack([placed[:, 0], height, placed[:, 2]], -1)[:, None]
    return BodyMotion(
        name=name,
        source=source,
        flags=flags,
        fps=BANK_FPS,
        rotvec=rotvec_from_matrix(rotations).numpy(),
        path=(root[:, [0, 2]] / leg_length(body.rest_joints)).numpy(),
        clearance=clearance,
        contact=_contact(soles),
    )


def _flat_feet(rotations: Tensor, root: Tensor, body: BodyModel) -> Tensor:
    """Turn each foot by one constant pitch, so that its sole is flat when the foot rests, as the median of a clip.

    Sources draw the bone of a foot at other slopes than our body has, so feet would stand on heels or toes and ankles
    up to 2 cm too high. What is turned is the ankle (joints 7 and 8) about the foot's own sideways axis.
    """
    posed = body.pose(torch.zeros(10), rotations, torch.zeros(3))
    soles = (posed.soles + (root - posed.joints[:, 0])[:, None]).unflatten(1, (2, 3))
    forward = soles[:, :, 2] - soles[:, :, 0]
    pitch = torch.atan2(forward[..., 1], forward[..., [0, 2]].norm(dim=-1))
    rest = body.pose(torch.zeros(10), torch.eye(3).expand(24, 3, 3), torch.zeros(3)).soles.unflatten(0, (2, 3))
    toward = torch.nn.functional.normalize(rest[:, 2] - rest[:, 0], dim=-1)
    sideways = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).expand(2, 3), toward)
    turned = rotations.clone()
    for side, joint in enumerate((7, 8)):
        resting = _resting(soles[:, side])
        if int(resting.sum()) >= _LEAST_RESTING:
            slope = pitch[resting, side].median().clamp(-_STEEPEST_RAD, _STEEPEST_RAD)
            turned[:, joint] = rotations[:, joint] @ matrix_from_rotvec(slope * sideways[side])
    return turned


def _resting(sole: Tensor) -> Tensor:
    """Frames ``(T)`` bool in which the points of one ``sole (T,3,3)`` m do not move, and are about as low as ever."""
    if len(sole) < 2:
        return torch.zeros(len(sole), dtype=torch.bool)
    step = sole.diff(dim=0).norm(dim=-1).amax(-1) * BANK_FPS
    still = torch.minimum(torch.cat([step[:1], step]), torch.cat([step, step[-1:]])) < _RESTING_MPS
    lowest = sole[..., 1].amin(-1)
    return still & (lowest < torch.quantile(lowest, 0.15) + _CONTACT_M)


def _contact(soles: Tensor) -> np.ndarray:
    """Which foot stands ``(T,2)`` bool: a point of its sole ``soles (T,6,3)`` m is low and slow along the ground."""
    speed = torch.zeros(soles.shape[:2])
    if len(soles) > 1:
        step = soles[:, :, [0, 2]].diff(dim=0).norm(dim=-1) * BANK_FPS
        speed = torch.minimum(torch.cat([step[:1], step]), torch.cat([step, step[-1:]]))
    stands = (soles[..., 1] < _CONTACT_M) & (speed < _CONTACT_MPS)
    return stands.unflatten(1, (2, 3)).any(-1).numpy()


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
