"""Rows of the values that run over a person's frames: cut out, and put together again.

A long recording is never whole in memory: it is cut into pieces, and what a stage knows of a person is one value for
each piece. A *row* counts the person's own frames from 0, over all pieces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from mocap_video.types import BodyFit, Keypoints2D, Motion3D, Track

Stretch = TypeVar("Stretch", Keypoints2D, Motion3D, BodyFit, Track)
Value_co = TypeVar("Value_co", covariant=True)

_PER_ROW: dict[type, tuple[str, ...]] = {
    Keypoints2D: ("frames", "time_s", "xy", "score"),
    Motion3D: ("frames", "time_s", "joints", "spread"),
    BodyFit: ("global_orient", "body_pose", "transl", "joints", "residual"),
    Track: ("frames", "box_xyxy", "score"),
}


@dataclass(frozen=True)
class Piece:
    """A part of a recording that is worked on at once: frames ``first`` to before ``stop``, the ``index``-th of all."""

    index: int
    first: int
    stop: int


class ByPiece(Protocol[Value_co]):
    """What is known of a recording, a sequence of values for each piece: in memory, or read when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, piece: int, /) -> Sequence[Value_co]: ...


@dataclass(frozen=True)
class Course:
    """How one person's rows lie over the pieces.

    ``time_s (T)`` s of every row; the rows from ``bounds[i]`` to before ``bounds[i + 1]`` are in piece
    ``first_piece + i``; ``bounds (P+1)`` begins with 0 and ends with T.
    """

    person: int
    time_s: np.ndarray
    first_piece: int
    bounds: np.ndarray

    def __post_init__(self) -> None:
        if len(self.bounds) < 2 or self.bounds[0] != 0 or self.bounds[-1] != len(self.time_s):
            raise ValueError(f"Course.bounds: expected 0 to {len(self.time_s)}, got {self.bounds.tolist()}")

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def pieces(self) -> range:
        """The pieces that hold rows of this person."""
        return range(self.first_piece, self.first_piece + len(self.bounds) - 1)

    def rows_in(self, piece: int) -> tuple[int, int]:
        """Return the first row in ``piece`` and the one after its last; (0, 0) where the person is not in it."""
        if piece not in self.pieces:
            return 0, 0
        place = piece - self.first_piece
        return int(self.bounds[place]), int(self.bounds[place + 1])


def cut_pieces(frames: np.ndarray, time_s: np.ndarray, length_s: float) -> tuple[Piece, ...]:
    """Cut ``frames (F)`` at ``time_s (F)`` s into pieces of about ``length_s`` each, as even as the time stamps allow.

    What lasts less than one and a half of it is one piece. Stretches without frames make no piece.
    """
    duration = float(time_s[-1] - time_s[0])
    count = max(1, round(duration / length_s))
    place = np.minimum(((time_s - time_s[0]) * (count / max(duration, 1e-9))).astype(int), count - 1)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    stops = [*frames[firsts[1:]].tolist(), int(frames[-1]) + 1]
    return tuple(
        Piece(index, first, stop)
        for index, (first, stop) in enumerate(zip(frames[firsts].tolist(), stops, strict=True))
    )


def course_of(person: int, frames: np.ndarray, time_s: np.ndarray, pieces: Sequence[Piece]) -> Course:
    """Return the course of a person who has ``frames (T)`` at ``time_s (T)`` s."""
    borders = np.searchsorted(frames, [*(piece.first for piece in pieces), pieces[-1].stop])
    held = np.flatnonzero(np.diff(borders))
    return Course(person, time_s, int(held[0]), borders[held[0] : held[-1] + 2])


def rows_of(value: Stretch, rows: slice | np.ndarray) -> Stretch:
    """Return some of the rows of ``value``."""
    return dataclasses.replace(value, **{name: getattr(value, name)[rows] for name in _PER_ROW[type(value)]})


def joined(parts: Sequence[Stretch]) -> Stretch:
    """Return the rows of ``parts`` one after another; what holds for all rows is that of the first part."""
    if len(parts) == 1:
        return parts[0]
    together: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_ROW[type(parts[0])]
    }
    return dataclasses.replace(parts[0], **together)


def gathered(shelf: ByPiece[Stretch], course: Course, first: int, stop: int) -> Stretch:
    """Return rows ``first`` to before ``stop`` of the person of ``course`` from ``shelf``, which holds the values of
    everyone for each piece.
    """
    return sampled(shelf, course, range(first, stop))


def sampled(shelf: ByPiece[Stretch], course: Course, rows: range | np.ndarray) -> Stretch:
    """Return ``rows``, which increase, of the person of ``course`` from ``shelf``."""
    parts = []
    for piece in course.pieces:
        start, end = course.rows_in(piece)
        low, high = np.searchsorted(rows, [start, end]).tolist()
        if low < high:
            mine = next(value for value in shelf[piece] if value.person == course.person)
            wanted = rows[low:high]
            if isinstance(wanted, range):
                inside = slice(wanted[0] - start, wanted[-1] + 1 - start)
            else:
                inside = np.asarray(wanted) - start
            parts.append(rows_of(mine, inside))
    return joined(parts)
