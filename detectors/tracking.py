"""Identity over time: a Kalman filter on the ground for each person, and two rounds of association a frame.

As in ByteTrack (Zhang et al. 2022) certain observations are matched before uncertain ones. What is matched are poses on
the ground plane, not boxes in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap_video.detectors import association
from mocap_video.detectors.association import Expectation, Observations
from mocap_video.detectors.base import no_regions
from mocap_video.detectors.config import TrackingConfig
from mocap_video.detectors.kalman import GroundFilter
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


@dataclass(frozen=True)
class _Outlook:
    """What a track expects at ``time_s`` s, and the ``region (4)`` to look in."""

    time_s: float
    expected: Expectation
    region: np.ndarray


class _Track:
    """One person while the clip runs."""

    def __init__(self, ground: GroundFilter) -> None:
        self.ground = ground
        self.certain_s = ground.time_s
        self.frames: list[int] = []
        self.times: list[float] = []
        self.poses: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []  # xy, score, box, presence
        self.region = no_regions(1)[0]
        self.colour = np.zeros(0)
        self.tried_s = -np.inf
        self.outlook: _Outlook | None = None

    @property
    def xy(self) -> np.ndarray:
        return self.poses[-1][0]

    def unseen_s(self, time_s: float) -> float:
        return time_s - self.times[-1]

    def age_s(self) -> float:
        return self.times[-1] - self.times[0]

    def confirmed(self, confirm_s: float) -> bool:
        return len(self.times) > 1 and self.age_s() >= confirm_s

    def result(self) -> TrackedPoses:
        xy, score, box, presence = zip(*self.poses, strict=True)
        return TrackedPoses(
            np.array(self.frames),
            np.array(self.times),
            np.array(xy),
            np.array(score),
            np.array(box),
            np.array(presence),
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

    def __init__(self, config: TrackingConfig, locator: GroundLocator) -> None:
        self._config = config
        self._locator = locator
        self._live: list[_Track] = []
        self._ended: list[_Track] = []

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

    def finish(self) -> list[TrackedPoses]:
        """Return every confirmed person that was seen for long enough, by first appearance."""
        config = self._config
        tracks = [
            track
            for track in self._ended + self._live
            if track.confirmed(config.confirm_s)
            and track.age_s() >= config.min_length_s
            and len(track.frames) >= _SEEN * (track.frames[-1] - track.frames[0] + 1)
        ]
        return [track.result() for track in sorted(tracks, key=lambda track: (track.times[0], -len(track.times)))]

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
        track = _Track(ground)
        track.colour = seen.colour[row]
        self._remember(track, frame, time_s, seen, row)
        self._live.append(track)

    def _remember(self, track: _Track, frame: int, time_s: float, seen: Observations, row: int) -> None:
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
