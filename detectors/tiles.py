"""Which parts of the image a detector must look at so that nobody on the visible ground is too small or too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap_video.detectors.config import ScanConfig
from mocap_video.detectors.standing import STATURE_M, GroundLocator

_ROWS, _COLUMNS = 36, 24
_BELOW = 0.5
"""Feet are also looked for so far below the image, in image heights: the upper body of near people is seen."""

_SHRINK = 1.5
_STRIDE = 0.3
_SHOWN = 0.5


@dataclass(frozen=True)
class TilePlan:
    """``tiles_xyxy (K,4)`` int px, the whole image first; ``complete``: people of every size on the ground are covered;
    ``typical_px``: the median height of an adult on the ground that the tiles do not cover, NaN if complete.
    """

    tiles_xyxy: np.ndarray
    complete: bool
    typical_px: float


def standing_boxes(locator: GroundLocator, config: ScanConfig) -> np.ndarray:
    """Return boxes ``(N,4)`` px of adults who stand at points of the visible ground, evenly over the image."""
    width, height = locator.image_size
    x = np.linspace(0, width - 1, _COLUMNS)
    y = np.linspace(0, (1 + _BELOW) * height - 1, _ROWS)
    feet = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    ground = locator.ground_under(feet)
    reachable = np.linalg.norm(np.nan_to_num(ground, nan=np.inf), axis=-1) <= config.max_range_m
    feet, ground = feet[reachable], ground[reachable]
    heads = locator.project(ground, STATURE_M)
    centre, half = (feet + heads) / 2, np.linalg.norm(heads - feet, axis=-1, keepdims=True) / 2
    lean = np.abs(heads - feet) / 2
    extent = np.maximum(lean, 0.4 * half)
    boxes = np.concatenate([centre - extent, centre + extent], -1)
    inside = np.clip(boxes, 0, np.tile([width, height], 2))
    shown = (inside[:, 2:] - inside[:, :2]).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    with np.errstate(invalid="ignore"):
        kept = (shown >= _SHOWN) & (2 * half[:, 0] >= config.min_person_px)
    return inside[kept]


def _tile_grid(size: tuple[int, int], smallest: float) -> np.ndarray:
    """Return candidate tiles ``(M,4)`` px: squares of falling size, clipped to the image, that overlap."""
    image = np.array(size)
    tiles = [np.array([[0, 0, *size]])]
    side = max(size) / _SHRINK
    while side >= smallest:
        extent = np.minimum(round(side), image)
        starts = [
            np.linspace(0, whole - part, 1 + int(np.ceil((whole - part) / (_STRIDE * side)))).round()
            for whole, part in zip(image, extent, strict=True)
        ]
        corners = np.stack(np.meshgrid(*starts), -1).reshape(-1, 2)
        tiles.append(np.concatenate([corners, corners + extent], -1))
        side /= _SHRINK
    return np.concatenate(tiles).astype(int)


def plan_tiles(locator: GroundLocator, size_range: tuple[float, float], config: ScanConfig) -> TilePlan:
    """Return few tiles in which every adult on the visible ground has a height within ``size_range`` of the tile.

    Greedy set cover: the whole image, then always the tile that takes in most people not yet covered.
    """
    people = standing_boxes(locator, config)
    tiles = _tile_grid(locator.image_size, config.min_person_px / size_range[1])
    low, high = size_range
    height = (people[:, 2:] - people[:, :2]).max(-1) if len(people) else np.zeros(0)
    relative = height / (tiles[:, 2:] - tiles[:, :2]).max(-1)[:, None]
    slack = 0.05 * height
    within = (people[:, :2] + slack[:, None] >= tiles[:, None, :2]) & (
        people[:, 2:] - slack[:, None] <= tiles[:, None, 2:]
    )
    covers = within.all(-1) & (relative >= low) & (relative <= high)
    chosen, missing = [0], ~covers[0]
    while (covers & missing).any() and len(chosen) < config.max_tiles:
        best = int((covers & missing).sum(-1).argmax())
        chosen.append(best)
        missing &= ~covers[best]
    uncovered = covers.any(0) & missing
    typical = float(np.median(height[uncovered])) if uncovered.any() else np.nan
    return TilePlan(tiles[chosen], not uncovered.any(), typical)
