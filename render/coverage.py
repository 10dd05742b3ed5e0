"""Where in the picture a board was seen, and how well the lens explains it there."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mocap_video.render.proof import words_below

_LONG_SIDE_PX = 1600
_FRACTION_BITS = 4
_GOOD, _BAD = np.array([96.0, 220.0, 140.0]), np.array([255.0, 96.0, 84.0])
_BAD_PX = 1.0


def draw_coverage(
    rgb: np.ndarray, views: Sequence[tuple[np.ndarray, float]], said: Sequence[tuple[str, str]] = ()
) -> np.ndarray:
    """Return a picture ``(H',W',3)`` uint8 RGB of every corner over the frame ``rgb (H,W,3)`` uint8.

    ``views`` are corners ``(N,2)`` px of one picture each and the error (px) there: green at 0, red from 1 px on.
    ``said`` are lines (level, text) written below.
    """
    height, width = rgb.shape[:2]
    scale = _LONG_SIDE_PX / max(width, height)
    size = (round(width * scale), round(height * scale))
    sheet = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    sheet = np.rint(sheet * 0.45).astype(np.uint8)
    one = 1 << _FRACTION_BITS
    for corners, error in views:
        share = min(error / _BAD_PX, 1.0)
        colour = ((1 - share) * _GOOD + share * _BAD).tolist()
        places = np.rint(((corners + 0.5) * scale - 0.5) * one).astype(int)
        hull = cv2.convexHull(places.astype(np.int32))
        cv2.polylines(sheet, [hull], True, colour, 1, cv2.LINE_AA, _FRACTION_BITS)
        for place in places.tolist():
            cv2.circle(sheet, place, 3 * one, colour, -1, cv2.LINE_AA, _FRACTION_BITS)
    return np.concatenate([sheet, words_below(said, size[0])])
