"""2D noise as detectors make it (method 9): correlated in time, biased, with gross errors, swaps and missing joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.skeletons import COCO17

_MEDIAN_ERROR = torch.tensor([0.6] * 5 + [1.2, 1.2, 0.9, 0.9, 0.9, 0.9, 1.6, 1.6, 1.4, 1.4, 0.9, 0.9]) / 100
_MEDIAN_OF_RAYLEIGH = 1.1774
_BIAS = 0.006
_MISSING = torch.tensor([0.05] * 5 + [0.02, 0.02, 0.10, 0.10, 0.14, 0.14, 0.03, 0.03, 0.05, 0.05, 0.06, 0.06])


@dataclass(frozen=True)
class NoiseConfig:
    """How often windows are noisy, and how. Times in seconds, other numbers are probabilities."""

    noisy: float = 0.6
    correlation_s: float = 0.12
    burst_s: float = 0.25
    gross: float = 0.03
    swap: float = 0.002
    no_face: float = 0.2
    cut: float = 0.12


DETECTOR_LIKE = NoiseConfig(noisy=1.0, no_face=0.0, cut=0.0)
"""What validation calls detector-like 2D."""


def _smooth(time_s: Tensor, shape: tuple[int, ...], scale_s: float, generator: torch.Generator | None) -> Tensor:
    """Unit Gaussian processes ``(B,T,*shape)`` over ``time_s (B,T)`` with exponential correlation."""
    gap = (time_s[:, :, None] - time_s[:, None]).abs()
    eye = 1e-4 * torch.eye(time_s.shape[1], device=time_s.device)
    factor = torch.linalg.cholesky(torch.exp(-gap / scale_s) + eye)
    white = torch.randn(*time_s.shape, *shape, generator=generator, device=time_s.device)
    return (factor @ white.flatten(2)).view_as(white)


def corrupt(
    xy: Tensor,
    visible: Tensor,
    height: Tensor,
    time_s: Tensor,
    config: NoiseConfig,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return noisy ``xy (B,T,17,2)`` and ``score (B,T,17)`` of exact ``xy`` that is ``visible (B,T,17)``.

    ``height (B,T)`` is the person's apparent height in the unit of ``xy``. Exact windows have score 1.
    """
    count, device = len(xy), xy.device

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    joints = xy.shape[2]
    chosen = (rand(count) < config.noisy).float()
    level = (0.5 + rand(count)) * chosen
    sigma = _MEDIAN_ERROR.to(device) / _MEDIAN_OF_RAYLEIGH
    jitter = _smooth(time_s, (joints, 2), config.correlation_s, generator) * sigma[:, None]
    bias = _BIAS * torch.randn(count, 1, joints, 2, generator=generator, device=device)
    burst = _smooth(time_s, (joints, 3), config.burst_s, generator)
    normal = torch.distributions.Normal(0.0, 1.0)
    gross = burst[..., 0] > normal.icdf(1 - config.gross * 2 * rand(count, 1, joints))
    wild = 0.06 * torch.randn(count, 1, joints, 2, generator=generator, device=device) * gross[..., None]
    error = (jitter + bias + wild) * level[:, None, None, None]
    swapped = (rand(*visible.shape[:2]) < config.swap) & (chosen > 0)[:, None]
    flipped = xy[:, :, list(COCO17.flip)]
    noisy = torch.where(swapped[..., None, None], flipped, xy) + error * height[..., None, None]
    often = _MISSING.to(device) * 2 * rand(count, 1, 1)
    missing = (burst[..., 1] > normal.icdf(1 - often.clamp(1e-4, 0.5))) & (chosen > 0)[:, None, None]
    kept = visible & ~missing & ~_hidden(visible, config, generator)
    size = error.norm(dim=-1)
    score = torch.exp(-size / 0.03) * (1 - 0.35 * rand(*size.shape) * (level > 0)[:, None, None])
    score = torch.where(kept, score.clamp(0.05, 1.0), torch.zeros_like(score))
    return torch.where(kept[..., None], noisy, torch.zeros_like(noisy)), score


def _hidden(visible: Tensor, config: NoiseConfig, generator: torch.Generator | None) -> Tensor:
    """Joints ``(B,T,17)`` bool that a whole window lacks: no face, or legs cut off below hips, knees or shins."""
    count, device = len(visible), visible.device
    draw = torch.rand(3, count, generator=generator, device=device)
    hidden = torch.zeros_like(visible)
    hidden[:, :, :5] |= (draw[0] < config.no_face)[:, None, None]
    cut = draw[1] < config.cut
    hidden[:, :, 15:] |= cut[:, None, None]
    hidden[:, :, 13:15] |= (cut & (draw[2] < 0.5))[:, None, None]
    hidden[:, :, 11:13] |= (cut & (draw[2] < 0.1))[:, None, None]
    return hidden
