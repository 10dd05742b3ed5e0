"""Where new people might be: a detector on tiles in turn, motion before a still background, and HOG for the far ones.

Candidates are only places to look at; the estimator's presence and the ground decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.detectors.base import Detections, PersonDetector, no_regions
from mocap_video.detectors.config import ScanConfig
from mocap_video.detectors.standing import STATURE_M, GroundLocator
from mocap_video.detectors.tiles import plan_tiles

_UNSETTLED_RATE = 2.0
_MOTION_WIDTH = 640
_MOTION_PERIOD_S = 0.1
_MOTION_WARM_UP_S = 1.0
_MOTION_MEMORY_S = 15.0
_MOTION_FILL = 0.18
_MOTION_SCORE = 0.3
_FOREGROUND = 255
_HOG_PERSON_PX = 100.0
_HOG_MAX_SCALE = 2.0
_STATURE_RANGE = (0.5, 1.5)


def merge(parts: list[Detections]) -> Detections:
    """Return all detections of ``parts``, best first."""
    score = np.concatenate([np.zeros(0), *(p.score for p in parts)])
    order = np.argsort(-score, kind="stable")
    box = np.concatenate([np.zeros((0, 4)), *(p.box_xyxy for p in parts)])
    region = np.concatenate([no_regions(0), *(p.region for p in parts)])
    return Detections(box[order], score[order], region[order])


@dataclass(frozen=True)
class ScanState:
    """What a ``Scanner`` needs to go on: the tile that is ``next``, how many are ``due``, when tiles and HOG were last
    looked at, s (NaN and -inf: never). What moves is learned anew, see ``Scanner.watch``.
    """

    next_tile: int
    due: float
    tiles_s: float
    hog_s: float


class TileScan:
    """Runs the detector on the tiles of the plan in turn: all at first, then few a frame."""

    def __init__(self, detector: PersonDetector, tiles_xyxy: np.ndarray, period_s: float) -> None:
        self._detector = detector
        self._tiles = tiles_xyxy
        self._period_s = period_s
        self._next = 0
        self._due = float(len(tiles_xyxy))
        self._last_s: float | None = None

    @property
    def state(self) -> tuple[int, float, float]:
        """The next tile, how many are due, and when it looked last, s (NaN: never)."""
        return self._next, self._due, np.nan if self._last_s is None else self._last_s

    def resume(self, next_tile: int, due: float, last_s: float) -> None:
        """Go on from another's ``state``."""
        self._next, self._due, self._last_s = next_tile, due, None if np.isnan(last_s) else last_s

    def propose(self, rgb: np.ndarray, time_s: float, unsettled: bool) -> Detections:
        """Return people in the tiles that are due at ``time_s``."""
        count = len(self._tiles)
        if self._last_s is not None:
            rate = _UNSETTLED_RATE if unsettled else 1.0
            # At most one tile a frame, two when unsettled: a view of many tiles is searched less often instead.
            self._due = min(self._due + min(count * (time_s - self._last_s) / self._period_s, 1.0) * rate, count)
        self._last_s = time_s
        due = [self._tiles[(self._next + k) % count] for k in range(int(self._due))]
        self._next = (self._next + len(due)) % count
        self._due -= len(due)
        seen = self._detector.detect_all([rgb[y0:y1, x0:x1] for x0, y0, x1, y1 in due])
        return merge([_moved(part, tile[:2]) for part, tile in zip(seen, due, strict=True)])


def _moved(seen: Detections, by: np.ndarray) -> Detections:
    """Return ``seen`` in an image that begins ``by (2)`` px farther to the upper left."""
    x, y = by
    return Detections(seen.box_xyxy + np.array([x, y, x, y]), seen.score, seen.region + np.array([x, y, 0.0, 0.0]))


class MotionScan:
    """Proposes boxes about what moves before the background and has a person's size where it stands."""

    def __init__(self, locator: GroundLocator, min_person_px: float) -> None:
        self._locator = locator
        self._min_person_px = min_person_px
        self._scale = min(1.0, _MOTION_WIDTH / max(locator.image_size))
        frames = int(_MOTION_MEMORY_S / _MOTION_PERIOD_S)
        self._background = cv2.createBackgroundSubtractorMOG2(frames, 25, True)
        self._start_s: float | None = None
        self._last_s = -np.inf

    def propose(self, rgb: np.ndarray, time_s: float) -> Detections:
        """Return boxes about moving things at ``time_s``; none while the background is still being learned."""
        if time_s - self._last_s < 0.99 * _MOTION_PERIOD_S:
            return merge([])
        self._last_s = time_s
        self._start_s = time_s if self._start_s is None else self._start_s
        small = cv2.resize(rgb, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA)
        mask = self._background.apply(small)
        if time_s - self._start_s < _MOTION_WARM_UP_S:
            return merge([])
        return self._boxes(mask)

    def _boxes(self, mask: np.ndarray) -> Detections:
        moving = (mask == _FOREGROUND).astype(np.uint8)
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
        _, _, blobs, _ = cv2.connectedComponentsWithStats(moving)
        x, y, w, h, area = blobs[1:].T.astype(float)
        kept = (h >= self._min_person_px * self._scale) & (area > _MOTION_FILL * w * h) & (w < 2.5 * h)
        boxes = (np.stack([x, y, x + w, y + h], -1)[kept] + 0.0) / self._scale
        boxes = boxes[self._person_sized(boxes)]
        return Detections(boxes, np.full(len(boxes), _MOTION_SCORE), no_regions(len(boxes)))

    def _person_sized(self, boxes: np.ndarray) -> np.ndarray:
        """Return which ``boxes (N,4)`` px could hold a person who stands at their lower edge, or above the ground."""
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], -1)
        ground = self._locator.ground_under(feet)
        adult = np.linalg.norm(self._locator.project(ground, STATURE_M) - feet, axis=-1)
        relative = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1) / adult
        low, high = _STATURE_RANGE
        return ~np.isfinite(relative) | ((relative > low) & (relative < high))


class HogScan:
    """OpenCV's upright-person detector, for people who are too small and too many places for the tiles."""

    def __init__(self, typical_px: float, period_s: float) -> None:
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
        self._scale = min(_HOG_PERSON_PX / typical_px, _HOG_MAX_SCALE)
        self._period_s = period_s
        self.last_s = -np.inf

    def propose(self, rgb: np.ndarray, time_s: float) -> Detections:
        """Return upright people at ``time_s``; none while the last search is recent."""
        if time_s - self.last_s < self._period_s:
            return merge([])
        self.last_s = time_s
        image = cv2.resize(rgb, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_LINEAR)
        if image.shape[0] < 128 or image.shape[1] < 64:  # smaller than HOG's window
            return merge([])
        found, weight = self._hog.detectMultiScale(image, hitThreshold=0.2, winStride=(8, 8), scale=1.1)
        x, y, w, h = np.asarray(found, float).reshape(-1, 4).T
        # HOG's window leaves a margin about the person.
        boxes = np.stack([x + 0.1 * w, y + 0.06 * h, x + 0.9 * w, y + 0.94 * h], -1) / self._scale
        return Detections(boxes, np.clip(np.asarray(weight, float).reshape(-1), 0, 1), no_regions(len(boxes)))


class Scanner:
    """All searches for new people in one calibrated view."""

    def __init__(
        self, detector: PersonDetector, locator: GroundLocator, config: ScanConfig, state: ScanState | None = None
    ) -> None:
        plan = plan_tiles(locator, detector.size_range, config)
        self._tiles = TileScan(detector, plan.tiles_xyxy, config.period_s)
        self._motion = MotionScan(locator, config.min_person_px) if config.motion else None
        self._hog = None if plan.complete or not config.hog else HogScan(plan.typical_px, config.hog_period_s)
        if state:
            self._tiles.resume(state.next_tile, state.due, state.tiles_s)
            if self._hog:
                self._hog.last_s = state.hog_s

    @property
    def state(self) -> ScanState:
        """What another scanner needs to go on from here."""
        return ScanState(*self._tiles.state, hog_s=self._hog.last_s if self._hog else -np.inf)

    def watch(self, rgb: np.ndarray, time_s: float) -> None:
        """Learn what stands still, from an image before those that are searched."""
        if self._motion:
            self._motion.propose(rgb, time_s)

    def propose(self, rgb: np.ndarray, time_s: float, *, unsettled: bool) -> Detections:
        """Return candidates in ``rgb (H,W,3)`` uint8 at ``time_s``, best first."""
        parts = [self._tiles.propose(rgb, time_s, unsettled)]
        if self._motion:
            parts.append(self._motion.propose(rgb, time_s))
        if self._hog:
            parts.append(self._hog.propose(rgb, time_s))
        return merge(parts)
