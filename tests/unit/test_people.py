"""Finding people with a perfect detector and estimator of a simulated site: gate, verification, scanning, numbering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mocap_video.detectors.base import Detections
from mocap_video.detectors.config import GateConfig, ScanConfig, TrackingConfig
from mocap_video.detectors.people import passes_gate
from mocap_video.detectors.scan import MotionScan, TileScan
from mocap_video.detectors.standing import GroundLocator, pose_box
from mocap_video.errors import ConfigError
from synth.scenes import CALIBRATION, Scene, run
from synth.walkers import Walk, poses_of, projected


def test_no_frames_and_empty_frames_hold_nobody() -> None:
    assert run(Scene([], 30), 0) == []
    assert run(Scene([], 30), 1) == []


def test_everyone_is_found_numbered_and_measured_in_the_image() -> None:
    walks = [Walk((2, 10), (-0.5, 0), enter_s=1.0), Walk((-2, 13), (0.5, 0))]
    people = run(Scene(walks, 30), 3)
    assert [p.keypoints.person for p in people] == [1, 2]
    assert people[0].keypoints.frames[0] == 0
    assert people[1].keypoints.time_s[0] == pytest.approx(1.0, abs=0.5)  # s: the scan's period
    for person, walk in zip(people, [walks[1], walks[0]], strict=True):
        assert person.keypoints.frames[-1] == 89
        truth = np.stack([projected(walk.joints(t), CALIBRATION) for t in person.keypoints.time_s])
        assert person.keypoints.xy == pytest.approx(truth, abs=1e-6)
        assert person.track.box_xyxy == pytest.approx(pose_box(truth), abs=1e-6)


def test_frame_numbers_are_the_files() -> None:
    people = run(Scene([Walk((-2, 13), (0.5, 0))], 30), 1, first=120)
    assert people[0].keypoints.frames.tolist() == list(range(120, 150))


def test_a_hidden_person_is_bridged_by_missing_keypoints() -> None:
    (person,) = run(Scene([Walk((-2, 12), (0.8, 0), hidden_s=((1.0, 1.8),))], 30), 3)
    missing = ~person.keypoints.seen
    assert np.diff(np.flatnonzero(missing)).max() == 1
    times = person.keypoints.time_s[missing]
    assert (times[0], times[-1]) == pytest.approx((1.0, 1.8), abs=0.1)  # s: the lost are looked for ten times a second


@pytest.mark.parametrize("height_m", [-3.0, 3.0])
def test_the_ground_tells_people_from_posters(height_m: float) -> None:
    """A figure half or twice as tall as people are, for where its feet are, begins no track."""
    walk = Walk((0, 12), (0.5, 0))
    camera = CALIBRATION.camera.center_world

    def poster(time_s: float) -> np.ndarray:
        joints = walk.joints(time_s)
        scale = {-3.0: 0.4, 3.0: 1.6}[height_m]
        foot = joints[15:].mean(0) * [1, 1, 0]
        return projected(foot + scale * (joints - foot), CALIBRATION)

    assert camera[2] == pytest.approx(4.0)
    poses = poses_of(poster(0.0)[None], presence=0.8)
    ground = GroundLocator(CALIBRATION).locate(poses.xy, poses.score)
    assert not passes_gate(poses, ground, GateConfig())[0]
    real = poses_of(projected(walk.joints(0.0), CALIBRATION)[None], presence=0.8)
    assert passes_gate(real, GroundLocator(CALIBRATION).locate(real.xy, real.score), GateConfig())[0]


def test_who_stands_off_the_ground_must_be_certain() -> None:
    on_wall = projected(Walk((0, 12), (1, 0)).joints(0) + np.array([0, 0, 2.0]), CALIBRATION)[None]
    locator = GroundLocator(CALIBRATION)
    for presence, score, expected in ((0.99, 0.8, True), (0.8, 0.8, False), (0.99, 0.45, False)):
        poses = poses_of(on_wall, score=score, presence=presence)
        assert passes_gate(poses, locator.locate(poses.xy, poses.score), GateConfig())[0] == expected


def test_the_gate_is_for_births_alone() -> None:
    """Somebody who is followed and lies down stays, though nobody could begin so."""

    class LyingDown(Walk):
        def joints(self, time_s: float) -> np.ndarray:
            standing = super().joints(time_s)
            fall = np.clip((time_s - 1.0) / 0.8, 0, 1) * 0.48 * np.pi
            foot = standing[15:].mean(0)
            cos, sin = np.cos(fall), np.sin(fall)
            return (standing - foot) @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + foot

    walk = LyingDown((-1, 11), (0.01, 0))
    lying = poses_of(projected(walk.joints(3.0), CALIBRATION)[None])
    ground = GroundLocator(CALIBRATION).locate(lying.xy, lying.score)
    assert not passes_gate(lying, ground, GateConfig())[0]
    (person,) = run(Scene([walk], 30), 4)
    assert person.keypoints.seen.all()


def test_a_doubtful_estimate_begins_nobody_and_is_not_asked_for_again_at_once() -> None:
    scene = Scene([Walk((0, 12), (0.1, 0))], 30, scores=(0.2, 0.4))
    assert run(scene, 2) == []
    assert scene.estimates <= 4  # refusals hold for a second


def test_all_tiles_are_searched_at_first_and_few_a_frame_later() -> None:
    scene = Scene([], 30)
    looked: list[tuple[int, ...]] = []

    class Recorder:
        size_range = (0.3, 0.9)

        def detect(self, rgb: np.ndarray) -> Detections:
            looked.append(rgb.shape)
            return scene.detect(np.zeros((1, 1, 3), np.uint8))

        def detect_all(self, images: Sequence[np.ndarray]) -> list[Detections]:
            return [self.detect(rgb) for rgb in images]

    tiles = np.array([[0, 0, 1280, 720], *([x, 100, x + 200 + x // 10, 300] for x in range(0, 900, 100))])
    scan = TileScan(Recorder(), tiles, period_s=0.5)
    image = np.zeros((720, 1280, 3), np.uint8)
    scan.propose(image, 0.0, unsettled=False)
    assert len(looked) == len(tiles) == len(set(looked))
    looked.clear()
    for k in range(1, 17):
        before = len(looked)
        scan.propose(image, k / 30, unsettled=False)
        assert len(looked) - before <= 1
    assert len(set(looked)) == len(tiles)  # half a second, one round


def test_what_moves_and_has_a_persons_size_is_proposed() -> None:
    rng = np.random.default_rng(0)
    yard = rng.integers(60, 120, (720, 1280, 3), np.uint8)
    scan = MotionScan(GroundLocator(CALIBRATION), 48.0)
    found = []
    for k in range(21):
        image = yard.copy()
        box = pose_box(projected(Walk((-2, 12), (1.0, 0)).joints(k / 10), CALIBRATION)).astype(int)
        if k > 15:
            image[box[1] : box[3], box[0] : box[2]] = 230
            image[640:700, 100:104] = 230  # near and tiny: no person
            found.append((scan.propose(image, k / 10), box))
        else:
            assert len(scan.propose(image, k / 10)) == 0
    assert all(len(seen) == 1 for seen, _ in found)
    for seen, box in found:
        assert seen.box_xyxy[0] == pytest.approx(box, abs=10)  # px


@pytest.mark.parametrize(
    "make",
    [
        lambda: ScanConfig(period_s=0),
        lambda: GateConfig(stature_m=(2.0, 1.0)),
        lambda: TrackingConfig(bridge_s=-1.0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make) -> None:  # noqa: ANN001
    with pytest.raises(ConfigError, match="expected"):
        make()
