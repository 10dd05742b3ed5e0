"""Who is in a clip that is searched a piece at a time: the same people, under the same numbers, in every piece.

The tracker goes on from piece to piece, so identity needs no guess at a border. Who is a person at all, and under which
number, is known when all pieces have been searched; only then are sides put right and gaps bridged, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mocap_video.detectors.config import TrackingConfig
from mocap_video.detectors.repair import AHEAD_S, Neighbours, person_track
from mocap_video.detectors.scan import ScanState
from mocap_video.detectors.tracking import (
    NO_POSES,
    Life,
    TrackedPoses,
    TrackerState,
    TrackPart,
    life_of,
    people_among,
)
from mocap_video.stretches import Course
from mocap_video.types import PersonTrack


@dataclass(frozen=True)
class FinderState:
    """What a ``PeopleFinder`` needs to go on: whether it has ``begun``, its tracker and scanner, and what it has
    ``refused (N,5)``: when, s, and the box, px.
    """

    begun: bool
    tracker: TrackerState
    scan: ScanState
    refused: np.ndarray


@dataclass(frozen=True)
class Sightings:
    """What was seen in one piece: the ``frames (F)`` that were looked at and their ``time_s (F)``, poses by track, and
    the state at its end.
    """

    frames: np.ndarray
    time_s: np.ndarray
    parts: tuple[TrackPart, ...]
    state: FinderState

    def of(self, number: int) -> TrackedPoses:
        """Return the poses of the track ``number``; none where it is not in this piece."""
        return next((part.poses for part in self.parts if part.number == number), NO_POSES)


@dataclass(frozen=True)
class Roster:
    """The people of a clip, by first appearance: person 1 is ``lives[0]``.

    ``frames (F)``, ``time_s (F)`` s: what was looked at in the whole clip; those of piece ``k`` are ``bounds[k]`` to
    before ``bounds[k + 1]``.
    """

    lives: tuple[Life, ...]
    frames: np.ndarray
    time_s: np.ndarray
    bounds: np.ndarray

    @staticmethod
    def of(pieces: Iterable[Sightings], config: TrackingConfig) -> Roster:
        """Go through all pieces once; nothing of their poses is kept."""
        lives: dict[int, Life] = {}
        frames, times = [], []
        for piece in pieces:
            frames.append(piece.frames)
            times.append(piece.time_s)
            for life in map(life_of, piece.parts):
                lives[life.number] = life.after(lives.get(life.number))
        bounds = np.cumsum([0, *(len(part) for part in frames)])
        return Roster(
            tuple(people_among(lives.values(), config)), np.concatenate(frames), np.concatenate(times), bounds
        )

    def span(self, life: Life, piece: int) -> slice:
        """Return which of ``frames`` are those of ``life`` in ``piece``."""
        first, last = np.searchsorted(self.frames, [life.first_frame, life.last_frame])
        start, stop = max(self.bounds[piece], first), min(self.bounds[piece + 1], last + 1)
        return slice(int(start), int(max(start, stop)))

    def courses(self) -> tuple[Course, ...]:
        """Return how everyone's rows lie over the pieces."""
        return tuple(self._course(person, life) for person, life in enumerate(self.lives, start=1))

    def _course(self, person: int, life: Life) -> Course:
        first, last = np.searchsorted(self.frames, [life.first_frame, life.last_frame]).tolist()
        borders = np.clip(self.bounds, first, last + 1) - first
        held = np.flatnonzero(np.diff(borders))
        return Course(person, self.time_s[first : last + 1], int(held[0]), borders[held[0] : held[-1] + 2])


@dataclass(frozen=True)
class PieceTracks:
    """Everyone's track in one piece, by number, and their last poses in it, mended, for the next."""

    tracks: tuple[PersonTrack, ...]
    ends: tuple[TrackPart, ...]


def everyone(
    piece: int, roster: Roster, before: PieceTracks | None, here: Sightings, after: Sightings | None
) -> PieceTracks:
    """Return the tracks of ``piece``, in which ``here`` was seen; ``before`` and ``after`` are its neighbours."""
    ends = {end.number: end.poses for end in before.ends} if before else {}
    horizon_s = here.time_s[-1] + AHEAD_S if len(here.time_s) else -np.inf
    tracks, tails = [], []
    for person, life in enumerate(roster.lives, start=1):
        rows = roster.span(life, piece)
        if rows.start == rows.stop:
            continue
        coming = after.of(life.number) if after else NO_POSES
        count = max(1, int(np.searchsorted(coming.time_s, horizon_s)))
        about = Neighbours(ends.get(life.number, NO_POSES), coming.rows(slice(0, count)))
        poses = here.of(life.number)
        track, end = person_track(poses, person, roster.frames[rows], roster.time_s[rows], about)
        tracks.append(track)
        tails.append(TrackPart(life.number, end))
    return PieceTracks(tuple(tracks), tuple(tails))
