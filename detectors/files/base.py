"""What a reader of keypoint files is given and what it gives back."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mocap_video.errors import KeypointsError
from mocap_video.skeletons import COCO17

logger = logging.getLogger(__name__)

NOBODY = -1
"""Identity of a sighting in a file that does not say who it is."""

_HIGHEST_SCORE = 2.0


@dataclass(frozen=True)
class Source:
    """A file or a folder that a user gave, read when first asked."""

    path: Path

    @cached_property
    def is_json(self) -> bool:
        """Whether it is a file named .json."""
        return self.path.is_file() and self.path.suffix.lower() == ".json"

    @cached_property
    def content(self) -> Any:
        """What the JSON file holds; ``KeypointsError`` where it is damaged."""
        return read_json(self.path)


@dataclass(frozen=True)
class Sightings:
    """What a file says: N sightings of people, in some of its F frames.

    ``clip_frames (F)`` frame numbers, increasing; ``clip_times (F)`` s or None, ``rate`` Hz or None: what the file says
    of time. ``frame (N)``; ``person (N)`` identity in the file or ``NOBODY``; ``xy (N,J,2)`` px of the original image,
    NaN where missing; ``score (N,J)`` in [0, 1], 0 where missing; joints of ``skeleton``.
    """

    path: Path
    skeleton: str
    clip_frames: np.ndarray
    clip_times: np.ndarray | None
    rate: float | None
    frame: np.ndarray
    person: np.ndarray
    xy: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


class KeypointFormat(Protocol):
    """A format of keypoint files. ``expects`` says in words what it looks like, for messages."""

    @property
    def expects(self) -> str:
        """What the format looks like."""
        ...

    def matches(self, source: Source) -> bool:
        """Return whether ``source`` looks like this format; a look at its beginning is enough."""
        ...

    def read(self, source: Source, layout: str | None) -> Sightings:
        """Return all people of ``source``; ``layout`` names its joint set where the file does not.

        Raises ``KeypointsError`` that names the file and what was expected.
        """
        ...


@dataclass(frozen=True)
class Row:
    """One sighting: ``points (17,3)`` x and y in px and score, COCO-17."""

    frame: int
    person: int
    points: np.ndarray


def sightings_of(path: Path, rows: Sequence[Row], clip_frames: Sequence[int], rate: float | None = None) -> Sightings:
    """Return the ``rows`` of ``path`` that show anything, with scores in [0, 1].

    Networks whose scores are peaks of heatmaps overshoot 1 a little: that is cut off, with a warning. Raises
    ``KeypointsError`` for scores that are no certainties at all, and for a file in which nobody is seen.
    """
    points = np.array([row.points for row in rows], float).reshape(-1, len(COCO17), 3)
    xy, score = points[..., :2].copy(), np.nan_to_num(points[..., 2])
    score[~np.isfinite(xy).all(-1)] = 0.0
    if (score < 0).any() or (score > _HIGHEST_SCORE).any():
        wrong = score.min() if (score < 0).any() else score.max()
        raise KeypointsError(f"{path}: expected scores in [0, 1], got {wrong:g}. Scale them, 0 for missing.")
    if (score > 1).any():
        logger.warning("%s: %.2g %% of scores are above 1 and count as 1", path, 100 * (score > 1).mean())
    score = np.minimum(score, 1.0)
    xy[score == 0] = np.nan
    shown = (score > 0).any(-1)
    if not shown.any():
        raise KeypointsError(f"{path}: expected at least one keypoint with a score above 0, all are missing.")
    frame, person = np.array([row.frame for row in rows]), np.array([row.person for row in rows])
    frames = np.unique(np.asarray(clip_frames, int))
    return Sightings(path, COCO17.name, frames, None, rate, frame[shown], person[shown], xy[shown], score[shown])


def evenly(frames: Sequence[int]) -> list[int]:
    """Return all frames from the first to the last of ``frames`` at their greatest common step.

    For files that leave out frames in which nobody is seen.
    """
    seen = np.unique(frames)
    step = int(np.gcd.reduce(np.diff(seen))) if len(seen) > 1 else 1
    return list(range(int(seen[0]), int(seen[-1]) + 1, step)) if len(seen) else []


def read_json(path: Path) -> Any:
    """Return what the JSON file ``path`` holds; ``KeypointsError`` where it is damaged or cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise KeypointsError(f"{path}: expected a JSON file, it cannot be read ({error}).") from error


@contextlib.contextmanager
def format_errors(path: Path, expects: str) -> Iterator[None]:
    """Turn what goes wrong in the block for data of another shape into a ``KeypointsError`` about ``path``."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise KeypointsError(f"{path}: expected {expects}; got something else ({reason}).") from error
