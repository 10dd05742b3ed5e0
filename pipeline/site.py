"""site.yaml: the cameras of a site, their recordings, and what its ground is divided into.

    cameras:
      - {name: deck, calib: deck.yaml, recordings: ["/data/deck/*.mp4"], options: {people: [1], seed: 3}}
    floor_plan: {image: plan.png, metres_per_pixel: 0.02, origin_px: [412, 880], x_axis_deg: 0}
    zones:
      - {name: queue, polygon: [[0, 0], [4, 0], [4, 2], [0, 2]]}

Paths are relative to the file. Plan and zones are in the metres of the site frame, along its two ``ground_axes``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from mocap_video.calib.fields import Field, Kind, parse_yaml, read_text
from mocap_video.errors import ConfigError, VideoError
from mocap_video.pipeline.remote_files import is_url
from mocap_video.pipeline.run_options import run_arguments

SITE = Kind("a site", "Give the site.yaml, as docs/batch.md shows it.", ConfigError)
VERSION = 1
AXES = ("x", "y", "z", "-x", "-y", "-z")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".wmv")
"""What counts as a video in a folder that is given instead of a site.yaml."""

_KEYS = ("version", "name", "cameras", "floor_plan", "zones", "ground_axes")
_CAMERA_KEYS = ("name", "calib", "recordings", "options")
_PLAN_KEYS = ("image", "metres_per_pixel", "origin_px", "x_axis_deg")
_ZONE_KEYS = ("name", "polygon")
_FOLDER_NAME = re.compile(r"[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]{0,99}")


@dataclass(frozen=True)
class CameraEntry:
    """One camera of a site. ``calib``: its cam.yaml, None where each recording has one beside it; ``recordings``:
    globs, paths or URLs; ``arguments``: what ``run`` is given besides, as typed.
    """

    name: str
    calib: str | None
    recordings: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloorPlan:
    """A picture of the ground from above. ``origin_px (2)``: x right and y down, where the site frame's origin lies in
    it; ``x_axis_rad``: where the first ground axis points, 0 to the right, counter-clockwise; the second axis is a
    quarter turn counter-clockwise of it.
    """

    image: Path
    metres_per_pixel: float
    origin_px: tuple[float, float]
    x_axis_rad: float = 0.0

    def pixels(self, ground: np.ndarray) -> np.ndarray:
        """Return where ``ground (...,2)`` m, along the ground axes, lies in the picture ``(...,2)`` px."""
        cos, sin = math.cos(self.x_axis_rad), math.sin(self.x_axis_rad)
        picture_from_ground = np.array([[cos, -sin], [-sin, -cos]]) / self.metres_per_pixel  # y runs down in a picture
        return np.asarray(ground, float) @ picture_from_ground.T + np.array(self.origin_px)


@dataclass(frozen=True)
class Zone:
    """A named part of the ground, inside ``polygon (N,2)`` m along the ground axes."""

    name: str
    polygon: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Site:
    """What a batch works on. ``ground_axes (2)``: names of the site frame's axes that plan and zones are given in."""

    name: str
    cameras: tuple[CameraEntry, ...]
    plan: FloorPlan | None = None
    zones: tuple[Zone, ...] = ()
    ground_axes: tuple[str, str] = ("x", "y")


def read_site(path: Path) -> Site:
    """Return the site that ``path``, a site.yaml or a folder of videos, describes.

    ``ConfigError`` names file and key of what is wrong; ``VideoError`` says that a folder holds no video.
    """
    path = Path(path)
    if path.is_dir():
        return _site_of_folder(path.absolute())
    top = parse_yaml(read_text(path, SITE), path, SITE).entries(_KEYS, required=("cameras",))
    if "version" in top and (top["version"].value != VERSION or top["version"].value is True):
        raise top["version"].refusal(str(VERSION), "A newer file needs a newer mocap-video; otherwise leave it out.")
    cameras = top["cameras"].items("a list of cameras", "Write lines such as - {name: deck, calib: deck.yaml, ...}.")
    zones = _zones(top.get("zones"))
    site = Site(
        name=_name(top["name"]) if "name" in top else path.stem,
        cameras=tuple(_camera(camera) for camera in cameras),
        plan=_plan(top["floor_plan"]) if _given(top.get("floor_plan")) else None,
        zones=tuple(_zone(zone) for zone in zones),
        ground_axes=_axes(top["ground_axes"]) if "ground_axes" in top else ("x", "y"),
    )
    _refuse_twice(top["cameras"], [camera.name for camera in site.cameras])
    if zones:
        _refuse_twice(top["zones"], [zone.name for zone in site.zones])
    return site


def _given(field: Field | None) -> bool:
    return field is not None and field.value is not None


def _zones(field: Field | None) -> list[Field]:
    if field is None or field.value is None:
        return []
    return field.items("a list of zones", "Write lines such as - {name: queue, polygon: [[0, 0], [4, 0], [4, 2]]}.")


def _refuse_twice(field: Field, names: list[str]) -> None:
    """Refuse names that are the same, also on a disk that does not tell capitals from small letters."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise SITE.error(f"{field.file}: {field.key}: expected different names, got {name!r} twice. Rename one.")
        seen.add(name.casefold())


def _name(field: Field) -> str:
    """Return a name that may become a folder."""
    name = field.text()
    if not _FOLDER_NAME.fullmatch(name) or name != name.strip():
        raise field.refusal("a name of 1 to 100 letters", "It becomes a folder: no slash, no dot in front.")
    return name


def _camera(field: Field) -> CameraEntry:
    entries = field.entries(_CAMERA_KEYS, required=("name", "calib", "recordings"))
    recordings = entries["recordings"]
    if isinstance(recordings.value, str):
        patterns = [recordings]
    else:
        patterns = recordings.items("a list of recordings", 'Write globs, paths or URLs, such as ["/data/deck/*.mp4"].')
    return CameraEntry(
        name=_name(entries["name"]),
        calib=_place(entries["calib"]),
        recordings=tuple(_place(pattern) for pattern in patterns),
        arguments=run_arguments(entries["options"]) if _given(entries.get("options")) else (),
    )


def _place(field: Field) -> str:
    """Return the path or URL in ``field``, a path made absolute from the file's folder."""
    if not isinstance(field.value, str) or not field.value.strip() or "\0" in field.value:
        raise field.refusal("a path", "Write it in quotes, relative to this file or absolute.")
    return field.value if is_url(field.value) else str(field.file.absolute().parent / field.value)


def _plan(field: Field) -> FloorPlan:
    entries = field.entries(_PLAN_KEYS, required=("image", "metres_per_pixel", "origin_px"))
    image = Path(_place(entries["image"]))
    if not image.is_file():
        raise entries["image"].refusal("a picture that exists", f"There is no {image}.")
    x, y = entries["origin_px"].numbers((2,), "[x, y] in pixels of the plan, from its top-left pixel").tolist()
    angle = entries["x_axis_deg"].number(-360, 360, "degrees") if "x_axis_deg" in entries else 0.0
    scale = entries["metres_per_pixel"].number(1e-6, 1e3, "metres per pixel")
    return FloorPlan(image, scale, (x, y), math.radians(angle))


def _axes(field: Field) -> tuple[str, str]:
    expected, advice = "two different axes of the site frame", f"Write two of {', '.join(AXES)}, such as [x, y]."
    names = [name for name in field.value if name in AXES] if isinstance(field.value, list) else []
    if len(names) != 2 or names != field.value or names[0][-1] == names[1][-1]:
        raise field.refusal(expected, advice)
    return names[0], names[1]


def _zone(field: Field) -> Zone:
    entries = field.entries(_ZONE_KEYS, required=_ZONE_KEYS)
    corners = entries["polygon"].items("a list of corners", "Write [[x, y], [x, y], ...] in metres.")
    polygon = np.stack([corner.numbers((2,), "[x, y] in metres") for corner in corners])
    if len(polygon) < 3 or abs(_area(polygon)) < 1e-6 or _crosses_itself(polygon):
        raise entries["polygon"].refusal(
            "three or more corners around an area, no two sides crossing", "Give them in order around the zone."
        )
    return Zone(_name(entries["name"]), tuple((float(x), float(y)) for x, y in polygon))


def _area(polygon: np.ndarray) -> float:
    """Return the area of ``polygon (N,2)`` m in square metres, negative where its corners go clockwise."""
    x, y = polygon.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _crosses_itself(polygon: np.ndarray) -> bool:
    sides = list(zip(polygon, np.roll(polygon, -1, 0), strict=True))
    apart = [(i, k) for i in range(len(sides)) for k in range(i + 2, len(sides)) if (k + 1) % len(sides) != i]
    return any(_cross(*sides[i], *sides[k]) for i, k in apart)


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether the segments ``a b`` and ``c d``, each ``(2)``, cross."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _site_of_folder(folder: Path) -> Site:
    """Take every folder that holds videos, ``folder`` and those in it, for a camera of its name.

    Folders that hold results are left out, so an output folder may lie among the videos.
    """
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    cameras = [
        CameraEntry(name=place.name or "videos", calib=None, recordings=tuple(map(str, videos)))
        for place in (folder, *inner)
        if not any((place / name).exists() for name in ("manifest.sqlite", "report.json"))
        and (videos := videos_in(place))
    ]
    if not cameras:
        _refuse_empty(folder)
    names = [camera.name.casefold() for camera in cameras]
    if len(set(names)) < len(names):
        raise ConfigError(f"{folder}: a folder in it has its name. Rename one of them, or write a site.yaml.")
    return Site(folder.name or "videos", tuple(cameras))


def videos_in(folder: Path) -> list[Path]:
    """Return the videos in ``folder``, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def _refuse_empty(folder: Path) -> NoReturn:
    raise VideoError(
        f"{folder}: expected videos ({', '.join(VIDEO_SUFFIXES)}) in it or in its folders, got none. "
        "Give the folder of the recordings, or a site.yaml."
    )
