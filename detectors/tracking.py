"""Identity over time: a Kalman filter on the ground for each person, and two rounds of association a frame.

As in ByteTrack (Zhang et al. 2022) certain observations are matched before uncertain ones. What is matched are poses on
the ground plane, not boxes in the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from mocap_video.detectors import association
from mocap_video.detectors.association import Expectation, Observations
from mocap_video.detectors.base import no_regions
from mocap_video.detectors.config import TrackingConfig
from mocap_video.detectors.kalman import FilterState, GroundFilter
from mocap_video.detectors.standing import GroundLocator, pose_box, pose_size
from mocap_video.skeletons import COCO17

_TENTATIVE_UNSEEN_S = 0.15
_UNCERTAIN_UNSEEN_S = 0.3
_SENIORITY = 0.1
_COLOUR_RATE = 0.1
_OVERLAPPED = 0.2
_VISIBLE = 0.25
_CLEAR_SCORE = 0.6
_WITHIN = 0.6
_IMAGE_MOTION_S = 0.15
_HIPS = list(COCO17.root)
LIMBS = slice(COCO17.index("left_shoulder"), len(COCO17))
_SEEN = 0.3
"""Scraps that flare up now and then are no person: one is seen in at least this fraction of the frames between."""

_RETRY = 0.1
"""A lost person is looked for at intervals of this fraction of the time since last seen."""


@dataclass(frozen=True)
class TrackedPoses:
    """One person's poses in the T frames where the person was seen.

    ``frames (T)``; ``time_s (T)`` s; ``xy (T,17,2)`` px; ``score (T,17)``; ``box_xyxy (T,4)`` px; ``presence (T)``.
    """

    frames: np.ndarray
    time_s: np.ndarray
    xy: np.ndarray
    score: np.ndarray
    box_xyxy: np.ndarray
    presence: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def rows(self, part: slice | np.ndarray) -> TrackedPoses:
        """Return the poses of some of the frames."""
        return TrackedPoses(*(getattr(self, field.name)[part] for field in fields(self)))

    @staticmethod
    def joined(parts: Iterable[TrackedPoses]) -> TrackedPoses:
        """Return the poses of ``parts``, which follow each other."""
        parts = list(parts)
        return TrackedPoses(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(parts[0])))


@dataclass(frozen=True)
class TrackPart:
    """What was seen of one track in a part of a clip; ``number`` counts the tracks of the clip by their beginning."""

    number: int
    poses: TrackedPoses


@dataclass(frozen=True)
class TrackState:
    """What a live track needs to go on: ``recent`` poses, two at most, and how the others went."""

    number: int
    first_s: float
    count: int
    certain_s: float
    tried_s: float
    ground: FilterState
    region: np.ndarray
    colour: np.ndarray
    recent: TrackedPoses


@dataclass(frozen=True)
class TrackerState:
    """What a ``Tracker`` needs to go on: the ``live`` tracks, and how many have ``begun``."""

    live: tuple[TrackState, ...]
    begun: int


@dataclass(frozen=True)
class Life:
    """A track as a whole, but for its poses: frames and times s of its first and last sight, ``count`` of sights."""

    number: int
    first_frame: int
    last_frame: int
    first_s: float
    last_s: float
    count: int

    def after(self, earlier: Life | None) -> Life:
        """Return the life that began as ``earlier``, if there is one, and went on as this."""
        if earlier is None:
            return self
        count = earlier.count + self.count
        return Life(self.number, earlier.first_frame, self.last_frame, earlier.first_s, self.last_s, count)


@dataclass(frozen=True)
class _Outlook:
    """What a track expects at ``time_s`` s, and the ``region (4)`` to look in."""

    time_s: float
    expected: Expectation
    region: np.ndarray


class _Track:
    """One person while the clip runs. The lists hold what is not handed over yet, after ``told`` poses that are."""

    def __init__(self, number: int, ground: GroundFilter) -> None:
        self.number = number
        self.ground = ground
        self.certain_s = ground.time_s
        self.first_s = ground.time_s
        self.count = 0
        self.told = 0
        self.frames: list[int] = []
        self.times: list[float] = []
        self.poses: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []  # xy, score, box, presence
        self.region = no_regions(1)[0]
        self.colour = np.zeros(0)
        self.tried_s = -np.inf
        self.outlook: _Outlook | None = None

    @staticmethod
    def resumed(state: TrackState, acceleration: float) -> _Track:
        track = _Track(state.number, GroundFilter.resumed(state.ground, acceleration))
        recent = state.recent
        track.certain_s, track.first_s, track.count = state.certain_s, state.first_s, state.count
        track.told, track.frames, track.times = len(recent), recent.frames.tolist(), recent.time_s.tolist()
        track.poses = list(zip(recent.xy, recent.score, recent.box_xyxy, recent.presence.tolist(), strict=True))
        track.region, track.colour, track.tried_s = state.region, state.colour, state.tried_s
        return track

    @property
    def state(self) -> TrackState:
        return TrackState(
            self.number, self.first_s, self.count, self.certain_s, self.tried_s,
            self.ground.state, self.region, self.colour, self._poses(slice(-2, None)),
        )  # fmt: skip

    @property
    def xy(self) -> np.ndarray:
        return self.poses[-1][0]

    def unseen_s(self, time_s: float) -> float:
        return time_s - self.times[-1]

    def age_s(self) -> float:
        return self.times[-1] - self.first_s

    def confirmed(self, confirm_s: float) -> bool:
        return self.count > 1 and self.age_s() >= confirm_s

    def hand_over(self) -> TrackPart:
        """Return what was not handed over before, and keep what the next frames need."""
        part = TrackPart(self.number, self._poses(slice(self.told, None)))
        self.frames, self.times, self.poses = self.frames[-2:], self.times[-2:], self.poses[-2:]
        self.told = len(self.frames)
        return part

    def _poses(self, part: slice) -> TrackedPoses:
        rows = self.poses[part]
        if not rows:
            return NO_POSES
        xy, score, box, presence = zip(*rows, strict=True)
        return TrackedPoses(
            np.array(self.frames[part]),
            np.array(self.times[part]),
            np.array(xy),
            np.array(score),
            np.array(box),
            np.array(presence),
        )


NO_POSES = TrackedPoses(
    np.zeros(0, int),
    np.zeros(0),
    np.zeros((0, len(COCO17), 2)),
    np.zeros((0, len(COCO17))),
    np.zeros((0, 4)),
    np.zeros(0),
)


@dataclass(frozen=True)
class Wishes:
    """Where the tracks' people should be now: ``box_xyxy (K,4)`` px and ``region (K,4)``, NaN where a box must do."""

    box_xyxy: np.ndarray
    region: np.ndarray


def _doubles(seen: Observations, row: int, other: int) -> bool:
    """Return whether ``row`` may be pieces of observation ``other``: on its torso, or poor and within its box."""
    if association.hides(seen.poses.xy[row], seen.poses.xy[other]):
        return True
    poor = seen.poses.score[row, LIMBS].mean() < _CLEAR_SCORE
    return bool(poor and association.share_within(seen.box[row], seen.box[other]) > _WITHIN)


class Tracker:
    """Follows people through a clip. For every frame: ask ``wishes``, look there and elsewhere, then ``step``."""

    def __init__(self, config: TrackingConfig, locator: GroundLocator, state: TrackerState | None = None) -> None:
        self._config = config
        self._locator = locator
        self._live = [_Track.resumed(track, config.acceleration) for track in state.live] if state else []
        self._begun = state.begun if state else 0
        self._ended: list[_Track] = []

    @property
    def state(self) -> TrackerState:
        """What another tracker needs to go on from here, once all is handed over."""
        return TrackerState(tuple(track.state for track in self._live), self._begun)

    @property
    def idle(self) -> bool:
        """Whether nobody is followed."""
        return not self._live

    def unsettled(self, time_s: float) -> bool:
        """Return whether somebody was lost or came within the last moments, so that a closer look pays."""
        lost = (track.unseen_s(time_s) > _UNCERTAIN_UNSEEN_S for track in self._live)
        return any(lost) or any(track.age_s() < self._config.confirm_s for track in self._live)

    def wishes(self, time_s: float) -> Wishes:
        """Return where to look for the people that are followed; those lost for long are looked for less often."""
        boxes, regions = [np.zeros((0, 4))], [no_regions(0)]
        for track in self._live:
            unseen = track.unseen_s(time_s)
            outlook = self._expect(track, time_s)
            expected = outlook.expected
            if time_s - track.tried_s < _RETRY * unseen - 1e-9 or self._visible(expected.box) < _VISIBLE:
                continue
            track.tried_s = time_s
            boxes.append(expected.box[None])
            regions.append(outlook.region[None])
        return Wishes(np.concatenate(boxes), np.concatenate(regions))

    def step(self, frame: int, time_s: float, seen: Observations) -> None:
        """Take in what was ``seen`` in a frame; its poses must be distinct."""
        presence = seen.poses.presence
        limbs = seen.poses.score[:, LIMBS].mean(-1)
        certain = (presence >= self._config.high_presence) & (limbs >= self._config.certain_score)
        uncertain = ~certain & (presence >= self._config.low_presence)
        matched = self._match(self._live, np.flatnonzero(certain), seen, time_s)
        followed = [track for track, _ in matched]
        recent = [t for t in self._live if t not in followed and time_s - t.certain_s <= _UNCERTAIN_UNSEEN_S]
        free = np.flatnonzero(certain & seen.may_begin)
        free = np.setdiff1d(free, [row for _, row in matched])
        for track, _ in matched:
            track.certain_s = time_s
        matched += self._match(recent, np.flatnonzero(uncertain), seen, time_s)
        for track, row in matched:
            self._extend(track, frame, time_s, seen, row)
        taken = [row for _, row in matched]
        for row in free:
            if not any(_doubles(seen, int(row), other) for other in taken):
                self._begin(frame, time_s, seen, int(row))
                taken.append(int(row))
        self._retire(time_s)

    def hand_over(self) -> list[TrackPart]:
        """Return what was seen of every track since the last time, in the order in which they began."""
        tracks, self._ended = self._ended + self._live, []
        parts = [track.hand_over() for track in sorted(tracks, key=lambda track: track.number)]
        return [part for part in parts if len(part.poses)]

    def finish(self) -> list[TrackedPoses]:
        """Return every confirmed person that was seen for long enough, by first appearance."""
        parts = {part.number: part for part in self.hand_over()}
        return [parts[life.number].poses for life in people_among(map(life_of, parts.values()), self._config)]

    def _match(
        self, tracks: list[_Track], rows: np.ndarray, seen: Observations, time_s: float
    ) -> list[tuple[_Track, int]]:
        costs = np.full((len(tracks), len(rows)), np.inf)
        for i, track in enumerate(tracks):
            expected = self._expect(track, time_s).expected
            # Of two tracks that fit, the one known for longer: a doubled person must not flip between numbers.
            seniority = _SENIORITY * min(track.age_s(), 1.0)
            for j, row in enumerate(rows):
                distance = track.ground.distance(seen.ground.position[row], seen.ground.covariance[row], time_s)
                costs[i, j] = association.cost(expected, distance, seen, int(row)) - seniority
        return [(tracks[i], int(rows[j])) for i, j in association.assign(costs)]

    def _extend(self, track: _Track, frame: int, time_s: float, seen: Observations, row: int) -> None:
        track.ground.update(seen.ground.position[row], seen.ground.covariance[row], time_s)
        self._remember(track, frame, time_s, seen, row)
        overlaps = association.box_overlap(seen.box[row], np.delete(seen.box, row, axis=0))
        if not (overlaps > _OVERLAPPED).any():  # another person in front would lend their colours
            mixed = (1 - _COLOUR_RATE) * track.colour**2 + _COLOUR_RATE * seen.colour[row] ** 2
            track.colour = np.sqrt(mixed)

    def _begin(self, frame: int, time_s: float, seen: Observations, row: int) -> None:
        ground = GroundFilter(seen.ground.position[row], seen.ground.covariance[row], time_s, self._config.acceleration)
        track = _Track(self._begun, ground)
        self._begun += 1
        track.colour = seen.colour[row]
        self._remember(track, frame, time_s, seen, row)
        self._live.append(track)

    def _remember(self, track: _Track, frame: int, time_s: float, seen: Observations, row: int) -> None:
        track.count += 1
        track.frames.append(frame)
        track.times.append(time_s)
        poses = seen.poses
        track.poses.append((poses.xy[row], poses.score[row], seen.box[row], float(poses.presence[row])))
        track.region = poses.region[row]
        track.tried_s = time_s
        track.outlook = None

    def _retire(self, time_s: float) -> None:
        config = self._config
        live = []
        for track in self._live:
            known = track.confirmed(config.confirm_s)
            patience = config.bridge_s if known else _TENTATIVE_UNSEEN_S
            if track.unseen_s(time_s) <= patience:
                live.append(track)
            elif known:
                self._ended.append(track)
        self._live = live

    def _expect(self, track: _Track, time_s: float) -> _Outlook:
        """Return what ``track`` should look like at ``time_s``: its last sight, moved as its filter predicts."""
        if track.outlook is None or track.outlook.time_s != time_s:
            shift, growth = self._movement(track, time_s)
            hips = COCO17.root_of(track.xy)
            xy = hips + shift + growth * (track.xy - hips)
            cx, cy, side, angle = track.region
            track.outlook = _Outlook(
                time_s=time_s,
                expected=Expectation(xy, pose_box(xy), float(pose_size(xy)), track.colour, track.unseen_s(time_s)),
                region=np.array([cx + shift[0], cy + shift[1], side * growth, angle]),
            )
        return track.outlook

    def _movement(self, track: _Track, time_s: float) -> tuple[np.ndarray, float]:
        """Return how the track's image has moved, ``(2)`` px, and grown since it was last seen.

        In the next frames it goes on as in the image, which holds in the air too; later, as on the ground.
        """
        hips, unseen = track.xy[_HIPS].mean(0), track.unseen_s(time_s)
        if len(track.times) > 1:
            before = track.times[-1] - track.times[-2]
            if max(before, unseen) <= _IMAGE_MOTION_S:
                return (hips - track.poses[-2][0][_HIPS].mean(0)) * (unseen / before), 1.0
        mean, _ = track.ground.predicted(time_s)
        return self._locator.carry(track.ground.position, mean[:2])

    def _visible(self, box: np.ndarray) -> float:
        """Return the fraction of ``box (4)`` px that is inside the image."""
        width, height = self._locator.image_size
        return association.share_within(box, np.array([-0.5, -0.5, width - 0.5, height - 0.5]))


def life_of(part: TrackPart) -> Life:
    """Return the life that ``part`` shows."""
    poses = part.poses
    first_frame, last_frame = poses.frames[[0, -1]].tolist()
    first_s, last_s = poses.time_s[[0, -1]].tolist()
    return Life(part.number, first_frame, last_frame, first_s, last_s, len(poses))


def people_among(lives: Iterable[Life], config: TrackingConfig) -> list[Life]:
    """Return those of ``lives`` that are people, seen for long enough and often enough, by first appearance."""

    def is_person(life: Life) -> bool:
        age_s = life.last_s - life.first_s
        confirmed = life.count > 1 and age_s >= max(config.confirm_s, config.min_length_s)
        return confirmed and life.count >= _SEEN * (life.last_frame - life.first_frame + 1)

    return sorted(filter(is_person, lives), key=lambda life: (life.first_s, -life.count, life.number))
