"""The metrics against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.lifter.metrics import MotionErrors, align_similarity, match_times, motion_errors, pool_errors
from mocap_video.skeletons import COCO17

LEFT_HIP, RIGHT_HIP, NOSE = 11, 12, 0


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 17, 3))


def test_a_perfect_prediction_has_no_error(truth: np.ndarray) -> None:
    errors = motion_errors(truth.copy(), truth, COCO17)
    assert errors.frames == 2
    assert max(errors.abs_mpjpe_mm, errors.root_mm, errors.mpjpe_mm, errors.pa_mpjpe_mm) < 1e-9


def test_a_shift_is_absolute_and_root_error_and_no_pose_error(truth: np.ndarray) -> None:
    errors = motion_errors(truth + np.array([0.03, 0.0, 0.04]), truth, COCO17)
    assert errors.abs_mpjpe_mm == pytest.approx(50.0)  # a 3-4-5 triangle in centimetres
    assert errors.root_mm == pytest.approx(50.0)
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.pa_mpjpe_mm == pytest.approx(0.0, abs=1e-9)


def test_one_joint_counts_one_seventeenth(truth: np.ndarray) -> None:
    predicted = truth.copy()
    predicted[:, NOSE, 1] += 0.17
    errors = motion_errors(predicted, truth, COCO17)
    assert errors.abs_mpjpe_mm == pytest.approx(10.0)
    assert errors.mpjpe_mm == pytest.approx(10.0)
    assert errors.root_mm == pytest.approx(0.0, abs=1e-9)


def test_one_hip_moves_the_root_by_half_and_every_relative_joint_with_it(truth: np.ndarray) -> None:
    predicted = truth.copy()
    predicted[:, LEFT_HIP, 0] += 0.1
    errors = motion_errors(predicted, truth, COCO17)
    assert errors.root_mm == pytest.approx(50.0)
    # Sixteen joints are off by -50 mm relative to the moved root, the hip itself by +50 mm.
    assert errors.mpjpe_mm == pytest.approx(50.0)
    assert errors.abs_mpjpe_mm == pytest.approx(100 / 17)


def test_procrustes_takes_out_turn_scale_and_shift_but_not_a_mirror(truth: np.ndarray) -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = 1.3 * truth @ turn.T + np.array([4.0, -2.0, 1.0])
    assert motion_errors(moved, truth, COCO17).pa_mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    assert motion_errors(moved, truth, COCO17).abs_mpjpe_mm > 1000
    assert motion_errors(truth * [-1, 1, 1], truth, COCO17).pa_mpjpe_mm > 100


def test_procrustes_of_a_collapsed_prediction_is_the_mean() -> None:
    target = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    assert align_similarity(np.ones((4, 3)), target, np.ones(4, bool)) == pytest.approx(np.zeros((4, 3)))


def test_missing_truth_is_left_out_joint_by_joint_and_frame_by_frame(truth: np.ndarray) -> None:
    predicted = truth + np.array([0.0, 0.02, 0.0])
    predicted[0, NOSE] += 9.0
    truth[0, NOSE] = np.nan
    truth[1, RIGHT_HIP] = np.nan
    errors = motion_errors(predicted, truth, COCO17)
    assert errors.frames == 1
    assert errors.abs_mpjpe_mm == pytest.approx(20.0)


def test_no_comparable_frame_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no frame"):
        motion_errors(truth, np.full_like(truth, np.nan), COCO17)
    with pytest.raises(ValueError, match="expected two arrays"):
        motion_errors(truth[:1], truth, COCO17)


def test_pooling_weighs_by_frames() -> None:
    pooled = pool_errors([MotionErrors(10, 20, 30, 40, 1), MotionErrors(20, 40, 60, 80, 3)])
    assert pooled == MotionErrors(17.5, 35.0, 52.5, 70.0, 4)


def test_times_pair_with_the_nearest_within_tolerance() -> None:
    mine, theirs = match_times(np.array([0.0, 0.1, 0.24, 0.5]), np.array([0.01, 0.11, 0.21]), 0.02)
    assert mine.tolist() == [0, 1]
    assert theirs.tolist() == [0, 1]
    assert match_times(np.array([0.0]), np.zeros(0), 1.0)[0].size == 0
