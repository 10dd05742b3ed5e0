"""A site whose people are known: a detector and an estimator that see everybody, and the frames to go with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mocap_video.detectors.base import Detections, Poses, no_regions
from mocap_video.detectors.config import PeopleConfig, ScanConfig
from mocap_video.detectors.people import find_people
from mocap_video.detectors.standing import pose_box
from mocap_video.types import Frame, PersonTrack
from synth.walkers import Walk, poses_of, projected, site_calibration

CALIBRATION = site_calibration()
QUIET = PeopleConfig(scan=ScanConfig(motion=False, hog=False, max_tiles=1))


class Scene:
    """A detector and an estimator that know where everybody is; images carry nothing but the frame's number."""

    size_range = (0.05, 1.0)

    def __init__(self, walks: list[Walk], rate: float, *, scores: tuple[float, float] = (0.9, 0.95)) -> None:
        self.walks, self.rate, self.scores = walks, rate, scores
        self.estimates = 0

    def frames(self, seconds: float, first: int = 0) -> Iterator[Frame]:
        for index in range(first, first + round(seconds * self.rate)):
            rgb = np.zeros((720, 1280, 3), np.uint8)
            rgb[0, 0] = index // 256, index % 256, 0
            yield Frame(index, index / self.rate, rgb)

    def seen(self, rgb: np.ndarray) -> np.ndarray:
        time_s = (int(rgb[0, 0, 0]) * 256 + int(rgb[0, 0, 1])) / self.rate
        xy = [projected(walk.joints(time_s), CALIBRATION) for walk in self.walks if walk.seen(time_s)]
        return np.array(xy).reshape(-1, 17, 2)

    def detect(self, rgb: np.ndarray) -> Detections:
        boxes = np.array([pose_box(xy) for xy in self.seen(rgb)]).reshape(-1, 4)
        return Detections(boxes, np.full(len(boxes), 0.8), no_regions(len(boxes)))

    def detect_all(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [self.detect(rgb) for rgb in images]

    def estimate(self, rgb: np.ndarray, boxes: np.ndarray, regions: np.ndarray | None = None) -> Poses:
        assert regions is None or regions.shape == (len(boxes), 4)
        self.estimates += len(boxes)
        people, (score, presence) = self.seen(rgb), self.scores
        found = []
        for box in boxes:
            apart = [np.abs(pose_box(xy) - box).max() for xy in people]
            nearest = int(np.argmin(apart)) if apart else -1
            if nearest >= 0 and apart[nearest] < 60:  # px
                found.append(poses_of(people[nearest][None], score=score, presence=presence))
            else:
                found.append(poses_of(np.linspace(box[:2], box[2:], 17)[None], score=0.1, presence=0.05))
        return Poses.concatenate([poses_of(np.zeros((0, 17, 2))), *found])


def run(scene: Scene, seconds: float, config: PeopleConfig = QUIET, first: int = 0) -> list[PersonTrack]:
    return find_people(scene.frames(seconds, first), CALIBRATION, config, detector=scene, estimator=scene)
