"""What the body fit minimises (method.md 7.7), in squared standard deviations.

Letters: B windows, L frames of a window, N features (``fit_features``), P parameters, m rows of a term. The frame is
canonical: ground at y = 0, +Y up, metres. A term maps the features linearly to rows, may mix consecutive frames, and
says between which bounds a row costs nothing; so one solver serves every term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mocap_video.lifter.fit_features import Layout
from mocap_video.lifter.pose_prior import LIMIT_SD_RAD, PosePrior
from mocap_video.skeletons import SMPL24

Loss = Literal["square", "huber", "cauchy"]


@dataclass(frozen=True)
class FitConfig:
    """Settings of the body fit. Standard deviations say how far a term may be off before it costs 1.

    ``height_m``: known stature, or None. ``joint_sd_m``: of a lifted joint against the others of its frame, added to
    its own spread; ``root_sd_m``: of a frame's lifted joints together; ``pixel_sd_m``: of a keypoint, in metres where
    the joint is. ``acceleration_sd``: of the torso, m/s^2 (limbs have more, see ``ACCELERATION_FACTOR``);
    ``turn_acceleration_sd``: of each joint's rotation vector, rad/s^2. ``penetration_sd_m``, ``touch_sd_m``,
    ``slide_sd_mps``: soles on the ground. ``balance_sd_m``: of the centre of mass from above the soles that carry,
    and ``balance_s`` more for each m/s at which it moves. A sole stands below ``contact_height_m`` and
    ``contact_speed_mps``. ``shape_weight``: of each squared beta, per frame. ``lifted_share``: what counts of lifted
    joints and usual poses where the shape is fitted on the ground. Poses are solved at ``rate_hz`` or less and
    interpolated to the frames between. ``window_frames`` and ``overlap_frames`` cut long tracks; ``shape_frames``: how
    many of the best-seen frames the shape is fitted to, of the ``shape_sample`` frames of a long track that are looked
    at; ``batch_frames`` bounds the memory.
    ``shape_iterations``, ``pose_iterations``, ``contact_iterations``: at most, of the three stages.
    """

    height_m: float | None = None
    joint_sd_m: float = 0.03
    root_sd_m: float = 0.05
    pixel_sd_m: float = 0.02
    acceleration_sd: float = 3.0
    turn_acceleration_sd: float = 60.0
    penetration_sd_m: float = 0.003
    touch_sd_m: float = 0.01
    slide_sd_mps: float = 0.03
    balance_sd_m: float = 0.03
    balance_s: float = 0.4
    contact_height_m: float = 0.07
    contact_speed_mps: float = 0.4
    shape_weight: float = 0.3
    lifted_share: float = 0.2
    rate_hz: float = 30.0
    window_frames: int = 240
    overlap_frames: int = 24
    shape_frames: int = 64
    shape_sample: int = 4096
    batch_frames: int = 960
    shape_iterations: int = 8
    pose_iterations: int = 10
    contact_iterations: int = 8
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.window_frames <= 2 * self.overlap_frames:
            raise ValueError("FitConfig.window_frames: expected more than twice overlap_frames")
        if self.rate_hz <= 0:
            raise ValueError(f"FitConfig.rate_hz: expected a positive rate, got {self.rate_hz}")
        if self.height_m is not None and not 0.4 <= self.height_m <= 2.6:
            raise ValueError(f"FitConfig.height_m: expected a stature of 0.4 to 2.6 m, got {self.height_m}")


@dataclass(frozen=True)
class Windows:
    """What was observed, cut into windows.

    ``joints (B,L,J,3)`` m and ``joint_sd (B,L,J)`` m as lifted; ``xy (B,L,J,2)`` normalised (0 where missing),
    ``xy_weight (B,L,J)`` in [0, 1]; ``step_s (B,L-1)`` s between frames; ``valid (B,L)`` 1 or 0: frames that are not
    padding. ``R_cam (3,3)``, ``t_cam (3)`` m: camera from canonical.
    """

    joints: Tensor
    joint_sd: Tensor
    xy: Tensor
    xy_weight: Tensor
    step_s: Tensor
    valid: Tensor
    R_cam: Tensor
    t_cam: Tensor


_LIMB_FACTOR = {"knee": 1.7, "elbow": 1.7, "ankle": 2.7, "wrist": 2.7}
ACCELERATION_FACTOR = {
    joint: _LIMB_FACTOR.get(name.split("_")[-1], 1.0)
    for joint, name in enumerate(SMPL24.names)
    if joint > 0 and not name.endswith(("foot", "hand", "collar"))
}
"""Joints whose acceleration against the pelvis counts, with their standard deviation relative to the torso's: ratios of
root mean squares over recorded motion."""

_JOINT_CLEARANCE_M = 0.02

_UPRIGHT, _UPRIGHT_SD = 0.47, 0.015
"""The centre of mass of who stands is higher than this share of the stature (0.56 when straight, 0.4 on a chair)."""

_TAIL = {"square": 1.0, "huber": 4.0, "cauchy": 9.0}
"""Squared deviations beyond which a loss grows slower than its square."""


def _masses() -> Tensor:
    """Return each joint's share of the body's mass ``(24)``: every segment's, divided so that its centre is right.

    Shares and centres after de Leva (1996), the mean of women and men; the trunk's is spread along the spine.
    """
    mass = dict.fromkeys(SMPL24.names, 0.0)

    def add(share: float, upper: str, lower: str, down: float) -> None:
        for side in ("left_", "right_"):
            mass[side + upper] += share * (1 - down)
            mass[side + lower] += share * down

    add(0.1447, "hip", "knee", 0.385)
    add(0.0457, "knee", "ankle", 0.443)
    add(0.0133, "ankle", "foot", 0.5)
    add(0.0263, "shoulder", "elbow", 0.577)
    add(0.0150, "elbow", "wrist", 0.457)
    add(0.0059, "wrist", "hand", 0.5)
    mass["head"] += 0.0681
    for joint, share in (("pelvis", 0.26), ("spine1", 0.19), ("spine2", 0.19), ("spine3", 0.36)):
        mass[joint] += 0.4301 * share
    shares = torch.tensor(list(mass.values()))
    return shares / shares.sum()


MASS = _masses()


@dataclass(frozen=True)
class Term:
    """One term of the energy.

    ``rows`` maps features ``(B,L,N,3,P)`` to ``(B,L,m,P)``, linearly. A row costs nothing between ``low`` and ``high``.
    ``taps (B,L',k)`` mix k consecutive frames first (None: each frame as it is, L' = L). Rows go in groups of
    ``group``, which share a loss: ``confidence * loss(precision * squared length)``, both over ``(B,L',m/group)``.
    ``direct``: the rows are the turns, parameters themselves, whose derivative is the identity.
    """

    rows: Callable[[Tensor], Tensor]
    low: Tensor
    high: Tensor
    precision: Tensor
    confidence: Tensor
    group: int = 1
    loss: Loss = "square"
    taps: Tensor | None = None
    direct: bool = False

    def residual(self, stack: Tensor) -> Tensor:
        """Return how far each row of the features ``stack (B,L,N,3)`` is past its bounds: ``(B,L',m)``."""
        value = self.rows(stack[..., None])[..., 0]
        if self.taps is not None:
            kept = self.taps.shape[1]
            value = torch.stack([value[:, i : i + kept] for i in range(self.taps.shape[2])], -1)
            value = (value * self.taps[:, :, None]).sum(-1)
        return value - torch.minimum(torch.maximum(value, self.low), self.high)

    def cost(self, residual: Tensor) -> Tensor:
        """Return every window's cost ``(B)``."""
        square, tail = self._square(residual), _TAIL[self.loss]
        if self.loss == "huber":
            square = 2 * tail * ((1 + square / tail).sqrt() - 1)
        elif self.loss == "cauchy":
            square = tail * torch.log1p(square / tail)
        return (self.confidence * square).sum((-1, -2))

    def weight(self, residual: Tensor) -> Tensor:
        """Return every row's weight ``(B,L',m)`` in the quadratic that has the cost's slope here."""
        grown = 1 + self._square(residual) / _TAIL[self.loss]
        slope = {"square": torch.ones_like(grown), "huber": grown.rsqrt(), "cauchy": grown.reciprocal()}[self.loss]
        weight = (self.confidence * self.precision * slope).repeat_interleave(self.group, -1)
        return weight * ((residual != 0) | (self.low == self.high))

    def _square(self, residual: Tensor) -> Tensor:
        return self.precision * residual.square().unflatten(-1, (-1, self.group)).sum(-1)


def frame_terms(seen: Windows, at: Layout, prior: PosePrior, config: FitConfig) -> list[Term]:
    """Return the terms that see each frame alone: lifted joints, keypoints, plausible poses."""
    valid = seen.valid[..., None]
    precision = seen.joint_sd.pow(-2)
    share = (precision / precision.sum(-1, keepdim=True))[..., None, None]

    def common(points: Tensor) -> Tensor:
        return (share * points).sum(-3)

    def relative(points: Tensor) -> Tensor:
        return (points - common(points)[..., None, :, :]).flatten(-3, -2)

    def off_ray(points: Tensor) -> Tensor:
        in_camera = seen.R_cam @ points
        return (in_camera[..., :2, :] - seen.xy[..., None] * in_camera[..., 2:, :]).flatten(-3, -2)

    def turns(stack: Tensor) -> Tensor:
        return stack[..., at.turns, :, :].flatten(-3, -2)

    def near(
        rows: Callable[[Tensor], Tensor], target: Tensor, precision: Tensor, confidence: Tensor, loss: Loss
    ) -> Term:
        size = 2 if loss == "cauchy" else 3
        return Term(lambda stack: rows(stack[..., at.points, :, :]), target, target, precision, confidence, size, loss)

    lifted = seen.joints[..., None]
    ray = (seen.xy * seen.t_cam[2] - seen.t_cam[:2]).flatten(-2)
    mean, low, high = (part.flatten() for part in (prior.mean, prior.low, prior.high))
    return [
        near(relative, relative(lifted)[..., 0], precision, valid, "huber"),
        near(common, common(lifted)[..., 0], valid / config.root_sd_m**2, valid, "huber"),
        near(off_ray, ray, valid / config.pixel_sd_m**2, seen.xy_weight * valid, "cauchy"),
        Term(turns, mean, mean, prior.sd.flatten() ** -2, valid, direct=True),
        Term(turns, low, high, valid / LIMIT_SD_RAD**2, valid, direct=True),
    ]


def ground_term(seen: Windows, at: Layout, sd_m: float) -> Term:
    """Return what keeps soles, and joints with the flesh around them, above the ground."""
    valid = seen.valid[..., None]
    floor = valid.new_tensor([0.0] * 6 + [_JOINT_CLEARANCE_M] * 24)

    def heights(stack: Tensor) -> Tensor:
        return torch.cat([stack[..., at.soles, 1, :], stack[..., at.joints, 1, :]], -2)

    return Term(heights, floor, torch.full_like(floor, torch.inf), valid / sd_m**2, valid)


def motion_terms(seen: Windows, at: Layout, config: FitConfig) -> list[Term]:
    """Return smoothness: the pelvis's acceleration, the others' against it, and the turns'; nothing if L < 3."""
    if seen.valid.shape[1] < 3:
        return []
    moving = [at.joints.start + joint for joint in ACCELERATION_FACTOR]
    factors = seen.joints.new_tensor([1.0, *ACCELERATION_FACTOR.values()])
    zero = factors.new_zeros(())

    def joints(stack: Tensor) -> Tensor:
        pelvis = stack[..., at.joints.start, None, :, :]
        return torch.cat([pelvis, stack[..., moving, :, :] - pelvis], -3).flatten(-3, -2)

    def turns(stack: Tensor) -> Tensor:
        return stack[..., at.turns, :, :].flatten(-3, -2)

    taps, valid = _second_difference(seen.step_s), seen.valid[:, 2:, None]
    steady = torch.as_tensor(config.turn_acceleration_sd**-2).to(zero)
    return [
        Term(joints, zero, zero, (config.acceleration_sd * factors) ** -2, valid, 3, "huber", taps),
        Term(turns, zero, zero, steady, valid, taps=taps, direct=True),
    ]


def touch_term(contact: Tensor, seen: Windows, at: Layout, config: FitConfig) -> Term:
    """Return what holds soles that stand, ``contact (B,L,6)`` in [0, 1], at the height of the ground."""
    zero, valid = seen.joints.new_zeros(()), seen.valid[..., None]

    def height(stack: Tensor) -> Tensor:
        return stack[..., at.soles, 1, :]

    return Term(height, zero, zero, valid / config.touch_sd_m**2, contact * valid, 1, "huber")


def contact_terms(contact: Tensor, seen: Windows, at: Layout, config: FitConfig) -> list[Term]:
    """Return what holds soles that stand, ``contact (B,L,6)`` in [0, 1]: they touch the ground and do not slide."""
    zero, valid = seen.joints.new_zeros(()), seen.valid[..., None]

    def place(stack: Tensor) -> Tensor:
        return stack[..., at.soles, ::2, :].flatten(-3, -2)

    terms = [touch_term(contact, seen, at, config)]
    if seen.valid.shape[1] > 1:
        rate = seen.step_s.reciprocal()
        still = contact[:, 1:] * contact[:, :-1] * valid[:, 1:]
        terms.append(
            Term(
                place,
                zero,
                zero,
                valid[:, 1:] / config.slide_sd_mps**2,
                still,
                2,
                "huber",
                torch.stack([-rate, rate], -1),
            )
        )
    return terms


def balance_term(
    contact: Tensor, joints: Tensor, stature_m: Tensor, seen: Windows, at: Layout, config: FitConfig
) -> Term:
    """Return what keeps the centre of mass of who stands above the soles that carry, ``contact (B,L,6)`` in [0, 1].

    ``joints (B,L,24,3)`` m, as posed so far, tell how fast and how high the centre of mass is: the faster, the farther
    it may be from the feet, and whoever is low for a stature of ``stature_m (B)`` m may be seated.
    """
    mass = MASS.to(joints)
    center = (mass[:, None] * joints).sum(-2)
    share = (contact / contact.sum(-1, keepdim=True).clamp_min(1e-6))[..., None, None]

    def lean(stack: Tensor) -> Tensor:
        carried = (share * stack[..., at.soles, ::2, :]).sum(-3)
        return (mass[:, None, None] * stack[..., at.joints, ::2, :]).sum(-3) - carried

    upright = torch.sigmoid((center[..., 1] / stature_m[:, None] - _UPRIGHT) / _UPRIGHT_SD)
    carries = contact.amax(-1) * upright * seen.valid
    zero, sd = seen.joints.new_zeros(()), config.balance_sd_m + config.balance_s * _speed(center[..., ::2], seen)
    return Term(lean, zero, zero, (sd**-2)[..., None], carries[..., None], 2, "cauchy")


def lowest_soles(soles: Tensor, config: FitConfig) -> Tensor:
    """Return how surely each sole point ``(B,L,6)`` of ``soles (B,L,6,3)`` m carries in a single frame: the lowest."""
    height = soles[..., 1]
    low = torch.sigmoid((config.contact_height_m - height) / 0.01)
    return low * torch.sigmoid((height.amin(-1, keepdim=True) + 0.02 - height) / 0.005)


def contacts(soles: Tensor, seen: Windows, config: FitConfig) -> Tensor:
    """Return how surely each sole point ``(B,L,6)`` stands on the ground, from ``soles (B,L,6,3)`` m: low and slow."""
    low = torch.sigmoid((config.contact_height_m - soles[..., 1]) / 0.01)
    return low * torch.sigmoid((config.contact_speed_mps - _speed(soles, seen)) / 0.05)


def _speed(points: Tensor, seen: Windows) -> Tensor:
    """Return the speed ``(B,L,...)`` m/s of ``points (B,L,...,3)`` m: of the step before or after, the slower; 0 where
    there is neither.
    """

    def spread(value: Tensor) -> Tensor:
        return value.reshape(*value.shape, *[1] * (points.ndim - 3))

    speed = points.diff(dim=1).norm(dim=-1) / spread(seen.step_s)
    speed = torch.where(spread(seen.valid[:, 1:] > 0), speed, torch.inf)  # padding stands still, and nobody before it
    never = torch.full_like(points[:, :1, ..., 0], torch.inf)
    slower = torch.minimum(torch.cat([never, speed], 1), torch.cat([speed, never], 1))
    return torch.where(slower.isinf(), 0.0, slower)


def _second_difference(step_s: Tensor) -> Tensor:
    """Return taps ``(B,L-2,3)`` in 1/s^2 of the second derivative at uneven ``step_s (B,L-1)``."""
    before, after = step_s[:, :-1], step_s[:, 1:]
    first, last = 2 / (before * (before + after)), 2 / (after * (before + after))
    return torch.stack([first, -first - last, last], -1)
