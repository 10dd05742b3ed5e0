"""The people of a recording, read from disk as far as they are needed: whole one after another, or a stretch of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from mocap_video.stretches import ByPiece, Course, sampled
from mocap_video.types import BodyFit, Keypoints2D, Motion3D, Person


@dataclass(frozen=True)
class Cast(Sequence[Person]):
    """Everyone, person ``i`` over the rows of ``courses[i]``; the values of ``keypoints``, ``motions`` and ``bodies``
    lie there for each piece of the recording.

    As a sequence it gives whole people, each read anew when asked for: of an hour take one at a time.
    """

    courses: Sequence[Course]
    keypoints: ByPiece[Keypoints2D]
    motions: ByPiece[Motion3D]
    bodies: ByPiece[BodyFit]

    @staticmethod
    def of(people: Iterable[Person]) -> Cast:
        """Return people who are in memory as a cast of one piece; a cast as it is."""
        if isinstance(people, Cast):
            return people
        people = list(people)
        seen = [person.keypoints for person in people]
        courses = [Course(one.person, one.time_s, 0, np.array([0, len(one.frames)])) for one in seen]
        parts = ([[getattr(person, name) for person in people]] for name in ("keypoints", "motion", "body"))
        return Cast(courses, *parts)

    def __len__(self) -> int:
        return len(self.courses)

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Person]: ...
    def __getitem__(self, index: int | slice) -> Person | Sequence[Person]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        course = self.courses[index]
        return self.rows(course, 0, len(course))

    def rows(self, course: Course, first: int, stop: int) -> Person:
        """Return rows ``first`` to before ``stop`` of the person of ``course``."""
        return self.sample(course, range(first, stop))

    def sample(self, course: Course, rows: range | np.ndarray) -> Person:
        """Return ``rows``, which increase, of the person of ``course``."""
        return Person(
            sampled(self.keypoints, course, rows),
            sampled(self.motions, course, rows),
            sampled(self.bodies, course, rows),
        )
