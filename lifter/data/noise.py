"""2D noise as detectors make it (method 9): correlated in time, biased, with gross errors, swaps and missing joints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.errors import ConfigError
from mocap_video.skeletons import Skeleton


@dataclass(frozen=True)
class _Part:
    """Of a part of the body: median error in the person's height, and how often it is missing."""

    error: float
    missing: float


_FACE, _TORSO = _Part(0.006, 0.05), _Part(0.016, 0.03)
_PARTS = {
    "nose": _FACE, "eye": _FACE, "ear": _FACE, "head": _FACE,
    "neck": _Part(0.012, 0.02), "thorax": _Part(0.012, 0.02), "collar": _Part(0.012, 0.02),
    "shoulder": _Part(0.012, 0.02), "elbow": _Part(0.009, 0.10), "wrist": _Part(0.009, 0.14),
    "hand": _Part(0.011, 0.16),
    "pelvis": _TORSO, "hip": _TORSO, "spine": _TORSO, "spine1": _TORSO, "spine2": _TORSO, "spine3": _TORSO,
    "knee": _Part(0.014, 0.05), "ankle": _Part(0.009, 0.06), "foot": _Part(0.011, 0.08),
}  # fmt: skip
"""What was measured of COCO-17 (method 9), and its nearest for joints that other sets have."""

_CUT = ({"ankle", "foot"}, {"knee"}, {"hip", "pelvis"})
"""What goes missing below a cut through the shins, the knees, the hips."""

_MEDIAN_OF_RAYLEIGH = 1.1774
_BIAS = 0.006


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
    skeleton: Skeleton,
    config: NoiseConfig,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return noisy ``xy (B,T,J,2)`` and ``score (B,T,J)`` of exact ``xy`` that is ``visible (B,T,J)``.

    ``height (B,T)`` is the person's apparent height in the unit of ``xy``. Exact windows have score 1.
    """
    count, device = len(xy), xy.device

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    joints, parts = len(skeleton), [_PARTS[part] for part in _parts(skeleton)]
    chosen = (rand(count) < config.noisy).float()
    level = (0.5 + rand(count)) * chosen
    sigma = xy.new_tensor([part.error for part in parts]) / _MEDIAN_OF_RAYLEIGH
    jitter = _smooth(time_s, (joints, 2), config.correlation_s, generator) * sigma[:, None]
    bias = _BIAS * torch.randn(count, 1, joints, 2, generator=generator, device=device)
    burst = _smooth(time_s, (joints, 3), config.burst_s, generator)
    normal = torch.distributions.Normal(0.0, 1.0)
    gross = burst[..., 0] > normal.icdf(1 - config.gross * 2 * rand(count, 1, joints))
    wild = 0.06 * torch.randn(count, 1, joints, 2, generator=generator, device=device) * gross[..., None]
    error = (jitter + bias + wild) * level[:, None, None, None]
    swapped = (rand(*visible.shape[:2]) < config.swap) & (chosen > 0)[:, None]
    flipped = xy[:, :, list(skeleton.flip)]
    noisy = torch.where(swapped[..., None, None], flipped, xy) + error * height[..., None, None]
    often = xy.new_tensor([part.missing for part in parts]) * 2 * rand(count, 1, 1)
    missing = (burst[..., 1] > normal.icdf(1 - often.clamp(1e-4, 0.5))) & (chosen > 0)[:, None, None]
    kept = visible & ~missing & ~_hidden(visible, skeleton, config, generator)
    size = error.norm(dim=-1)
    score = torch.exp(-size / 0.03) * (1 - 0.35 * rand(*size.shape) * (level > 0)[:, None, None])
    score = torch.where(kept, score.clamp(0.05, 1.0), torch.zeros_like(score))
    return torch.where(kept[..., None], noisy, torch.zeros_like(noisy)), score


def _hidden(visible: Tensor, skeleton: Skeleton, config: NoiseConfig, generator: torch.Generator | None) -> Tensor:
    """Joints ``(B,T,J)`` bool that a whole window lacks: no face, or legs cut off below hips, knees or shins."""
    count, device = len(visible), visible.device
    draw = torch.rand(3, count, generator=generator, device=device)
    parts = _parts(skeleton)

    def among(names: set[str]) -> Tensor:
        return torch.tensor([part in names for part in parts], device=device)

    cut = draw[1] < config.cut
    hidden = (draw[0] < config.no_face)[:, None] & among({"nose", "eye", "ear"})
    for names, share in zip(_CUT, (1.0, 0.5, 0.1), strict=True):
        hidden = hidden | (cut & (draw[2] < share))[:, None] & among(names)
    return hidden[:, None].expand_as(visible)


def _parts(skeleton: Skeleton) -> list[str]:
    """What part of the body each joint is; ``ConfigError`` for a name that the table of noise lacks."""
    parts = [name.removeprefix("left_").removeprefix("right_") for name in skeleton.names]
    unknown = sorted(set(parts) - set(_PARTS))
    if unknown:
        raise ConfigError(f"keypoint set {skeleton.name}: no detector noise known for {', '.join(unknown)}")
    return parts
