"""The diffusion process: a squared-cosine schedule of 100 steps and x0 prediction (method 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

STEPS = 100

_LASTING_SHARE = 0.6
"""Share of the noise's variance that lasts over seconds; the rest is white over frames."""

_LASTING_S = 2.0


def signal_level(step: Tensor) -> Tensor:
    """Return the share of variance that is signal (alpha-bar) ``(...)`` after noise step ``step (...)`` in 0..STEPS-1.

    Squared cosine (Nichol and Dhariwal 2021); the last step keeps almost none.
    """

    def curve(u: Tensor) -> Tensor:
        return torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    u = (step.to(torch.float32) + 1) / STEPS
    return (curve(u) / curve(torch.zeros_like(u))).clamp(1e-4, 1.0)


def motion_noise(time_s: Tensor, points: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw unit solid noise ``(...,T,points,4)`` for frames at ``time_s (...,T)``: part white, part lasting.

    What one view leaves open lasts: a wrong depth is wrong for seconds. Noise that is white over frames would be
    averaged away by the network, and every sample would settle on the same slow error. The lasting part is an
    Ornstein-Uhlenbeck process, drawn frame after frame, so it does not depend on how a track is cut into windows.
    """
    return solid_noise(time_s, *draw_noise(time_s.shape, points, generator, time_s.device))


def draw_noise(
    shape: Sequence[int], points: int, generator: torch.Generator | None, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Draw what ``solid_noise`` is made of, white and fresh ``(*shape,points,4)``."""
    size = (*shape, points, 4)
    white, fresh = (torch.randn(size, generator=generator, device=device) for _ in range(2))
    return white, fresh


def solid_noise(time_s: Tensor, white: Tensor, fresh: Tensor) -> Tensor:
    """Return unit solid noise ``(...,T,points,4)`` at ``time_s (...,T)``: ``white``, and ``fresh`` made to last."""
    keep = torch.exp(-torch.diff(time_s).clamp_min(0) / _LASTING_S)[..., None, None]
    lasting = [fresh[..., 0, :, :]]
    for frame in range(1, time_s.shape[-1]):
        kept = keep[..., frame - 1, :, :]
        lasting.append(kept * lasting[-1] + (1 - kept**2).sqrt() * fresh[..., frame, :, :])
    return _LASTING_SHARE**0.5 * torch.stack(lasting, -3) + (1 - _LASTING_SHARE) ** 0.5 * white


def add_noise(x0: Tensor, noise: Tensor, step: Tensor) -> Tensor:
    """Return ``x0 (B,...)`` at noise step ``step (B)``."""
    level = signal_level(step).to(x0.dtype).view(-1, *[1] * (x0.ndim - 1))
    return level.sqrt() * x0 + (1 - level).sqrt() * noise


def ddim_step(x: Tensor, x0: Tensor, step: Tensor, next_step: Tensor) -> Tensor:
    """Return ``x (B,...)`` moved from ``step`` to ``next_step (B)`` given the predicted ``x0`` (DDIM, eta = 0)."""
    shape = (-1, *[1] * (x.ndim - 1))
    level, target = (signal_level(s).to(x.dtype).view(shape) for s in (step, next_step))
    noise = (x - level.sqrt() * x0) / (1 - level).sqrt().clamp_min(1e-4)
    return target.sqrt() * x0 + (1 - target).sqrt() * noise


def sampling_steps(count: int) -> list[int]:
    """Return ``count`` descending noise steps from the last one down, evenly spread."""
    if not 1 <= count <= STEPS:
        raise ValueError(f"sampling steps: expected 1 to {STEPS}, got {count}")
    return [STEPS - 1 - i * STEPS // count for i in range(count)]


def training_steps(
    count: int, device: torch.device, generator: torch.Generator | None = None, last_share: float = 0.0
) -> Tensor:
    """Draw ``count`` training steps ``(count)``: half anywhere, half in the noisiest third, which decides most; but
    ``last_share`` of them are the last.
    """
    draw = torch.rand(2, count, generator=generator, device=device)
    low = torch.where(draw[0] < 0.5, 0.0, 2 / 3)
    step = ((low + (1 - low) * draw[1]) * STEPS).long().clamp_max(STEPS - 1)
    if last_share > 0:
        step[torch.rand(count, generator=generator, device=device) < last_share] = STEPS - 1
    return step
