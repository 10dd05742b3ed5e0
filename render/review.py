"""The frame that shows video and top view side by side."""

from __future__ import annotations

import cv2
import numpy as np

from mocap_video.render.text import blend, draw_text, pill_mask
from mocap_video.render.yuv import yuv420_from_rgb
from mocap_video.types import Yuv420

_BOARD = np.array([12, 15, 19], np.uint8)
_INK = np.array([206.0, 214.0, 224.0])
_ACCENT = np.array([80.0, 155.0, 235.0])


class ReviewBoard:
    """Puts pictures of ``sizes`` (W, H) px side by side, each ``height`` px high (even), ``caption`` below.

    ``size`` (W, H) px is that of the frames it makes. Panels lie on even pixels: stored pictures are put together as
    they are.
    """

    def __init__(self, sizes: tuple[tuple[int, int], ...], height: int = 720, *, caption: str = "") -> None:
        margin, bar = _even(height / 45), _even(height / 18)
        self._panels: list[tuple[int, int, int, int]] = []
        x = margin
        for wide, tall in sizes:
            width = _even(wide * height / tall)
            self._panels.append((x, margin, width, height))
            x += width + margin
        self.size = (x, margin + height + bar)
        board = np.empty((self.size[1], self.size[0], 3), np.uint8)
        board[...] = _BOARD
        middle = self.size[1] - bar / 2
        size = max(11, round(height / 46))
        tick = max(3, size // 4)
        blend(board, pill_mask(tick, size), _ACCENT, (margin, round(middle - size / 2)))
        draw_text(board, caption, (margin + tick + size * 0.6, middle), size, _INK)
        self._board = yuv420_from_rgb(board)

    def frame(self, *pictures: Yuv420) -> Yuv420:
        """Return one frame that shows ``pictures``, given in the order of ``sizes``."""
        out = Yuv420(self._board.data.copy())
        for picture, (x, y, width, height) in zip(pictures, self._panels, strict=True):
            for target, plane, cell in zip(out.planes, picture.planes, (1, 2, 2), strict=True):
                rows = slice(y // cell, (y + height) // cell)
                columns = slice(x // cell, (x + width) // cell)
                target[rows, columns] = _fit(plane, (width // cell, height // cell))
        return out


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _fit(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ``plane (h,w)`` uint8 scaled to ``size`` (W, H) px."""
    height, width = plane.shape
    if (width, height) == size:
        return plane
    shrinks = size[1] < height
    if size[1] * 2 <= height and size[0] * 2 <= width:
        # halving averages whole pixels, which is several times as fast as averaging shares of them
        plane = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
