"""The proof picture: what a calibration claims, drawn over a frame, so that an eye can refute it.

A metric grid on the ground, posts of a person's height, the horizon, the site's axes, people measured by the
calibration, and below the picture the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.calib.ground import canonical_frame
from mocap_video.render.lens import Lens
from mocap_video.render.paper import ground_axis, level_axes
from mocap_video.render.text import blend, draw_text, pill_mask, text_mask
from mocap_video.types import Calibration

POST_M = 1.7
"""Height of the posts: a person's."""

_LONG_SIDE_PX = 1600
_REACH_M = 40.0
_FADE_M = 18.0
_SAMPLE_M = 0.2
_CELLS_M = (1, 2, 5, 10, 20, 50)
_POST_REACH_M = 25
_BAND, _POSTS_A_BAND = 1.4, 3
"""Of the posts between a distance and so many times it, only a few are drawn."""

_POST_GAP = 6.0
"""Tops of posts are at least so far apart across the picture, in heights of the text, or in different rows."""

_APART_DEG = 20.0
"""Axes that are drawn less apart hide each other."""

_FRACTION_BITS = 4

_GRID = np.array([235.0, 244.0, 255.0])
_HORIZON = np.array([255.0, 214.0, 92.0])
_POST = np.array([255.0, 138.0, 76.0])
_PERSON = np.array([120.0, 255.0, 190.0])
_AXES = (np.array([240.0, 84.0, 76.0]), np.array([108.0, 208.0, 92.0]), np.array([92.0, 156.0, 255.0]))
_PAPER = np.array([22.0, 27.0, 34.0])
_INK = np.array([226.0, 232.0, 240.0])
_SHADE = np.zeros(3)
BULLETS = {
    "ok": np.array([96.0, 200.0, 120.0]),
    "note": np.array([130.0, 146.0, 166.0]),
    "warning": np.array([255.0, 190.0, 72.0]),
    "wrong": np.array([245.0, 86.0, 80.0]),
}
"""Colours of what is said, by its level."""


@dataclass(frozen=True)
class Measured:
    """A person in the picture: ``feet (2)`` and ``head (2)`` px of the frame, on the ground and at the top of the
    height that is claimed, ``stature_m``.
    """

    feet: np.ndarray
    head: np.ndarray
    stature_m: float


@dataclass(frozen=True)
class _Sheet:
    """What is drawn on: the picture ``rgb (H,W,3)``, changed in place, its lens, and sizes of text and lines in px."""

    rgb: np.ndarray
    lens: Lens
    calibration: Calibration
    text_px: int
    line_px: int

    def polyline(self, points_world: np.ndarray, colour: np.ndarray, opacity: np.ndarray, width: int) -> None:
        """Draw the line through ``points_world (N,3)`` m, ``opacity (N)`` 0..1 along it; the unseen is left out."""
        mask = np.zeros(self.rgb.shape[:2], np.uint8)
        self.trace(mask, points_world, opacity, width)
        blend(self.rgb, mask, colour, (0, 0))

    def trace(self, mask: np.ndarray, points_world: np.ndarray, opacity: np.ndarray, width: int) -> None:
        """As ``polyline``, into ``mask (H,W)`` uint8."""
        xy, depth = self.lens.place(points_world)
        near = (np.abs(xy) < 4 * max(mask.shape)).all(-1) & (depth > 0)
        fixed = np.rint(np.where(near[:, None], xy, 0) * (1 << _FRACTION_BITS)).astype(int)
        for i in np.flatnonzero(near[:-1] & near[1:]):
            strength = int(255 * opacity[i])
            if strength > 3:
                cv2.line(mask, fixed[i].tolist(), fixed[i + 1].tolist(), strength, width, cv2.LINE_AA, _FRACTION_BITS)

    def inside(self, points_world: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Return which of ``points_world (N,3)`` m are in the picture."""
        xy, depth = self.lens.place(points_world)
        height, width = self.rgb.shape[:2]
        return (depth > 0) & (xy > margin).all(-1) & (xy < np.array([width, height]) - margin).all(-1)

    def tag(self, text: str, at: np.ndarray, colour: np.ndarray, *, anchor: tuple[float, float] = (0.5, 0.5)) -> None:
        """Write ``text`` on a dark pill, its ``anchor`` at ``at (2)`` px, kept inside the picture."""
        height, width = self.rgb.shape[:2]
        wide, tall = text_mask(text, self.text_px).shape[1] + self.text_px, round(self.text_px * 1.45)
        x = int(np.clip(at[0] - anchor[0] * wide, 2, max(2, width - wide - 2)))
        y = int(np.clip(at[1] - anchor[1] * tall, 2, max(2, height - tall - 2)))
        blend(self.rgb, pill_mask(wide, tall), _SHADE, (x, y), 0.62)
        draw_text(self.rgb, text, (x + wide / 2, y + tall / 2), self.text_px, colour, anchor=(0.5, 0.5))


def draw_proof(
    rgb: np.ndarray,
    calibration: Calibration,
    said: Sequence[tuple[str, str]] = (),
    people: Sequence[Measured] = (),
) -> np.ndarray:
    """Return the proof picture ``(H',W',3)`` uint8 RGB of ``calibration`` over the frame ``rgb (H,W,3)`` uint8.

    ``said`` are lines (level, text) written below, levels as in ``BULLETS``; ``people`` are measured in this frame.
    """
    height, width = rgb.shape[:2]
    if calibration.camera.size != (width, height):
        raise ValueError(f"rgb: expected {calibration.camera.size} (W, H), got {(width, height)}")
    scale = _LONG_SIDE_PX / max(width, height)
    size = (round(width * scale), round(height * scale))
    frame = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    frame = np.rint(frame * 0.82).astype(np.uint8)
    sheet = _Sheet(frame, Lens(calibration.camera.resized(size)), calibration, max(15, size[0] // 75), 2)
    _draw_grid(sheet)
    _draw_horizon(sheet)
    _draw_posts(sheet)
    _draw_axes(sheet)
    for person in people:
        _draw_person(sheet, person, scale)
    return np.concatenate([sheet.rgb, words_below(said, size[0])])


def _ground_grid(calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the site's origin on the ground and its two level axes there, ``(3)`` each, m and unit."""
    plane = calibration.ground
    a, b = (ground_axis(plane, axis) for axis in level_axes(plane))
    b = b - (b @ a) * a
    return -plane.offset * plane.normal, a, b / np.linalg.norm(b)


def _draw_grid(sheet: _Sheet) -> None:
    origin, a, b = _ground_grid(sheet.calibration)
    below = _below(sheet)
    middle = np.array([(below - origin) @ a, (below - origin) @ b])
    height = float(sheet.calibration.ground.height_of(sheet.calibration.camera.center_world))
    cell = next((c for c in _CELLS_M if c >= height / 6), _CELLS_M[-1])
    reach, fade = _REACH_M * cell, _FADE_M * cell
    mask = np.zeros(sheet.rgb.shape[:2], np.uint8)
    for along, across, start, other in ((a, b, middle[0], middle[1]), (b, a, middle[1], middle[0])):
        steps = np.arange(start - reach, start + reach, _SAMPLE_M * cell)
        first = np.ceil((other - reach) / cell) * cell
        for value in np.arange(first, other + reach, cell):
            points = origin + steps[:, None] * along + value * across
            far = np.linalg.norm(points - below, axis=-1)
            strong = round(value / cell) % 5 == 0
            opacity = (0.85 if strong else 0.42) * np.clip(1 - far / reach, 0, 1) * np.exp(-((far / fade) ** 2))
            sheet.trace(mask, points, np.where(far < reach, opacity, 0), sheet.line_px + strong)
    blend(sheet.rgb, mask, _GRID, (0, 0))


def _draw_horizon(sheet: _Sheet) -> None:
    """Dashes along the horizon, with its name where it crosses the picture."""
    frame = canonical_frame(sheet.calibration.camera, sheet.calibration.ground)
    angles = np.radians(np.arange(-85, 85, 0.1))
    far = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], -1) * 1e7
    points = frame.to_site(far)
    dashes = (np.arange(len(angles)) // 8 % 2 == 0) * 0.95
    sheet.polyline(points, _HORIZON, dashes, sheet.line_px + 1)
    seen = np.flatnonzero(sheet.inside(points, sheet.text_px))
    if len(seen):
        xy, _ = sheet.lens.place(points[seen])
        left = xy[np.argmin(xy[:, 0])]
        sheet.tag("horizon", left - [0, sheet.text_px], _HORIZON, anchor=(0.0, 0.5))


def _nodes(sheet: _Sheet) -> np.ndarray:
    """Return ground points ``(N,3)`` m at whole metres of the site at which posts stand whole in view, near ones first
    and none so close to another in the picture that they cover it.
    """
    origin, a, b = _ground_grid(sheet.calibration)
    up, below = sheet.calibration.ground.normal, _below(sheet)
    start = np.round([(below - origin) @ a, (below - origin) @ b])
    steps = np.arange(-_POST_REACH_M, _POST_REACH_M + 1)
    u, v = np.meshgrid(start[0] + steps, start[1] + steps)
    points = origin + u.reshape(-1, 1) * a + v.reshape(-1, 1) * b
    points = points[np.argsort(np.linalg.norm(points - below, axis=-1))]
    (feet, _), (tops, _) = sheet.lens.place(points), sheet.lens.place(points + POST_M * up)
    whole = sheet.inside(points, sheet.text_px) & sheet.inside(points + POST_M * up, sheet.text_px)
    tall = np.linalg.norm(tops - feet, axis=-1) > 2 * sheet.text_px
    band = np.log(np.linalg.norm(points - below, axis=-1) + 1e-9) // np.log(_BAND)
    kept: list[int] = []
    for row in np.flatnonzero(whole & tall):
        apart = np.abs(tops[kept] - tops[row]) / sheet.text_px
        clear = (apart > [_POST_GAP, 2.0]).any(-1).all() and (apart[:, 0] > 2.0).all()
        if clear and (band[kept] == band[row]).sum() < _POSTS_A_BAND:
            kept.append(int(row))
    return points[kept]


def _below(sheet: _Sheet) -> np.ndarray:
    """Return the ground point ``(3)`` m below the camera."""
    return canonical_frame(sheet.calibration.camera, sheet.calibration.ground).to_site(np.zeros(3))


def _draw_posts(sheet: _Sheet) -> None:
    """Posts on round feet, with their distance from the camera over the ground."""
    nodes, up, below = _nodes(sheet), sheet.calibration.ground.normal, _below(sheet)
    _, a, b = _ground_grid(sheet.calibration)
    turn, steps = np.linspace(0, 2 * np.pi, 25)[:, None], np.linspace(0, POST_M, 18)[:, None]
    ring = 0.12 * (np.cos(turn) * a + np.sin(turn) * b)
    for colour, opacity, width in ((_SHADE, 0.55, 3), (_POST, 1.0, 1)):
        mask = np.zeros(sheet.rgb.shape[:2], np.uint8)
        for foot in nodes:
            for line in (foot + steps * up, foot + ring):
                sheet.trace(mask, line, np.ones(len(line)), sheet.line_px + width)
        blend(sheet.rgb, mask, colour, (0, 0), opacity)
    for foot in nodes[::-1]:
        top = sheet.lens.place((foot + POST_M * up)[None])[0][0]
        sheet.tag(f"{np.linalg.norm(foot - below):.1f} m", top - [0, 0.9 * sheet.text_px], _POST)


def _draw_axes(sheet: _Sheet) -> None:
    """The site's axes, 1 m each, at its origin; where that is out of the picture, at a point of the grid that is in."""
    origin, _, _ = _ground_grid(sheet.calibration)
    plane, at = sheet.calibration.ground, origin
    if not sheet.inside(at[None], 2.0 * sheet.text_px)[0]:
        nodes = _nodes(sheet)
        if len(nodes) == 0:
            return
        at = _place_of_axes(sheet, nodes)
    level = level_axes(plane)
    for axis in range(3):
        direction = ground_axis(plane, axis) if axis in level else np.sign(plane.normal[axis]) * plane.normal
        line = at + np.linspace(0, 1, 12)[:, None] * direction
        for colour, opacity, width in ((_SHADE, 0.6, 5), (_AXES[axis], 1.0, 2)):
            sheet.polyline(line, colour, np.full(len(line), opacity), sheet.line_px + width)
        tip, depth = sheet.lens.place((at + 1.12 * direction)[None])
        if depth[0] > 0:
            sheet.tag("xyz"[axis], tip[0], _AXES[axis])
    name = "origin" if at is origin else f"({', '.join(f'{round(c, 2) + 0.0:g}' for c in at)}) m"
    place = sheet.lens.place(at[None])[0][0]
    sheet.tag(name, place + np.array([0, 1.1 * sheet.text_px]), _INK)


def _place_of_axes(sheet: _Sheet, nodes: np.ndarray) -> np.ndarray:
    """Return the one of ``nodes (N,3)`` m that is nearest to the lower middle of the picture, of those at which the
    upright axis does not hide a level one: straight ahead of the camera it would.
    """
    _, a, b = _ground_grid(sheet.calibration)
    xy = sheet.lens.place(nodes)[0]
    up = sheet.lens.place(nodes + sheet.calibration.ground.normal)[0] - xy
    level = [sheet.lens.place(nodes + axis)[0] - xy for axis in (a, b)]
    apart = np.min([_turned_deg(up, other) for other in level], axis=0)
    height, width = sheet.rgb.shape[:2]
    off = np.linalg.norm(xy - [0.5 * width, 0.8 * height], axis=-1)
    clear = apart > min(_APART_DEG, float(apart.max()) - 1)
    return nodes[np.argmin(np.where(clear, off, np.inf))]


def _turned_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle (N), 0..180 degrees, between the image directions ``a (N,2)`` and ``b (N,2)``."""
    cross, dot = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(-1)
    return np.degrees(np.abs(np.arctan2(cross, dot)))


def _draw_person(sheet: _Sheet, person: Measured, scale: float) -> None:
    feet, head = ((point + 0.5) * scale - 0.5 for point in (person.feet, person.head))
    for colour, width in ((_SHADE, 5), (_PERSON, 2)):
        ends = [np.rint(p * (1 << _FRACTION_BITS)).astype(int).tolist() for p in (feet, head)]
        mask = np.zeros(sheet.rgb.shape[:2], np.uint8)
        cv2.line(mask, ends[0], ends[1], 230, sheet.line_px + width, cv2.LINE_AA, _FRACTION_BITS)
        blend(sheet.rgb, mask, colour, (0, 0), 0.9)
    sheet.tag(f"{person.stature_m:.2f} m tall", head - [0, 0.9 * sheet.text_px], _PERSON)


def words_below(said: Sequence[tuple[str, str]], width: int) -> np.ndarray:
    """Return a strip ``(h,width,3)`` uint8 RGB with the lines (level, text) of ``said``, wrapped, each after its
    bullet: what stands below a picture ``width`` px wide.
    """
    size = max(17, width // 70)
    indent, room = round(2.2 * size), width - round(3.4 * size)
    lines = [
        (level if i == 0 else "", line) for level, text in said for i, line in enumerate(_wrapped(text, size, room))
    ]
    pitch = round(1.5 * size)
    strip = np.empty((pitch * len(lines) + (size if lines else 0), width, 3), np.uint8)
    strip[...] = _PAPER
    for row, (level, line) in enumerate(lines):
        y = size * 0.5 + pitch * (row + 0.5)
        if level:
            dot = round(0.6 * size)
            blend(strip, pill_mask(dot, dot), BULLETS[level], (size, round(y - dot / 2)))
        draw_text(strip, line, (indent, y), size, _INK)
    return strip


def _wrapped(text: str, size: int, room: int) -> list[str]:
    lines, current = [], ""
    for word in text.split():
        longer = f"{current} {word}".strip()
        if current and text_mask(longer, size).shape[1] > room:
            lines.append(current)
            longer = word
        current = longer
    return [*lines, current]
