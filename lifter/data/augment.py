"""Variation of little motion (method 10): mirror, limb exchange, rotation noise, made stances, falls, shapes.

All in batched torch on the training device. Whatever was changed, the feet are put back: the lowest point of the body
keeps the clearance over the ground that the motion had.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.bank import Windows
from mocap_video.lifter.data.retarget import leg_length, lowest_point
from mocap_video.lifter.data.stance import stand_on_feet
from mocap_video.lifter.keypoints import keypoints
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import SMPL24, Skeleton

_ROTATION_NOISE_RAD = {
    0: 0.06, 1: 0.12, 2: 0.12, 3: 0.08, 6: 0.08, 9: 0.08, 4: 0.10, 5: 0.10, 7: 0.10, 8: 0.10, 12: 0.15, 15: 0.35,
    16: 0.30, 17: 0.30, 18: 0.25, 19: 0.25,
}  # fmt: skip
_ARMS = [13, 14, 16, 17, 18, 19, 20, 21, 22, 23]
_ALL = slice(0, 3)
_STRETCHED: tuple[tuple[tuple[int, ...], slice], ...] = (
    ((4, 5), _ALL), ((7, 8), _ALL), ((18, 19), _ALL), ((20, 21), _ALL), ((1, 2), slice(0, 1)),
    ((13, 14, 16, 17), slice(0, 1)), ((12, 15), _ALL), ((3, 6, 9, 13, 14), slice(1, 2)),
)  # fmt: skip
"""What is stretched together: joints whose offset from their parent changes, and along which axes of the rest pose."""


@dataclass(frozen=True)
class AugmentConfig:
    """How often and how strongly windows are varied; probabilities unless a unit is named."""

    mirror: float = 0.5
    limb_exchange: float = 0.3
    rotation_noise: float = 0.6
    stance: float = 0.2
    fall: float = 0.04
    beta_std: float = 1.0
    proportion_std: float = 0.05
    floor_std_m: float = 0.012


def posed_joints(
    windows: Windows,
    body: BodyModel,
    skeleton: Skeleton,
    config: AugmentConfig | None,
    generator: torch.Generator | None = None,
    betas: Tensor | None = None,
) -> Tensor:
    """Return joints ``(B,T,J,3)`` m of ``skeleton``, +Y up on the ground y = 0, about the window's middle.

    ``config`` None poses the motion as it is, in the shapes ``betas (B,10)``, the mean one where None.
    """
    rotvec, path, clearance = windows.rotvec, windows.path, windows.clearance
    count, device = len(rotvec), rotvec.device

    def chance(probability: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) < probability

    worn = torch.zeros(count, 1, 10, device=device) if betas is None else betas[:, None].to(device)
    bones = None
    if config is not None:
        rotvec, path = _mirror(rotvec, path, chance(config.mirror))
        rotvec = _exchange_arms(rotvec, chance(config.limb_exchange))
        rotvec = _turn_joints(rotvec, windows.time_s, chance(config.rotation_noise), generator)
        worn = config.beta_std * torch.randn(count, 1, 10, generator=generator, device=device)
        bones = _proportions(count, config.proportion_std, device, generator)
    rotations = matrix_from_rotvec(rotvec)
    if config is not None:
        on_feet = chance(config.stance)
        rotations, path = stand_on_feet(rotations, path, windows.time_s, on_feet, body, generator)
        clearance = torch.where(on_feet[:, None], 0.0, clearance)
        rotations = _topple(rotations, chance(config.fall), generator)
    posed = body.pose(worn, rotations, torch.zeros(3, device=device), bones)
    legs = leg_length(posed.joints)[..., None]
    height = clearance - lowest_point(posed)
    if config is not None:
        height = height + config.floor_std_m * torch.randn(count, 1, generator=generator, device=device)
    shift = torch.stack([path[..., 0] * legs[..., 0], height, path[..., 1] * legs[..., 0]], -1)
    return keypoints(posed, skeleton) + shift[..., None, :]


def _mirror(rotvec: Tensor, path: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    flipped = rotvec[:, :, list(SMPL24.flip)] * torch.tensor([1.0, -1.0, -1.0], device=rotvec.device)
    flipped_path = path * torch.tensor([-1.0, 1.0], device=path.device)
    return (
        torch.where(chosen[:, None, None, None], flipped, rotvec),
        torch.where(chosen[:, None, None], flipped_path, path),
    )


def _exchange_arms(rotvec: Tensor, chosen: Tensor) -> Tensor:
    """Give a window the arms of its neighbour in the batch."""
    out = rotvec.clone()
    out[:, :, _ARMS] = torch.where(chosen[:, None, None, None], rotvec.roll(1, 0)[:, :, _ARMS], rotvec[:, :, _ARMS])
    return out


def _turn_joints(rotvec: Tensor, time_s: Tensor, chosen: Tensor, generator: torch.Generator | None) -> Tensor:
    """Add slow random rotations: a constant and two sines of 0.2 to 1.5 Hz per joint and axis."""
    count, device = len(rotvec), rotvec.device
    noise = torch.randn(4, count, 24, 3, generator=generator, device=device)
    rate = 0.2 + 1.3 * torch.rand(2, count, 24, 1, generator=generator, device=device)
    angle = 2 * torch.pi * rate[:, :, None] * time_s[:, :, None, None]
    wave = noise[0][:, None] + 0.5 * (torch.sin(angle[0] + noise[2][:, None]) + torch.cos(angle[1] + noise[3][:, None]))
    amount = torch.zeros(24, device=device)
    for joint, radians in _ROTATION_NOISE_RAD.items():
        amount[joint] = radians
    strength = torch.rand(count, generator=generator, device=device) * chosen
    return rotvec + wave * amount[:, None] * strength[:, None, None, None]


def _topple(rotations: Tensor, chosen: Tensor, generator: torch.Generator | None) -> Tensor:
    """Lay the whole body down about a random horizontal axis; it comes to rest on what is lowest."""
    count, device = len(rotations), rotations.device
    draw = torch.rand(2, count, generator=generator, device=device)
    heading = 2 * torch.pi * draw[0]
    angle = (0.8 + draw[1]) * chosen
    axis = torch.stack([torch.cos(heading), torch.zeros_like(heading), torch.sin(heading)], -1)
    turned = matrix_from_rotvec(axis * angle[:, None])[:, None] @ rotations[:, :, 0]
    return torch.cat([turned[:, :, None], rotations[:, :, 1:]], 2)


def _proportions(count: int, std: float, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Draw factors ``(B,1,24,3)`` that stretch limbs, torso, head, hips and shoulders beyond the body's shapes."""
    spread = std * torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.5, 1.5], device=device)
    factor = 1 + spread * torch.randn(count, 8, generator=generator, device=device).clamp(-2, 2)
    bones = torch.ones(count, 1, 24, 3, device=device)
    for column, (joints, axes) in enumerate(_STRETCHED):
        for joint in joints:
            bones[:, 0, joint, axes] = factor[:, column, None]
    return bones
