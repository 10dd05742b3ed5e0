"""Identity over time on simulated people, without images: crossings, gaps, frame rates, scraps."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.detectors import association
from mocap_video.detectors.base import Poses
from mocap_video.detectors.config import TrackingConfig
from mocap_video.detectors.standing import GroundLocator, pose_box
from mocap_video.detectors.tracking import TrackedPoses, Tracker
from synth.walkers import Walk, poses_of, projected, site_calibration

CALIBRATION = site_calibration()
BLANK = np.zeros((720, 1280, 3), np.uint8)  # everybody wears the same: only geometry tells people apart
TIMES = {
    "60 fps": np.arange(0, 6, 1 / 60),
    "10 fps": np.arange(0, 6, 1 / 10),
    "variable": np.cumsum(np.random.default_rng(5).choice([1 / 60, 1 / 30, 1 / 8], size=90)),
}


def track(walks: list[Walk], times: np.ndarray, *, scraps: int = 0, occlusion: bool = True) -> list[TrackedPoses]:
    """Track ``walks`` with detector-like noise; ``scraps`` false poses each live for one frame."""
    rng = np.random.default_rng(0)
    locator = GroundLocator(CALIBRATION)
    tracker = Tracker(TrackingConfig(), locator)
    scrap_frames = set(rng.choice(len(times), scraps, replace=False).tolist())
    for frame, time_s in enumerate(times):
        here = sorted((w for w in walks if w.seen(time_s)), key=lambda w: w.joints(time_s)[0, 1])
        xy = np.array([projected(w.joints(time_s), CALIBRATION) for w in here]).reshape(-1, 17, 2)
        if occlusion:  # who is behind, and mostly covered, is not seen
            boxes = [pose_box(pose) for pose in xy]
            hidden = [any(association.box_overlap(b, front) > 0.4 for front in boxes[:i]) for i, b in enumerate(boxes)]
            xy = xy[~np.array(hidden, bool)]
        xy = xy + rng.normal(0, 2.0, xy.shape)  # px
        if frame in scrap_frames:
            scrap = projected(Walk((rng.uniform(-3, 3), rng.uniform(8, 14)), (1, 0)).joints(0), CALIBRATION)
            xy = np.concatenate([xy, scrap[None]])
        poses = poses_of(xy)
        tracker.wishes(time_s)
        ground = locator.locate(poses.xy, poses.score)
        seen = association.observe(BLANK, poses, ground, np.ones(len(poses), bool))
        tracker.step(frame, time_s, seen)
    return tracker.finish()


def walkers_of(found: TrackedPoses, walks: list[Walk]) -> set[int]:
    """Return which of ``walks`` the track follows, over all its frames."""
    followed = set()
    for time_s, xy in zip(found.time_s, found.xy, strict=True):
        off = [np.linalg.norm(projected(w.joints(time_s), CALIBRATION) - xy, axis=-1).mean() for w in walks]
        followed.add(int(np.argmin(off)))
    return followed


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize("gap_m", [0.6, 1.5])
def test_two_people_who_cross_keep_their_numbers(times: np.ndarray, gap_m: float) -> None:
    walks = [Walk((-3, 11), (1.0, 0)), Walk((3, 11 + gap_m), (-1.1, 0))]
    found = track(walks, times)
    assert len(found) == 2
    assert sorted(map(sorted, (walkers_of(f, walks) for f in found))) == [[0], [1]]


def test_two_people_side_by_side_are_two() -> None:
    walks = [Walk((-2, 11), (0.8, 0.1)), Walk((-2.6, 11), (0.8, 0.1))]
    found = track(walks, TIMES["60 fps"])
    assert sorted(map(sorted, (walkers_of(f, walks) for f in found))) == [[0], [1]]


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())
def test_a_person_hidden_for_a_second_keeps_the_number(times: np.ndarray) -> None:
    found = track([Walk((-3, 12), (1.0, 0.2), hidden_s=((2.0, 3.0),))], times)
    assert len(found) == 1
    assert found[0].time_s[0] == times[0]
    assert found[0].time_s[-1] == times[-1]
    assert not ((found[0].time_s >= 2.0) & (found[0].time_s < 3.0)).any()


def test_a_person_who_comes_back_after_long_is_new() -> None:
    found = track([Walk((-3, 12), (1.0, 0), leave_s=1.5), Walk((-3, 12), (1.0, 0), enter_s=4.0)], TIMES["60 fps"])
    assert [f.time_s[0] for f in found] == pytest.approx([0.0, 4.0], abs=0.02)


def test_people_are_ordered_by_first_appearance() -> None:
    walks = [Walk((2, 10), (-0.5, 0), enter_s=2.0), Walk((-2, 13), (0.5, 0))]
    found = track(walks, TIMES["10 fps"])
    assert [walkers_of(f, walks) for f in found] == [{1}, {0}]


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES.keys())
def test_scraps_of_a_frame_become_nobody(times: np.ndarray) -> None:
    found = track([Walk((-3, 16), (1.0, 0))], times, scraps=12)
    assert len(found) == 1
    assert walkers_of(found[0], [Walk((-3, 16), (1.0, 0))]) == {0}


def test_a_person_seen_for_a_moment_is_dropped() -> None:
    assert track([Walk((0, 12), (1.0, 0), leave_s=0.25)], TIMES["60 fps"]) == []
    assert len(track([Walk((0, 12), (1.0, 0), leave_s=0.5)], TIMES["60 fps"])) == 1


def test_one_person_seen_twice_is_one() -> None:
    xy = projected(Walk((0, 12), (1, 0)).joints(0.0), CALIBRATION)
    mirrored = xy[[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    other = projected(Walk((1, 12), (1, 0)).joints(0.0), CALIBRATION)
    kept = association.distinct(poses_of(np.stack([xy, xy + 3.0, mirrored, other])))
    assert len(kept) == 2
    assert 3 in kept


@pytest.mark.parametrize(("score", "people"), [(0.45, 1), (0.8, 2)])
def test_a_poor_pose_within_a_persons_box_begins_nobody(score: float, people: int) -> None:
    """Pieces of a near person look like a poor far one; a clear one is there."""
    near, far = (projected(walk.joints(0.0), CALIBRATION) for walk in (Walk((0, 7), (1, 0)), Walk((0.12, 16), (1, 0))))
    near[9] = near[9] + [150.0, -130.0]  # px: an arm held out makes the box wide
    far = far + (near[9] + [-45.0, 60.0] - far[11])
    locator = GroundLocator(CALIBRATION)
    tracker = Tracker(TrackingConfig(), locator)
    for frame in range(20):
        poses = Poses.concatenate([poses_of(near[None]), poses_of(far[None], score=score)])
        ground = locator.locate(poses.xy, poses.score)
        seen = association.observe(BLANK, poses, ground, np.ones(2, bool))
        assert association.share_within(seen.box[1], seen.box[0]) > 0.7
        assert not association.hides(far, near)
        tracker.step(frame, frame / 30, seen)
    assert len(tracker.finish()) == people


def test_a_lost_person_is_looked_for_where_the_walk_leads() -> None:
    walk = Walk((-3, 12), (1.2, 0))
    locator = GroundLocator(CALIBRATION)
    tracker = Tracker(TrackingConfig(), locator)
    for frame, time_s in enumerate(np.arange(0, 2, 1 / 30)):
        poses = poses_of(projected(walk.joints(time_s), CALIBRATION)[None])
        ground = locator.locate(poses.xy, poses.score)
        tracker.step(frame, time_s, association.observe(BLANK, poses, ground, np.ones(1, bool)))
    wish = tracker.wishes(3.0).box_xyxy[0]
    truth = pose_box(projected(walk.joints(3.0), CALIBRATION))
    assert association.box_overlap(wish, truth) > 0.5
