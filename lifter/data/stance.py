"""Legs that stand, crouch, lunge and sit (method 10): made motion for windows whose recording hardly bends its knees.

Both feet rest flat where they were put, the pelvis sways and sinks over them, and two-bone inverse kinematics gives the
legs between. Pelvis and trunk keep what was recorded but for the turning about the vertical. Batched torch throughout.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.retarget import leg_length
from mocap_video.lifter.fit_start import bent_limb
from mocap_video.lifter.rotations import matrix_from_rotvec

_HIPS, _KNEES, _ANKLES = (1, 2), (4, 5), (7, 8)
_OUT = (1.0, -1.0)
"""Which way along x is away from the body, left and right."""

_HEIGHT = (0.45, 1.0)
"""Height of the pelvis over the ankles, in leg lengths: from sitting on a low chair to standing."""
_APART = (-0.05, 0.45)
"""How much further apart than the hips a foot is, in leg lengths."""
_AHEAD = 0.45
_SWAY = 0.15
_TURN_OUT_RAD = (-0.15, 0.7)
_REACH = 0.985
"""A leg is never longer than this share of its bones."""


def stand_on_feet(
    rotations: Tensor,
    path: Tensor,
    time_s: Tensor,
    chosen: Tensor,
    body: BodyModel,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Give the windows ``chosen (B)`` bool made legs; return all ``rotations (B,T,24,3,3)`` and ``path (B,T,2)``.

    ``path``: x and z of the pelvis in leg lengths, as in ``Windows``; ``time_s (B,T)``. The soles of a chosen window
    are meant to touch the ground.
    """
    if not bool(chosen.any()):
        return rotations, path
    made, ground = _standing(rotations[chosen], time_s[chosen], body, generator)
    rotations, path = rotations.clone(), path.clone()
    rotations[chosen], path[chosen] = made, ground
    return rotations, path


def _standing(
    rotations: Tensor, time_s: Tensor, body: BodyModel, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    count, device = len(rotations), rotations.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator, device=device)

    rest = body.rest_joints
    legs = leg_length(rest)
    R_pelvis = _without_turning(rotations[:, :, 0])
    sway = _waves(time_s, 3, generator)
    low = uniform(*_HEIGHT, 1)
    height = legs * (low + 0.12 * sway[..., 1])
    middle = legs * _SWAY * uniform(0, 1, 1, 1) * sway[..., [0, 2]]
    turn_out = uniform(*_TURN_OUT_RAD, 2)
    feet = torch.stack(
        [
            torch.tensor(_OUT, device=device) * (rest[_HIPS, 0].abs().mean() + legs * uniform(*_APART, 2)),
            legs * uniform(-_AHEAD, _AHEAD, 2) * uniform(0, 1, 1),
        ],
        -1,
    )
    from_pelvis = (R_pelvis[:, :, None] @ (rest[list(_HIPS)] - rest[0])[..., None])[..., 0]
    flat = feet[:, None] - middle[:, :, None] - from_pelvis[..., [0, 2]]
    longest = _REACH * legs
    room = (longest**2 - flat.norm(dim=-1).clamp_max(0.95 * longest) ** 2).sqrt() - from_pelvis[..., 1]
    height = torch.minimum(height, room.amin(-1)).clamp_min(0.3 * legs)
    down = -(height[..., None] + from_pelvis[..., 1])
    to_foot = torch.stack([flat[..., 0], down, flat[..., 1]], -1)
    out = rotations.clone()
    out[:, :, 0] = R_pelvis
    for side in range(2):
        yaw = turn_out[:, side] * _OUT[side]
        hip, knee, ankle = _leg(to_foot[:, :, side], yaw, R_pelvis, rest, side)
        for joint, turned in zip((_HIPS[side], _KNEES[side], _ANKLES[side]), (hip, knee, ankle), strict=True):
            out[:, :, joint] = turned
    return out, middle / legs


def _leg(to_foot: Tensor, yaw: Tensor, R_pelvis: Tensor, rest: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations ``(B,T,3,3)`` of hip, knee and ankle that put an ankle at ``to_foot (B,T,3)`` m from its hip.

    The knee points where the foot does, ``yaw (B)`` rad from ahead; the sole stays flat. Two bones, law of cosines.
    """
    hip, knee, ankle = rest[_HIPS[side]], rest[_KNEES[side]], rest[_ANKLES[side]]
    thigh, shank = (knee - hip).norm(), (ankle - knee).norm()
    reach = to_foot.norm(dim=-1).clamp(abs(float(thigh - shank)) + 0.02, float(thigh + shank) * _REACH)
    along = torch.nn.functional.normalize(to_foot, dim=-1)
    pole = torch.stack([torch.sin(yaw), torch.zeros_like(yaw), torch.cos(yaw)], -1)[:, None].expand_as(along)
    across = torch.nn.functional.normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    cosine = ((thigh**2 + reach**2 - shank**2) / (2 * thigh * reach)).clamp(-1, 1)[..., None]
    upper = cosine * along + (1 - cosine**2).sqrt() * across
    lower = torch.nn.functional.normalize(reach[..., None] * along - thigh * upper, dim=-1)
    straight = torch.nn.functional.normalize(knee - hip, dim=-1)
    thigh_in_pelvis, shank_in_pelvis = ((R_pelvis.mT @ v[..., None])[..., 0] for v in (upper, lower))
    hinge = upper.new_tensor([1.0, 0.0, 0.0])
    turn, bend = bent_limb(straight.expand_as(upper), thigh_in_pelvis, shank_in_pelvis, hinge)
    R_hip, R_knee = matrix_from_rotvec(turn), matrix_from_rotvec(bend)
    flat = matrix_from_rotvec(torch.stack([torch.zeros_like(yaw), yaw, torch.zeros_like(yaw)], -1))[:, None]
    return R_hip, R_knee, (R_pelvis @ R_hip @ R_knee).mT @ flat


def _without_turning(R_pelvis: Tensor) -> Tensor:
    """Return ``R_pelvis (B,T,3,3)`` turned about the vertical so that every frame faces +z."""
    facing = R_pelvis[..., 2]
    yaw = torch.atan2(facing[..., 0], facing[..., 2])
    zero = torch.zeros_like(yaw)
    return matrix_from_rotvec(torch.stack([zero, -yaw, zero], -1)) @ R_pelvis


def _waves(time_s: Tensor, columns: int, generator: torch.Generator | None) -> Tensor:
    """Slow random motion ``(B,T,columns)`` of about unit size: two sines of 0.1 to 0.8 Hz each."""
    draw = torch.rand(3, len(time_s), 2, columns, generator=generator, device=time_s.device)
    rate, phase, size = 0.1 + 0.7 * draw[0], 2 * math.pi * draw[1], draw[2]
    angle = 2 * math.pi * rate[:, None] * time_s[:, :, None, None] + phase[:, None]
    return (size[:, None] * torch.sin(angle)).sum(2)
