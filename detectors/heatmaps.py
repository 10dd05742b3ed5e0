"""From the heatmaps of a top-down pose network to positions and honest scores, batched in torch.

Heatmaps ``(N,K,h,w)`` hold one map a keypoint, trained against Gaussians of height 1 and ``SIGMA`` cells. Positions in
them count cells: the centre of the first cell is (0, 0).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from mocap_video.skeletons import COCO17

SIGMA = 2.0
"""Standard deviation of the training targets, in cells."""

BOX_MARGIN = 1.25
"""The crop's sides over those of the person's box: what these networks are trained on."""

TOLERANCE = 0.02
"""A keypoint is right when it is off by less than this part of the person's height."""

_BLUR_CELLS = 11
_SMALLEST = 1e-3
_LARGEST_PEAK = 0.99
_LARGEST_STEP = 1.0
_BEST_KEYPOINTS = 9


def decode(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions ``(N,K,2)`` in cells, x first, and the height ``(N,K)`` of the peak there.

    The largest cell, refined by one Newton step on the logarithm of the smoothed map, in which a Gaussian is a
    parabola (Zhang et al., Distribution-Aware Coordinate Representation for Human Pose Estimation, 2020).
    """
    width = heatmaps.shape[-1]
    peak, place = heatmaps.flatten(-2).max(-1)
    row, column = place // width, place % width
    maps = functional.pad(_blurred(heatmaps).clamp_min(_SMALLEST).log(), (1, 1, 1, 1), mode="replicate").flatten(-2)
    steps = torch.arange(3, device=heatmaps.device)
    rows = (row[..., None, None] + steps[:, None]) * (width + 2)
    around = (rows + column[..., None, None] + steps).flatten(-2)
    step = _newton_step(maps.gather(-1, around).unflatten(-1, (3, 3)))
    between_cells = torch.exp((step**2).sum(-1) / (2 * SIGMA**2))
    return torch.stack([column, row], -1) + step, peak * between_cells


def _newton_step(window: torch.Tensor) -> torch.Tensor:
    """Return the way ``(...,2)`` from the middle of ``window (...,3,3)`` to the top of the parabola through it.

    No way where it has no top, and at most a cell along each axis.
    """
    upper, middle, lower = window.unbind(-2)
    dx = (middle[..., 2] - middle[..., 0]) / 2
    dy = (lower[..., 1] - upper[..., 1]) / 2
    dxx = middle[..., 2] - 2 * middle[..., 1] + middle[..., 0]
    dyy = lower[..., 1] - 2 * middle[..., 1] + upper[..., 1]
    dxy = (lower[..., 2] - lower[..., 0] - upper[..., 2] + upper[..., 0]) / 4
    determinant = dxx * dyy - dxy**2
    is_top = (determinant > 1e-9) & (dxx < 0)
    determinant = torch.where(is_top, determinant, 1.0)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / determinant[..., None]
    return torch.where(is_top[..., None], step, 0.0).clamp(-_LARGEST_STEP, _LARGEST_STEP)


def _blurred(heatmaps: torch.Tensor) -> torch.Tensor:
    """Return ``heatmaps (N,K,h,w)`` under a Gaussian of ``SIGMA`` cells, zero outside."""
    reach = _BLUR_CELLS // 2
    cells = torch.arange(-reach, reach + 1, device=heatmaps.device, dtype=heatmaps.dtype)
    kernel = torch.softmax(-(cells**2) / (2 * SIGMA**2), 0)
    maps = heatmaps.flatten(0, 1)[:, None]
    maps = functional.conv2d(maps, kernel.view(1, 1, 1, -1), padding=(0, reach))
    maps = functional.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return maps.view_as(heatmaps)


def mirrored_back(heatmaps: torch.Tensor) -> torch.Tensor:
    """Return the maps ``(N,17,h,w)`` of mirrored crops as those of the crops: turned over, left and right exchanged."""
    return heatmaps[:, list(COCO17.flip)].flip(-1)


def keypoint_scores(peak: torch.Tensor, rows: int) -> torch.Tensor:
    """Return the chance ``(N,K)`` that a keypoint is right (see ``TOLERANCE``), from its ``peak (N,K)``.

    The map that is best in the mean square is the mean of the targets over all places where the keypoint may be. Where
    those scatter by s about one place, its peak is S^2 / (S^2 + s^2) with S = ``SIGMA``, so the peak tells s, and s the
    chance to be off by less than the tolerance. ``rows`` of the heatmap show the person ``BOX_MARGIN`` times over.
    """
    p = peak.clamp(0, _LARGEST_PEAK)
    scatter = SIGMA**2 * (1 - p) / p.clamp_min(1e-6)
    tolerance = TOLERANCE * (rows - 1) / BOX_MARGIN
    return 1 - torch.exp(-(tolerance**2) / (2 * scatter))


def person_presence(peak: torch.Tensor) -> torch.Tensor:
    """Return ``(N)`` in [0, 1]: the mean of the better half of ``peak (N,17)``, so that hidden limbs do not count."""
    return peak.clamp(0, 1).topk(_BEST_KEYPOINTS, -1).values.mean(-1)
