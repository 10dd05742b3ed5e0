"""Mending whole tracks: exchanged sides, jumps, gaps."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.detectors import repair
from mocap_video.detectors.standing import pose_box
from mocap_video.detectors.tracking import NO_POSES, TrackedPoses
from mocap_video.skeletons import COCO17
from synth.walkers import Walk, projected, site_calibration, standing_joints

CALIBRATION = site_calibration()
BODY = tuple(name for name in COCO17.names if name.startswith("left"))
LEGS = ("left_hip", "left_knee", "left_ankle")


def walked(times: np.ndarray) -> TrackedPoses:
    """Return a glide towards the camera with noise of 1 px."""
    walk = Walk((-1, 10), (0.4, -0.9))
    xy = np.stack([projected(walk.joints(t), CALIBRATION) for t in times])
    xy += np.random.default_rng(1).normal(0, 1.0, xy.shape)
    n = len(times)
    return TrackedPoses(np.arange(n), times, xy, np.full((n, 17), 0.9), pose_box(xy), np.ones(n))


def with_xy(poses: TrackedPoses, xy: np.ndarray) -> TrackedPoses:
    return TrackedPoses(poses.frames, poses.time_s, xy, poses.score, poses.box_xyxy, poses.presence)


@pytest.mark.parametrize("names", [BODY, LEGS], ids=["body", "legs"])
@pytest.mark.parametrize("frames", [[12], [12, 13, 14], [0], [29], [5, 20]])
def test_exchanged_sides_are_put_right(names: tuple[str, ...], frames: list[int]) -> None:
    clean = walked(np.arange(30) / 30)
    xy = clean.xy.copy()
    xy[frames] = repair.swap_sides(xy[frames], names)
    mended, _ = repair.unswap(with_xy(clean, xy))
    assert np.array_equal(mended, clean.xy)


@pytest.mark.parametrize("rate", [60, 30, 10])
def test_a_person_who_turns_round_keeps_the_sides(rate: int) -> None:
    times = np.arange(0, 2, 1 / rate)
    xy = np.stack([projected(standing_joints(np.array([0.0, 10.0]), 2 * np.pi * t / 2), CALIBRATION) for t in times])
    n = len(times)
    turning = TrackedPoses(np.arange(n), times, xy, np.full((n, 17), 0.9), pose_box(xy), np.ones(n))
    mended, _ = repair.unswap(turning)
    assert np.array_equal(mended, xy)


@pytest.mark.parametrize("rate", [60, 30, 15, 10])
def test_legs_that_pass_each_other_keep_their_sides(rate: int) -> None:
    times = np.arange(0, 3, 1 / rate)
    joints = np.stack([Walk((-2, 10), (1.3, 0.0)).joints(t) for t in times])
    swing = 0.35 * np.sin(2 * np.pi * 0.95 * times)  # m, of the ankles; seen from the side
    for knee, ankle, sign in ((13, 15, 1), (14, 16, -1)):
        joints[:, knee, 0] += 0.5 * sign * swing
        joints[:, ankle, 0] += sign * swing
    xy = projected(joints, CALIBRATION)
    n = len(times)
    mended, _ = repair.unswap(TrackedPoses(np.arange(n), times, xy, np.full((n, 17), 0.9), pose_box(xy), np.ones(n)))
    assert np.array_equal(mended, xy)


def test_scores_move_with_their_joints() -> None:
    clean = walked(np.arange(30) / 30)
    score = clean.score.copy()
    score[:, COCO17.index("left_knee")] = 0.5
    swapped_xy, swapped_score = clean.xy.copy(), score.copy()
    swapped_xy[9] = repair.swap_sides(swapped_xy[9], BODY)
    swapped_score[9] = repair.swap_sides(swapped_score[9, :, None], BODY)[:, 0]
    _, mended = repair.unswap(
        TrackedPoses(clean.frames, clean.time_s, swapped_xy, swapped_score, clean.box_xyxy, clean.presence)
    )
    assert np.array_equal(mended, score)


@pytest.mark.parametrize("rate", [60, 30])
def test_a_joint_that_jumps_away_and_back_is_removed_alone(rate: int) -> None:
    clean = walked(np.arange(30) / rate)
    wrist = COCO17.index("left_wrist")
    xy = clean.xy.copy()
    xy[10, wrist] += [90.0, 40.0]  # px: two thirds of the person
    jumped = repair.find_jumps(xy, clean.time_s)
    assert np.argwhere(jumped).tolist() == [[10, wrist]]


@pytest.mark.parametrize("rate", [60, 30, 10, 5])
def test_a_fast_hand_is_not_a_jump(rate: int) -> None:
    clean = walked(np.arange(0, 2, 1 / rate))
    xy = clean.xy.copy()
    xy[:, COCO17.index("right_wrist"), 0] += 40 * np.sin(2 * np.pi * 3 * clean.time_s)  # px, three times a second
    assert not repair.find_jumps(xy, clean.time_s).any()


def test_gaps_are_bridged_by_missing_keypoints_and_boxes_between() -> None:
    times = np.arange(30) / 30
    whole = walked(times)
    seen = np.r_[3:10, 15:27]
    poses = TrackedPoses(
        *(getattr(whole, name)[seen] for name in ("frames", "time_s", "xy", "score", "box_xyxy", "presence"))
    )
    alone = repair.Neighbours(NO_POSES, NO_POSES)
    person, end = repair.person_track(poses, 4, np.arange(3, 27), times[3:27], alone)
    assert end.frames.tolist() == [25, 26]
    assert person.keypoints.person == person.track.person == 4
    assert person.keypoints.frames.tolist() == list(range(3, 27))
    missing = ~person.keypoints.seen
    assert person.keypoints.frames[missing].tolist() == list(range(10, 15))
    assert np.isnan(person.keypoints.xy[missing]).all()
    assert (person.track.score[missing] == 0).all()
    assert person.track.box_xyxy == pytest.approx(whole.box_xyxy[3:27], abs=6.0)  # px
