"""The frame that shows video and top view side by side."""

from __future__ import annotations

import cv2
import numpy as np

from mocap_video.render.text import blend, draw_text, pill_mask

_BOARD = np.array([12, 15, 19], np.uint8)
_INK = np.array([206.0, 214.0, 224.0])
_ACCENT = np.array([80.0, 155.0, 235.0])


def side_by_side(left: np.ndarray, right: np.ndarray, height: int = 720, *, caption: str = "") -> np.ndarray:
    """Return one frame ``(H,W,3)`` uint8 RGB with ``left`` and ``right`` (each ``(h,w,3)`` uint8) ``height`` px high.

    A margin goes around them and ``caption`` below. H and W are even, as H.264 asks, and depend on the sizes alone.
    """
    margin, bar = _even(height / 45), _even(height / 18)
    panels = [_fit(panel, height) for panel in (left, right)]
    width = sum(panel.shape[1] for panel in panels) + 3 * margin
    out = np.empty((height + height % 2 + margin + bar, width + width % 2, 3), np.uint8)
    out[...] = _BOARD
    x = margin
    for panel in panels:
        out[margin : margin + height, x : x + panel.shape[1]] = panel
        x += panel.shape[1] + margin
    middle = out.shape[0] - bar / 2
    size = max(11, round(height / 46))
    tick = max(3, size // 4)
    blend(out, pill_mask(tick, size), _ACCENT, (margin, round(middle - size / 2)))
    draw_text(out, caption, (margin + tick + size * 0.6, middle), size, _INK)
    return out


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _fit(panel: np.ndarray, height: int) -> np.ndarray:
    """Return ``panel (h,w,3)`` uint8 scaled to ``height`` px, its aspect kept."""
    if panel.shape[0] == height:
        return panel
    width = round(panel.shape[1] * height / panel.shape[0])
    if height * 2 <= panel.shape[0]:
        # halving averages whole pixels, which is several times as fast as averaging shares of them
        panel = cv2.resize(panel, (panel.shape[1] // 2, panel.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(panel, (width, height), interpolation=cv2.INTER_LINEAR)
    shrinks = height < panel.shape[0]
    return cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
