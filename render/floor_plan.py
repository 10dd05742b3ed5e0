"""Paths and zones drawn on a picture of the ground from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.render.text import draw_text

_ZONE_COLOUR = np.array([20.0, 110.0, 200.0])
_ZONE_OPACITY = 0.18
_INK = np.array([15.0, 40.0, 80.0])
_GRID = (228, 231, 235)
_STEPS_M = (1, 5, 10, 50, 100, 500)
_LEAST_STEP_PX = 20.0
_SHIFT = 3
"""OpenCV draws between pixels in fixed point: so many binary places."""


@dataclass(frozen=True)
class DrawnZone:
    """A zone's name and its corners ``(N,2)`` px."""

    name: str
    polygon: np.ndarray


@dataclass(frozen=True)
class DrawnPath:
    """Where someone went ``(T,2)`` px, in ``colour (3)`` RGB 0..1; a step to or from a NaN is not drawn."""

    points: np.ndarray
    colour: np.ndarray


def draw_plan(image: np.ndarray, zones: Sequence[DrawnZone], paths: Sequence[DrawnPath]) -> np.ndarray:
    """Return ``image (H,W,3)`` uint8 RGB with zones tinted and named, and paths with a dot where each begins."""
    tinted = image.copy()
    for zone in zones:
        cv2.fillPoly(tinted, [_fixed(zone.polygon)], _ZONE_COLOUR.tolist(), cv2.LINE_AA, _SHIFT)
    out = cv2.addWeighted(tinted, _ZONE_OPACITY, image, 1 - _ZONE_OPACITY, 0)
    scale = max(1.0, max(image.shape[:2]) / 900)
    for zone in zones:
        cv2.polylines(out, [_fixed(zone.polygon)], True, _ZONE_COLOUR.tolist(), round(scale), cv2.LINE_AA, _SHIFT)
    for path in paths:
        colour = (255 * np.asarray(path.colour)).round().tolist()
        for piece in _pieces(path.points):
            cv2.polylines(out, [_fixed(piece)], False, colour, round(2 * scale), cv2.LINE_AA, _SHIFT)
        start = path.points[np.isfinite(path.points).all(-1)][:1]
        for point in _fixed(start):
            cv2.circle(out, point.tolist(), round(4 * scale) << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
    for zone in zones:
        x, y = zone.polygon.mean(0)
        draw_text(out, zone.name, (float(x), float(y)), round(13 * scale), _INK, anchor=(0.5, 0.5))
    return out


def blank_plan(size: tuple[int, int], origin_px: tuple[float, float], pixels_per_metre: float) -> np.ndarray:
    """Return a white page ``(H,W,3)`` uint8 of ``size`` (W, H) px with a grid through the origin that says its step."""
    step_m = next(step for step in _STEPS_M if step * pixels_per_metre >= _LEAST_STEP_PX or step == _STEPS_M[-1])
    step_px = max(step_m * pixels_per_metre, 1.0)
    width, height = size
    page = np.full((height, width, 3), 255, np.uint8)
    for side, start, axis in ((width, origin_px[0], 1), (height, origin_px[1], 0)):
        lines = np.arange(start % step_px, side, step_px).astype(int)
        if axis:
            page[:, lines] = _GRID
        else:
            page[lines] = _GRID
    draw_text(page, f"grid {step_m} m", (8.0, height - 12.0), 13, _INK)
    return page


def _fixed(points: np.ndarray) -> np.ndarray:
    """Return ``points (N,2)`` px in OpenCV's fixed point, cut to what it can hold."""
    return (points.clip(-1e5, 1e5) * (1 << _SHIFT)).round().astype(np.int32)


def _pieces(points: np.ndarray) -> list[np.ndarray]:
    """Return the runs of ``points (T,2)`` without NaN that have two points or more."""
    whole = np.isfinite(points).all(-1)
    cuts = np.flatnonzero(np.diff(whole.astype(int))) + 1
    return [piece for piece in np.split(points, cuts) if len(piece) > 1 and np.isfinite(piece).all()]
