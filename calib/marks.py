"""Known points and where the image shows them: the small file that ``calib from-points`` reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mocap_video.artifacts import atomic_write
from mocap_video.calib.courts import COURTS, court_marks
from mocap_video.calib.fields import Field, parse_yaml, read_text
from mocap_video.errors import CalibrationError

_KEYS = ("court", "image_size", "points")
_POINT_KEYS = ("name", "mark", "world", "pixel")


@dataclass(frozen=True)
class MarkedPoints:
    """N points: their ``names``, ``world (N,3)`` m in the site frame (z up, ground z = 0) and ``pixels (N,2)`` px of an
    image of ``size`` (W, H) px, NaN where not yet marked. ``court`` is the court's name, or empty.
    """

    names: tuple[str, ...]
    world: np.ndarray
    pixels: np.ndarray
    size: tuple[int, int]
    court: str = ""

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.world.shape != (n, 3) or not np.isfinite(self.world).all():
            raise ValueError(f"MarkedPoints.world: expected shape ({n}, 3), finite, got {self.world.shape}")
        if self.pixels.shape != (n, 2):
            raise ValueError(f"MarkedPoints.pixels: expected shape ({n}, 2), got {self.pixels.shape}")

    @property
    def marked(self) -> MarkedPoints:
        """The points that have a pixel."""
        rows = np.flatnonzero(np.isfinite(self.pixels).all(-1))
        names = tuple(self.names[row] for row in rows)
        return MarkedPoints(names, self.world[rows], self.pixels[rows], self.size, self.court)


def points_of_court(court: str, size: tuple[int, int]) -> MarkedPoints:
    """Return the marks of ``court`` (a name or WxH), none of them with a pixel yet."""
    marks = court_marks(court)
    world = np.array(list(marks.values()))
    return MarkedPoints(tuple(marks), world, np.full((len(marks), 2), np.nan), size, court)


def read_points(path: Path, size: tuple[int, int]) -> MarkedPoints:
    """Return the points of the YAML file at ``path`` for a clip of ``size`` (W, H) px.

    Pixels that refer to another ``image_size`` of the same aspect are scaled to ``size``.
    """
    root = parse_yaml(read_text(path), path)
    top = root.entries(_KEYS, required=("points",))
    court = top["court"].text() if "court" in top else ""
    marks = court_marks(court) if court else {}
    points = top["points"]
    if not isinstance(points.value, list) or not points.value:
        raise points.refusal(
            "a list of points", "Write lines such as - {name: corner, world: [0, 0, 0], pixel: [412, 808]}."
        )
    names, world, pixels = [], [], []
    for i, value in enumerate(points.value):
        entries = Field(path, f"points[{i}]", value).entries(_POINT_KEYS)
        if ("mark" in entries) == ("world" in entries):
            raise Field(path, f"points[{i}]", value).refusal(
                "either world: [x, y, z] or mark: NAME of the court", "Keep one of the two."
            )
        if "mark" in entries:
            if not marks:
                raise entries["mark"].refusal("a court at the top of the file", f"Add `court:` {', '.join(COURTS)}.")
            name = entries["mark"].choice(marks)
            place = np.array(marks[name])
        else:
            place = entries["world"].numbers((2, 3), "[x, y] or [x, y, z] in metres, z = 0 being the ground")
            place = np.append(place, np.zeros(3 - len(place)))
            name = entries["name"].text() if "name" in entries else f"point {i + 1}"
        names.append(name)
        world.append(place)
        known = "pixel" in entries and entries["pixel"].value is not None
        pixels.append(entries["pixel"].numbers((2,), "[column, row] in pixels") if known else np.full(2, np.nan))
    scale = _scale(top["image_size"], size) if "image_size" in top else np.ones(2)
    return MarkedPoints(tuple(names), np.array(world), (np.array(pixels) + 0.5) * scale - 0.5, size, court)


def _scale(field: Field, size: tuple[int, int]) -> np.ndarray:
    """Return the factors ``(2)`` from the file's image size to ``size``."""
    old = field.numbers((2,), "[width, height] in pixels")
    if (old < 1).any() or abs(size[0] * old[1] - size[1] * old[0]) > max(size) + old.max():
        raise field.refusal(f"the aspect of the clip, which is {size[0]} x {size[1]}", "Mark the points in this clip.")
    return np.array(size) / old


def write_points(points: MarkedPoints, path: Path) -> None:
    """Write ``points`` so that ``read_points`` answers the same."""
    listed: list[dict[str, object]] = []
    for name, world, pixel in zip(points.names, points.world.tolist(), points.pixels, strict=True):
        entry: dict[str, object] = {"mark": name} if points.court else {"name": name, "world": world}
        if np.isfinite(pixel).all():
            entry["pixel"] = np.round(pixel, 2).tolist()
        listed.append(entry)
    document: dict[str, object] = {"court": points.court} if points.court else {}
    document |= {"image_size": list(points.size), "points": listed}
    with atomic_write(path) as partial:
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        partial.write_text(text, encoding="utf-8")


def enough(points: MarkedPoints, path: Path | str) -> MarkedPoints:
    """Return the marked ones of ``points``; ``CalibrationError`` when they are fewer than four or on one line."""
    marked = points.marked
    if len(marked.names) < 4:
        raise CalibrationError(f"{path}: expected at least 4 points with a pixel, got {len(marked.names)}. Mark more.")
    spread = np.linalg.svd(marked.world - marked.world.mean(0), compute_uv=False)
    if spread[1] < 0.02 * spread[0]:
        raise CalibrationError(f"{path}: the points are on one line, which fits many poses. Mark points beside it too.")
    return marked
