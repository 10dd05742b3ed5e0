"""The picture of paths and zones: on the site's floor plan, or on a page of metres where it has none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from mocap_video.artifacts import atomic_write
from mocap_video.errors import ConfigError
from mocap_video.pipeline.ground_tracks import GroundTrack
from mocap_video.pipeline.site import FloorPlan, Site
from mocap_video.render.floor_plan import DrawnPath, DrawnZone, blank_plan, draw_plan
from mocap_video.render.mesh import person_colour

MAX_PIXELS = 40_000_000
"""A plan larger than this is refused: a picture file can claim any size."""

_PAGE_PX = 1000
_MARGIN_M = 1.0
_EVERY_S = 0.1
"""A path needs no more points than this for a picture (s)."""


def check_plan(site: Site) -> None:
    """Raise ``ConfigError`` if the plan of ``site`` is no picture."""
    if site.plan is not None:
        _read_picture(site.plan.image)


def write_picture(path: Path, site: Site, tracks: Iterable[GroundTrack]) -> None:
    """Write a PNG of everyone's path over the zones; ``ConfigError`` if the plan is no picture."""
    thinned = [(track.person, _thin(track)) for track in tracks]
    plan, page = _page(site, [ground for _, ground in thinned])
    zones = [DrawnZone(zone.name, plan.pixels(np.array(zone.polygon))) for zone in site.zones]
    paths = [DrawnPath(plan.pixels(ground), person_colour(person)) for person, ground in thinned]
    with atomic_write(path) as partial:
        Image.fromarray(draw_plan(page, zones, paths)).save(partial, format="PNG")


def _thin(track: GroundTrack) -> np.ndarray:
    """Return the way of ``track (N,2)`` m with a NaN wherever the person was not followed."""
    kept = np.flatnonzero(np.diff(np.floor(track.time_s / _EVERY_S), prepend=-1) > 0)
    ground, time_s = track.ground[kept], track.time_s[kept]
    gaps = np.flatnonzero(np.diff(time_s) > 1.0) + 1
    return np.insert(ground, gaps, np.nan, axis=0)


def _page(site: Site, ways: list[np.ndarray]) -> tuple[FloorPlan, np.ndarray]:
    """Return the plan and its picture ``(H,W,3)`` uint8 RGB: the site's, or a page that holds all zones and ways."""
    if site.plan is not None:
        return site.plan, _read_picture(site.plan.image)
    places = np.concatenate([np.zeros((1, 2)), *(np.array(zone.polygon) for zone in site.zones), *ways])
    low, high = np.nanmin(places, 0) - _MARGIN_M, np.nanmax(places, 0) + _MARGIN_M
    scale = _PAGE_PX / float(max(high - low))
    origin = (-low[0] * scale, high[1] * scale)
    width, height = np.maximum(np.ceil((high - low) * scale), 16).astype(int).tolist()
    return FloorPlan(Path(), 1 / scale, origin), blank_plan((width, height), origin, scale)


def _read_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ConfigError(
                    f"{path}: floor_plan: expected at most {MAX_PIXELS / 1e6:g} megapixels. Make it smaller."
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: floor_plan: expected a picture such as PNG or JPEG ({error}).") from error
