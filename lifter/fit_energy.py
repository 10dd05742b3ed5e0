"""What the body fit minimises (method.md 7.7), as squared standard deviations per frame.

Letters: B windows, L frames of a window, J joints of the observed skeleton. The frame is canonical: ground at y = 0,
+Y up, metres. Every term is a function of values; time enters in seconds alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.body import Posed
from mocap_video.lifter.pose_prior import PosePrior
from mocap_video.skeletons import SMPL24


@dataclass(frozen=True)
class FitConfig:
    """Settings of the body fit. Standard deviations say how far a term may be off before it costs 1.

    ``height_m``: known stature, or None. ``joint_sd_m``: of a lifted joint against the others of its frame, added to its
    own spread; ``root_sd_m``: of a frame's lifted joints together; ``pixel_sd_m``: of a keypoint, in metres at the joint's
    depth. ``acceleration_sd``: of the torso, m/s^2 (limbs have more, see ``ACCELERATION_FACTOR``);
    ``turn_acceleration_sd``: of each joint's rotation vector, rad/s^2. ``penetration_sd_m``, ``touch_sd_m``,
    ``slide_sd_mps``: soles on the ground. A sole touches below ``contact_height_m`` and ``contact_speed_mps``.
    ``shape_weight``: of each squared beta. ``window_frames`` and ``overlap_frames`` cut long tracks;
    ``shape_frames``: how many of the best-seen frames the shape is fitted to; ``batch_frames`` bounds the memory.
    ``shape_iterations``, ``pose_iterations``, ``contact_iterations``: of L-BFGS in the three stages.
    """

    height_m: float | None = None
    joint_sd_m: float = 0.03
    root_sd_m: float = 0.05
    pixel_sd_m: float = 0.02
    acceleration_sd: float = 3.0
    turn_acceleration_sd: float = 60.0
    penetration_sd_m: float = 0.005
    touch_sd_m: float = 0.01
    slide_sd_mps: float = 0.03
    contact_height_m: float = 0.07
    contact_speed_mps: float = 0.4
    shape_weight: float = 0.3
    window_frames: int = 240
    overlap_frames: int = 24
    shape_frames: int = 64
    batch_frames: int = 1920
    shape_iterations: int = 40
    pose_iterations: int = 60
    contact_iterations: int = 60
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.window_frames <= 2 * self.overlap_frames:
            raise ValueError("FitConfig.window_frames: expected more than twice overlap_frames")
        if self.height_m is not None and not 0.4 <= self.height_m <= 2.6:
            raise ValueError(f"FitConfig.height_m: expected a stature of 0.4 to 2.6 m, got {self.height_m}")


@dataclass(frozen=True)
class Windows:
    """What was observed, cut into windows.

    ``joints (B,L,J,3)`` m and ``joint_sd (B,L,J)`` m as lifted; ``xy (B,L,J,2)`` normalised coordinates (0 where missing),
    ``xy_weight (B,L,J)`` in [0, 1]; ``depth (B,L,J)`` m of the lifted joints; ``step_s (B,L-1)`` s between frames;
    ``valid (B,L)`` 1 or 0: frames that are not padding. ``R_cam (3,3)``, ``t_cam (3)`` m: camera from canonical.
    """

    joints: Tensor
    joint_sd: Tensor
    xy: Tensor
    xy_weight: Tensor
    depth: Tensor
    step_s: Tensor
    valid: Tensor
    R_cam: Tensor
    t_cam: Tensor


_LIMB_FACTOR = {"knee": 1.7, "elbow": 1.7, "ankle": 2.7, "foot": 3.0, "wrist": 2.7, "hand": 3.0}
ACCELERATION_FACTOR = tuple(_LIMB_FACTOR.get(name.split("_")[-1], 1.0) for name in SMPL24.names)
"""Acceleration of each joint relative to the torso's: ratios of root mean squares over recorded motion."""
_JOINT_CLEARANCE_M = 0.02
_REPROJECTION_TAIL = 3.0
_HUBER_KNEE = 2.0


def energy(
    points: Tensor,
    posed: Posed,
    rotvec: Tensor,
    contact: Tensor | None,
    seen: Windows,
    prior: PosePrior,
    config: FitConfig,
) -> Tensor:
    """Return the mean energy of a frame (scalar).

    ``points (B,L,J,3)`` m: the body's points of the observed skeleton; ``rotvec (B,L,23,3)`` rad;
    ``contact (B,L,6)`` in [0, 1], or None while contacts are unknown.
    """
    per_frame = _lifted(points, seen, config) + _reprojection(points, seen, config) + prior.energy(rotvec)
    per_frame = per_frame + _penetration(posed, config)
    total = (per_frame * seen.valid).sum()
    if seen.valid.shape[1] > 2:
        total = total + _smoothness(posed, rotvec, seen, config)
    if contact is not None:
        total = total + _contact(posed.soles, contact, seen, config)
    return total / seen.valid.sum()


def contacts(soles: Tensor, step_s: Tensor, config: FitConfig) -> Tensor:
    """Return how surely each sole point ``(B,L,6)`` stands on the ground, from ``soles (B,L,6,3)`` m: low and slow."""
    low = torch.sigmoid((config.contact_height_m - soles[..., 1]) / 0.01)
    if soles.shape[1] < 2:
        return low
    speed = (soles.diff(dim=1) / step_s[..., None, None]).norm(dim=-1)
    before, after = torch.cat([speed[:, :1], speed], 1), torch.cat([speed, speed[:, -1:]], 1)
    return low * torch.sigmoid((config.contact_speed_mps - torch.minimum(before, after)) / 0.05)


def _huber(square: Tensor) -> Tensor:
    """Pseudo-Huber of ``square``: itself when small, growing as its root beyond ``_HUBER_KNEE`` deviations."""
    knee = _HUBER_KNEE * _HUBER_KNEE
    return 2 * knee * ((1 + square / knee).sqrt() - 1)


def _lifted(points: Tensor, seen: Windows, config: FitConfig) -> Tensor:
    """``(B,L)``: a frame's joints against each other, and the frame as a whole: the lifter errs in depth as one."""
    weight = seen.joint_sd.pow(-2)[..., None]
    apart = points - seen.joints
    common = (weight * apart).sum(-2, keepdim=True) / weight.sum(-2, keepdim=True)
    relative = _huber((apart - common).square().sum(-1) / seen.joint_sd.square()).sum(-1)
    return relative + _huber(common.square().sum((-1, -2)) / config.root_sd_m**2)


def _reprojection(points: Tensor, seen: Windows, config: FitConfig) -> Tensor:
    """``(B,L)``: keypoints in the image, in metres at the lifted depth; Cauchy's tail forgives exchanged limbs."""
    xy, depth = geometry.project_normalized(points, seen.R_cam, seen.t_cam)
    apart = (xy - seen.xy).square().sum(-1) * (seen.depth / config.pixel_sd_m).square()
    tail = _REPROJECTION_TAIL * _REPROJECTION_TAIL
    weight = seen.xy_weight * (depth > geometry.NEAR_M)
    return (weight * tail * torch.log1p(apart / tail)).sum(-1)


def _penetration(posed: Posed, config: FitConfig) -> Tensor:
    """``(B,L)``: soles, and any joint nearer than its flesh is thick, below the ground."""
    soles = (-posed.soles[..., 1]).clamp_min(0).square().sum(-1)
    joints = (_JOINT_CLEARANCE_M - posed.joints[..., 1]).clamp_min(0).square().sum(-1)
    return (soles + joints) / config.penetration_sd_m**2


def _acceleration(values: Tensor, step_s: Tensor) -> Tensor:
    """Second derivative ``(B,L-2,...)`` of ``values (B,L,...)`` at uneven ``step_s (B,L-1)``."""
    step = step_s.reshape(*step_s.shape, *[1] * (values.ndim - 2))
    velocity = values.diff(dim=1) / step
    return velocity.diff(dim=1) / ((step[:, 1:] + step[:, :-1]) / 2)


def _smoothness(posed: Posed, rotvec: Tensor, seen: Windows, config: FitConfig) -> Tensor:
    """The pelvis's acceleration once, everything else against the pelvis, so the whole body's is not counted per joint."""
    pelvis = posed.joints[..., :1, :]
    moving = torch.cat([pelvis, posed.joints[..., 1:, :] - pelvis], -2)
    sd = config.acceleration_sd * moving.new_tensor(ACCELERATION_FACTOR)
    moves = _huber(_acceleration(moving, seen.step_s).square().sum(-1) / sd.square()).sum(-1)
    turns = _acceleration(rotvec, seen.step_s).square().sum((-1, -2)) / config.turn_acceleration_sd**2
    return ((moves + turns) * seen.valid[:, 2:]).sum()


def _contact(soles: Tensor, contact: Tensor, seen: Windows, config: FitConfig) -> Tensor:
    touch = contact * _huber((soles[..., 1] / config.touch_sd_m).square())
    total = (touch.sum(-1) * seen.valid).sum()
    if soles.shape[1] < 2:
        return total
    speed = soles.diff(dim=1)[..., [0, 2]].square().sum(-1) / seen.step_s[..., None].square()
    slide = contact[:, 1:] * contact[:, :-1] * _huber(speed / config.slide_sd_mps**2)
    return total + (slide.sum(-1) * seen.valid[:, 1:]).sum()
