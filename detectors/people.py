"""Finding and following everyone in a clip: candidates, verification, identity, mending."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mocap_video.detectors import association
from mocap_video.detectors.base import Detections, KeypointEstimator, PersonDetector, Poses, no_regions
from mocap_video.detectors.config import GateConfig, PeopleConfig
from mocap_video.detectors.roster import FinderState, Roster, Sightings, everyone
from mocap_video.detectors.scan import Scanner
from mocap_video.detectors.standing import GroundFix, GroundLocator, pose_box, pose_size
from mocap_video.detectors.tracking import LIMBS, Tracker
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Frame, PersonTrack

_VERIFICATIONS = 2
"""Candidates verified in a frame, each at the cost of two estimates or so. The first frame verifies more."""

_FIRST_VERIFICATIONS = 16
_REFUSAL_S = 1.0
_SAME_PLACE = 0.5
_KNOWN_PLACE = 0.25
_PROMISED_SIZE = (0.45, 1.6)


def find_people(
    frames: Iterable[Frame],
    calibration: Calibration,
    config: PeopleConfig,
    *,
    detector: PersonDetector,
    estimator: KeypointEstimator,
) -> list[PersonTrack]:
    """Return everyone who is seen in ``frames``, numbered from 1 by first appearance.

    Streams: no image is kept. ``calibration`` must be that of the frames' size. Keypoints are as the estimator gives
    them, in px of the frames; sides that it exchanged are put right and isolated jumps removed, nothing is smoothed.
    """
    finder = PeopleFinder(calibration, config, detector=detector, estimator=estimator)
    for frame in frames:
        finder.step(frame)
    return finder.finish()


class PeopleFinder:
    """``find_people`` one frame at a time, and one part of a clip after another: ``state`` is where the last ended."""

    def __init__(
        self,
        calibration: Calibration,
        config: PeopleConfig,
        *,
        detector: PersonDetector,
        estimator: KeypointEstimator,
        state: FinderState | None = None,
    ) -> None:
        self._config = config
        self._estimator = estimator
        self._locator = GroundLocator(calibration)
        self._scanner = Scanner(detector, self._locator, config.scan, state.scan if state else None)
        self._tracker = Tracker(config.tracking, self._locator, state.tracker if state else None)
        refused = state.refused if state else np.zeros((0, 5))
        self._refused = [(float(row[0]), row[1:]) for row in refused]  # when, box
        self._begun = state is not None and state.begun
        self._frames: list[int] = []
        self._times: list[float] = []

    @property
    def idle(self) -> bool:
        """Whether nobody is followed."""
        return self._tracker.idle

    def watch(self, frame: Frame) -> None:
        """Take in a frame before the first ``step``, only to learn what stands still."""
        self._scanner.watch(frame.rgb, frame.time_s)

    def step(self, frame: Frame) -> None:
        """Take in the next frame."""
        first, self._begun = not self._begun, True
        self._frames.append(frame.index)
        self._times.append(frame.time_s)
        wishes = self._tracker.wishes(frame.time_s)
        followed = self._estimator.estimate(frame.rgb, wishes.box_xyxy, wishes.region)
        candidates = self._scanner.propose(frame.rgb, frame.time_s, unsettled=self._tracker.unsettled(frame.time_s))
        limit = _FIRST_VERIFICATIONS if first else _VERIFICATIONS
        new = self._verify(frame, candidates, followed, limit)
        poses = Poses.concatenate([followed, new])
        ground = self._locator.locate(poses.xy, poses.score)
        placed = np.flatnonzero(np.isfinite(ground.position).all(-1) & np.isfinite(ground.covariance).all((1, 2)))
        kept = placed[association.distinct(poses.select(placed))]
        poses, ground = poses.select(kept), ground.select(kept)
        may_begin = passes_gate(poses, ground, self._config.gate)
        seen = association.observe(frame.rgb, poses, ground, may_begin)
        self._tracker.step(frame.index, frame.time_s, seen)

    def hand_over(self) -> Sightings:
        """Return what was seen since the last time, and what another finder needs to go on from here."""
        refused = np.array([[time_s, *box] for time_s, box in self._refused]).reshape(-1, 5)
        parts = tuple(self._tracker.hand_over())
        state = FinderState(self._begun, self._tracker.state, self._scanner.state, refused)
        seen = Sightings(np.array(self._frames, int), np.array(self._times, float), parts, state)
        self._frames, self._times = [], []
        return seen

    def finish(self) -> list[PersonTrack]:
        """Return everyone seen so far."""
        seen = self.hand_over()
        roster = Roster.of([seen], self._config.tracking)
        return list(everyone(0, roster, None, seen, None).tracks)

    def _verify(self, frame: Frame, candidates: Detections, followed: Poses, limit: int) -> Poses:
        """Return the poses of ``candidates`` that hold somebody who is not among ``followed``."""
        self._refused = [(t, box) for t, box in self._refused if frame.time_s - t < _REFUSAL_S]
        known = [pose_box(xy) for xy in followed.xy[followed.presence >= self._config.gate.presence]]
        found: list[Poses] = []
        tried = 0
        for box, region in zip(candidates.box_xyxy, candidates.region, strict=True):
            if tried == limit:
                break
            if any(_same_place(box, other, _KNOWN_PLACE) for other in known) or self._was_refused(box):
                continue
            tried += 1
            pose = self._estimator.estimate(frame.rgb, box[None], region[None])
            if pose.presence[0] >= self._config.gate.presence:
                # A candidate's place is rough, and a person in a rough crop may come out back to front.
                pose = self._estimator.estimate(frame.rgb, pose_box(pose.xy), pose.region)
            ground = self._locator.locate(pose.xy, pose.score)
            if passes_gate(pose, ground, self._config.gate)[0] and _is_of(pose.xy[0], box, region):
                found.append(pose)
                known.append(pose_box(pose.xy[0]))
            else:
                self._refused.append((frame.time_s, box))
        return Poses.concatenate([_NOBODY, *found])

    def _was_refused(self, box: np.ndarray) -> bool:
        return any(association.box_overlap(box, other) > _SAME_PLACE for _, other in self._refused)


_NOBODY = Poses(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), no_regions(0))


def _same_place(candidate: np.ndarray, known: np.ndarray, reach: float) -> bool:
    """Return whether the boxes (4) px have nearly the same centre and a similar height."""
    apart = np.linalg.norm((candidate[:2] + candidate[2:] - known[:2] - known[2:]) / 2)
    heights = candidate[3] - candidate[1], known[3] - known[1]
    return bool(apart < reach * min(heights) and max(heights) < 2 * min(heights))


def _is_of(xy: np.ndarray, box: np.ndarray, region: np.ndarray) -> bool:
    """Return whether the pose ``xy (17,2)`` px is what the candidate promised: about there, about so large."""
    low, high = _PROMISED_SIZE
    side = region[2] if np.isfinite(region).all() else (box[2:] - box[:2]).max()
    apart = np.linalg.norm(COCO17.root_of(xy) - (box[:2] + box[2:]) / 2)
    return bool(apart < 0.5 * side and low < pose_size(xy) / side < high)


def passes_gate(poses: Poses, ground: GroundFix, config: GateConfig) -> np.ndarray:
    """Return ``(N)`` bool: which poses may be people seen for the first time.

    Presence alone passes scraps of motion: a new person also has clear limbs and stands on the ground at a human
    stature, or else is certain beyond doubt.
    """
    limbs = poses.score[:, LIMBS].mean(-1)
    low, high = config.stature_m
    with np.errstate(invalid="ignore"):
        stands = ground.on_feet & (ground.stature >= low) & (ground.stature <= high)
    likely = (poses.presence >= config.presence) & (limbs >= config.mean_score)
    sure = (poses.presence >= config.off_ground_presence) & (limbs >= config.off_ground_score)
    large = pose_size(poses.xy) > 0
    return large & ((stands & likely) | (~ground.on_feet & sure))
