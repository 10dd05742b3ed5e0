"""What does not move on the top view: the page's scale, the metric grid, what the camera sees, axes and scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.calib.ground import CanonicalFrame
from mocap_video.render.lens import Lens
from mocap_video.render.text import blend, draw_text
from mocap_video.types import Camera, GroundPlane

_PAPER = np.array([22.0, 27.0, 34.0])
_SEEN = np.array([38.0, 47.0, 59.0])
_EDGE = np.array([92.0, 112.0, 136.0])
_GRID = np.array([88.0, 99.0, 114.0])
_INK = np.array([206.0, 214.0, 224.0])
_AXES = (np.array([235.0, 92.0, 84.0]), np.array([112.0, 196.0, 96.0]), np.array([92.0, 150.0, 245.0]))
_CAMERA = np.array([255.0, 205.0, 96.0])

_MARGIN_M = 1.2
_LEAST_EXTENT_M = 6.0
_SHOW_CAMERA = 2.2
"""The camera is on the page unless that makes the page's extent this much larger; then it is a sign on the border."""

_FRACTION_BITS = 4
_LEAST_CELL_PX = 14
_STEPS_M = (1, 5, 10, 50, 100, 500, 1000, 5000)


@dataclass(frozen=True)
class PageMap:
    """The page as a map: canonical ground coordinates (x, z) in metres to page pixels.

    Up the page is +Z (the camera's heading), right is -X (the camera's right). ``center (2)`` m lies in the middle.
    """

    size: tuple[int, int]
    center: np.ndarray
    pixels_per_m: float

    def pixels(self, ground_xz: np.ndarray) -> np.ndarray:
        """Return ``(...,2)`` px of ``ground_xz (...,2)`` m; the top-left pixel's centre is (0, 0)."""
        middle = (np.array(self.size) - 1) / 2
        return middle - (ground_xz - self.center) * self.pixels_per_m

    def ground(self, pixels: np.ndarray) -> np.ndarray:
        """Return the ground coordinates ``(...,2)`` m of ``pixels (...,2)`` px."""
        middle = (np.array(self.size) - 1) / 2
        return self.center - (pixels - middle) / self.pixels_per_m


def fit_page(tracks: Sequence[np.ndarray], size: tuple[int, int]) -> PageMap:
    """Return the page of ``size`` (W, H) px that holds ``tracks``, each ``(T,2)`` m, and the camera where it can."""
    camera = np.zeros((1, 2))
    points = np.concatenate(list(tracks)) if tracks else np.array([[0.0, _LEAST_EXTENT_M]])
    aspect = np.array(size, np.float64)

    def fit(of: np.ndarray) -> tuple[np.ndarray, float]:
        low, high = of.min(0) - _MARGIN_M, of.max(0) + _MARGIN_M
        extent = np.maximum(high - low, _LEAST_EXTENT_M)
        return (low + high) / 2, float((aspect / extent).min())

    center, scale = fit(points)
    wide_center, wide_scale = fit(np.concatenate([points, camera]))
    if scale / wide_scale <= _SHOW_CAMERA:
        center, scale = wide_center, wide_scale
    return PageMap(size, center, scale)


def draw_paper(camera: Camera, ground: GroundPlane, frame: CanonicalFrame, page: PageMap) -> np.ndarray:
    """Return the empty page ``(H,W,3)`` uint8 RGB."""
    width, height = page.size
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[...] = _PAPER
    seen = _seen_mask(camera, frame, page)
    blend(rgb, seen, _SEEN, (0, 0))
    outline = cv2.morphologyEx(seen, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    blend(rgb, cv2.GaussianBlur(outline, (3, 3), 0), _EDGE, (0, 0), 0.7)
    _draw_grid(rgb, ground, frame, page)
    _draw_camera(rgb, page)
    for axis in level_axes(ground):
        _draw_axis(rgb, axis, _page_direction(frame, ground, axis))
    _draw_scale_bar(rgb, page)
    return rgb


def _seen_mask(camera: Camera, frame: CanonicalFrame, page: PageMap) -> np.ndarray:
    """Return ``(H,W)`` uint8: the page's points whose ground is inside the image, borders smooth."""
    columns, rows = np.meshgrid(np.arange(page.size[0]), np.arange(page.size[1]))
    xz = page.ground(np.stack([columns, rows], -1))
    points = np.stack([xz[..., 0], np.zeros_like(xz[..., 0]), xz[..., 1]], -1)
    xy, depth = Lens(camera).place(frame.to_site(points))
    inside = (depth > 0) & (xy > -0.5).all(-1) & (xy < np.array(camera.size) - 0.5).all(-1)
    return cv2.GaussianBlur(inside.astype(np.uint8) * 255, (3, 3), 0)


def level_axes(ground: GroundPlane) -> list[int]:
    """Return the numbers 0..2 of the two site axes that lie along the ground."""
    up = int(np.argmax(np.abs(ground.normal)))
    return [axis for axis in range(3) if axis != up]


def ground_axis(ground: GroundPlane, axis: int) -> np.ndarray:
    """Return site axis ``axis`` laid on the ground, ``(3)`` unit, site world."""
    flat = np.eye(3)[axis] - ground.normal[axis] * ground.normal
    return flat / np.linalg.norm(flat)


def _page_direction(frame: CanonicalFrame, ground: GroundPlane, axis: int) -> np.ndarray:
    """Return the direction ``(2)`` of site axis ``axis`` on the page, unit, px."""
    along = frame.R_canonical_from_site @ ground_axis(ground, axis)
    return -along[[0, 2]]


def _draw_grid(rgb: np.ndarray, ground: GroundPlane, frame: CanonicalFrame, page: PageMap) -> None:
    """Draw lines of constant site coordinate: fine ones, and bold ones with their number."""
    height, width = rgb.shape[:2]
    step = next(s for s in _STEPS_M if s * page.pixels_per_m >= _LEAST_CELL_PX)
    bold = next(s for s in _STEPS_M if s > step)
    corners = page.ground(np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64))
    origin = -ground.offset * ground.normal
    reach = float(width + height)
    mask = np.zeros((height, width), np.uint8)
    numbers: list[tuple[str, tuple[float, float]]] = []
    size = max(10, height // 62)
    for axis, other in (level_axes(ground), level_axes(ground)[::-1]):
        across, along = ground_axis(ground, axis), _page_direction(frame, ground, other)
        base, unit = (frame.to_canonical(p)[[0, 2]] for p in (origin, origin + across))
        values = (corners - base) @ (unit - base)
        for value in range(int(values.min() // step) * step, int(values.max()) + step, step):
            at = page.pixels(base + value * (unit - base))
            at = at + along * ((np.array([width, height]) / 2 - at) @ along)
            start, end = np.rint(np.stack([at - along * reach, at + along * reach]) * (1 << _FRACTION_BITS)).astype(int)
            strong = value % bold == 0
            cv2.line(mask, start.tolist(), end.tolist(), 150 if strong else 62, 1, cv2.LINE_AA, _FRACTION_BITS)
            place = _border_crossing(at, along, width, height, size)
            if strong and place is not None:
                numbers.append((str(value), place))
    blend(rgb, mask, _GRID, (0, 0))
    for text, place in numbers:
        draw_text(rgb, text, place, size, _INK, anchor=(0.5, 0.5), opacity=0.6)


def _border_crossing(
    at: np.ndarray, along: np.ndarray, width: int, height: int, size: int
) -> tuple[float, float] | None:
    """Return where a line crosses the strip for numbers: the page's foot if it is steep, else its left side."""
    if abs(along[1]) > abs(along[0]):
        row = height - size
        column = at[0] + along[0] * (row - at[1]) / along[1]
        return (column, row) if size * 2 < column < width - size * 2 else None
    column = size * 1.2
    row = at[1] + along[1] * (column - at[0]) / along[0]
    return (column, row) if size * 2 < row < height - size * 2 else None


def _draw_camera(rgb: np.ndarray, page: PageMap) -> None:
    """Draw the camera where it stands over the ground, or a sign with its distance on the border it lies beyond."""
    height, width = rgb.shape[:2]
    at = page.pixels(np.zeros(2))
    inset = max(16.0, height / 36)
    held = np.clip(at, inset, np.array([width, height]) - 1 - inset)
    size = height / 46
    if np.linalg.norm(held - at) < inset:
        body = np.array([[-0.62, 0.95], [0.62, 0.95], [0.62, 0.1], [-0.62, 0.1]])
        hood = np.array([[-0.28, 0.1], [0.28, 0.1], [0.72, -0.62], [-0.72, -0.62]])
        for shape in (body, hood):
            fill_polygon(rgb, held + shape * size, _CAMERA)
        return
    away = (at - held) / np.linalg.norm(at - held)
    side = np.array([-away[1], away[0]])
    fill_polygon(rgb, np.stack([held + away * size, held + side * size * 0.7, held - side * size * 0.7]), _CAMERA)
    distance = float(np.linalg.norm(at - held)) / page.pixels_per_m
    text = f"camera {distance:.0f} m"
    where = held - away * size * 1.6
    draw_text(rgb, text, (float(where[0]), float(where[1])), max(11, height // 56), _CAMERA, anchor=(0.5, 0.5))


def fill_polygon(rgb: np.ndarray, corners: np.ndarray, colour: np.ndarray) -> None:
    """Fill the convex polygon ``corners (N,2)`` px of ``rgb (H,W,3)`` uint8 in place with ``colour (3)`` 0..255."""
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, [rgb.shape[1], rgb.shape[0]])
    if (low >= high).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    fixed = np.rint((corners - low) * (1 << _FRACTION_BITS)).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, _FRACTION_BITS)
    blend(rgb, mask, colour, (int(low[0]), int(low[1])))


def _draw_axis(rgb: np.ndarray, axis: int, direction: np.ndarray) -> None:
    """Draw the ``direction (2)`` (unit, px) of site axis ``axis`` in the page's lower right."""
    height, width = rgb.shape[:2]
    length = height / 17
    root = np.array([width - length * 1.9, height - length * 1.9])
    tip = root + direction * length
    side = np.array([-direction[1], direction[0]])
    thick = side * max(1.0, height / 600)
    fill_polygon(rgb, np.stack([root + thick, tip + thick, tip - thick, root - thick]), _AXES[axis])
    head = length * 0.16
    fill_polygon(rgb, np.stack([tip + direction * head * 1.4, tip + side * head, tip - side * head]), _AXES[axis])
    size = max(12, height // 50)
    place = tip + direction * (head * 1.4 + size * 0.8)
    draw_text(rgb, "XYZ"[axis], (float(place[0]), float(place[1])), size, _AXES[axis], anchor=(0.5, 0.5))


def _draw_scale_bar(rgb: np.ndarray, page: PageMap) -> None:
    """Draw a bar of a round length in the page's upper left."""
    widest = 0.3 * page.size[0] / page.pixels_per_m
    length_m = max((n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= widest), default=1)
    length = length_m * page.pixels_per_m
    size = max(12, rgb.shape[0] // 50)
    x, y = size * 1.2, size * 1.4
    thick = max(1.5, rgb.shape[0] / 480)
    for left, right, half in (
        (x, x + length, thick),
        (x - 1, x + 1, size * 0.4),
        (x + length - 1, x + length + 1, size * 0.4),
    ):
        fill_polygon(rgb, np.array([[left, y - half], [right, y - half], [right, y + half], [left, y + half]]), _INK)
    draw_text(rgb, f"{length_m} m", (x + length + size * 0.6, y), size, _INK)
