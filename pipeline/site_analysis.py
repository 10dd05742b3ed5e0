"""What people do on the site's ground: paths, zones, distances; read from people.csv of finished results alone.

Ground coordinates are metres along the site's two ``ground_axes``. A person is where the middle of the hips is.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.artifacts import atomic_write, digest_file, digest_of
from mocap_video.pipeline.ground_tracks import GroundTrack, read_tracks
from mocap_video.pipeline.plan_picture import write_picture
from mocap_video.pipeline.site import Site, Zone

FOLDER = "site"
"""Where, in a clip's results, its analysis lies."""

PATHS, ZONES, DISTANCES, PICTURE = "paths.csv", "zones.csv", "distances.csv", "plan.png"
VERSION = 1
SETTLE_S = 0.5
"""A stay, or an absence between two stays, that is shorter than this is a path along the border, not a visit (s)."""

_DIGEST = ".digest"
_STEP_S = 1.0
"""Frames further apart than this are two appearances: the person was not followed between them (s)."""


@dataclass(frozen=True)
class Stay:
    """What one person did in one zone: visits begun (``entries``) and ended (``exits``) by crossing its border while
    followed, and the seconds spent inside.
    """

    zone: str
    person: int
    entries: int
    exits: int
    dwell_s: float


def inside(zone: Zone, ground: np.ndarray) -> np.ndarray:
    """Return which points of ``ground (T,2)`` m lie in ``zone``: those whose ray to the right crosses its border an odd
    number of times.
    """
    found = np.zeros(len(ground), bool)
    x, y = ground[:, 0], ground[:, 1]
    for (ax, ay), (bx, by) in zip(zone.polygon, (*zone.polygon[1:], zone.polygon[0]), strict=True):
        spans = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            found ^= spans & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return found


def stay_in(zone: Zone, track: GroundTrack) -> Stay:
    """Return what the person of ``track`` did in ``zone``.

    Whoever is inside when first or last seen has not entered or left. A frame counts for the time to the next one.
    """
    entries, exits, dwell = 0, 0, 0.0
    gaps = np.flatnonzero(np.diff(track.time_s) > _STEP_S) + 1
    for part in np.split(np.arange(len(track.time_s)), gaps):
        time_s = track.time_s[part]
        within = _settled(inside(zone, track.ground[part]), time_s)
        change = np.diff(within.astype(int))
        entries += int((change == 1).sum())
        exits += int((change == -1).sum())
        dwell += float(np.diff(time_s)[within[:-1]].sum())
    return Stay(zone.name, track.person, entries, exits, dwell)


def _settled(within: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return ``within (T)`` with what lasts less than ``SETTLE_S`` between two borders taken for its surroundings.

    First short absences are filled, then short stays are dropped, so a walk along the border is one visit or none.
    """
    for value in (False, True):
        runs = np.split(np.arange(len(within)), np.flatnonzero(np.diff(within)) + 1)
        for run in runs[1:-1]:
            if within[run[0]] == value and time_s[run[-1] + 1] - time_s[run[0]] < SETTLE_S:
                within = within.copy()
                within[run] = not value
    return within


def distances(tracks: Sequence[GroundTrack]) -> Iterator[tuple[float, int, int, float]]:
    """Yield time s, two people, and the metres between them on the ground, for every time at which both are there."""
    for a, b in itertools.combinations(tracks, 2):
        times, rows_a, rows_b = np.intersect1d(a.time_s.round(6), b.time_s.round(6), return_indices=True)
        apart = np.linalg.norm(a.ground[rows_a] - b.ground[rows_b], axis=-1)
        for time_s, metres in zip(times, apart, strict=True):
            yield float(time_s), a.person, b.person, float(metres)


def analyse_clip(folder: Path, site: Site) -> bool:
    """Write the analysis of the results in ``folder`` to ``folder/site``; False where it was there already.

    Columns are in docs/site_analysis.md. ``ArtifactError`` if people.csv is damaged.
    """
    place = folder / FOLDER
    plan = None if site.plan is None else (site.plan, digest_file(site.plan.image))
    digest = digest_of(VERSION, digest_file(folder / "people.csv"), str(plan), site.zones, site.ground_axes)
    mark = place / _DIGEST
    if mark.is_file() and mark.read_text() == digest:
        return False
    tracks = read_tracks(folder, site)
    stays = [stay_in(zone, track) for zone in site.zones for track in tracks]
    _write(place / PATHS, _path_header(site), _path_rows(tracks, site))
    _write(place / ZONES, ("zone", "person", "entries", "exits", "dwell_s"),
           ((s.zone, s.person, s.entries, s.exits, f"{s.dwell_s:.3f}") for s in stays))  # fmt: skip
    apart = ((f"{t:.6f}", a, b, f"{metres:.3f}") for t, a, b, metres in distances(tracks))
    _write(place / DISTANCES, ("time_s", "person_a", "person_b", "distance_m"), apart)
    write_picture(place / PICTURE, site, tracks)
    with atomic_write(mark) as partial:
        partial.write_text(digest)
    return True


def _path_header(site: Site) -> tuple[str, ...]:
    plan = ("plan_x_px", "plan_y_px") if site.plan else ()
    return ("time_s", "person", "ground_1_m", "ground_2_m", *plan, "zones")


def _path_rows(tracks: Iterable[GroundTrack], site: Site) -> Iterator[tuple[object, ...]]:
    for track in tracks:
        within = np.stack([inside(zone, track.ground) for zone in site.zones]) if site.zones else np.zeros((0, 0), bool)
        pixels = site.plan.pixels(track.ground) if site.plan else np.zeros((len(track.time_s), 0))
        for row, (time_s, ground) in enumerate(zip(track.time_s, track.ground, strict=True)):
            zones = ";".join(zone.name for zone, there in zip(site.zones, within, strict=True) if there[row])
            metres, places = (f"{value:.4f}" for value in ground), (f"{value:.1f}" for value in pixels[row])
            yield f"{time_s:.6f}", track.person, *metres, *places, zones


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


@dataclass(frozen=True)
class AnalysedClip:
    """A clip whose analysis is there: its ``camera`` and the ``folder`` of its results."""

    camera: str
    folder: Path


def sum_up(output: Path, site: Site, clips: Sequence[AnalysedClip]) -> None:
    """Write zones.csv and plan.png of each camera into its folder, and of the whole site into ``output``.

    A person is one in each clip: nobody is recognised from clip to clip. Every clip was analysed for ``site``.
    """
    header = ("camera", "zone", "clips", "people", "entries", "exits", "dwell_s")
    rows = []
    for camera in [*dict.fromkeys(clip.camera for clip in clips), None]:
        folders = [clip.folder for clip in clips if camera in (None, clip.camera)]
        place = output / camera if camera else output
        mine = [(camera or "all", *sums) for sums in _sums(folders, site)]
        rows += mine
        _write(place / ZONES, header, mine if camera else rows)
        tracks = itertools.chain.from_iterable(read_tracks(folder, site) for folder in folders)
        write_picture(place / PICTURE, site, tracks)


def _sums(folders: Sequence[Path], site: Site) -> Iterator[tuple[object, ...]]:
    """Yield zone, clips, people who were inside, entries, exits and dwell time over the clips in ``folders``."""
    stays = []
    for folder in folders:
        with (folder / FOLDER / ZONES).open(encoding="utf-8", newline="") as stream:
            stays += [(folder, row) for row in csv.DictReader(stream)]
    for zone in site.zones:
        here = [(folder, row) for folder, row in stays if row["zone"] == zone.name]
        people = sum(float(row["dwell_s"]) > 0 for _, row in here)
        dwell = sum(float(row["dwell_s"]) for _, row in here)
        counts = (sum(int(row[name]) for _, row in here) for name in ("entries", "exits"))
        yield zone.name, len(folders), people, *counts, f"{dwell:.3f}"
