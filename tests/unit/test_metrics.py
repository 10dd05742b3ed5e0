"""The metrics against numbers worked by hand, and what each must and must not be blind to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mocap_video.lifter.alignment import fit_similarity
from mocap_video.lifter.metrics import (
    LABELS,
    METRICS,
    MotionErrors,
    frame_errors,
    match_times,
    motion_errors,
    pool_errors,
)
from mocap_video.skeletons import COCO17

LEFT_HIP, RIGHT_HIP, NOSE, LEFT_WRIST, LEFT_ANKLE, RIGHT_ANKLE = 11, 12, 0, 9, 15, 16
FPS = 10.0


def errors_of(predicted: np.ndarray, truth: np.ndarray, fps: float = FPS) -> MotionErrors:
    return motion_errors(predicted, truth, COCO17, fps)


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 17, 3))


def cross(frames: int) -> np.ndarray:
    """Four known joints, 1 m and 2 m from their centre in the plane z = 0, for ``frames`` frames."""
    joints = np.full((frames, 17, 3), np.nan)
    joints[:, LEFT_HIP], joints[:, RIGHT_HIP] = [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]
    joints[:, NOSE], joints[:, LEFT_WRIST] = [0.0, 2.0, 0.0], [0.0, -2.0, 0.0]
    return joints


def walk(frames: int, seed: int = 0) -> np.ndarray:
    """A body that drifts and shakes: every metric has something to see."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal([0.02, 0.0, 0.01], 0.01, (frames, 1, 3)), 0)
    joints = rng.normal(size=(1, 17, 3)) + path + rng.normal(0, 0.01, (frames, 17, 3))
    joints[:, [LEFT_ANKLE, RIGHT_ANKLE]] = joints[:1, [LEFT_ANKLE, RIGHT_ANKLE]]  # stands
    return joints


def test_a_perfect_prediction_has_no_error_but_its_own_jerk() -> None:
    errors = errors_of(walk(30), walk(30))
    assert errors.frames == 30
    assert errors.jitter_10m_s3 > 1
    assert all(getattr(errors, name) < 1e-6 for name in METRICS if name != "jitter_10m_s3")


def test_a_shift_is_absolute_and_root_error_and_no_pose_error(truth: np.ndarray) -> None:
    errors = errors_of(truth + np.array([0.03, 0.0, 0.04]), truth)
    assert errors.abs_mpjpe_mm == pytest.approx(50.0)  # a 3-4-5 triangle in centimetres
    assert errors.root_mm == pytest.approx(50.0)
    assert errors.t_root_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.pa_mpjpe_mm == pytest.approx(0.0, abs=1e-9)


def test_one_joint_counts_one_seventeenth(truth: np.ndarray) -> None:
    predicted = truth.copy()
    predicted[:, NOSE, 1] += 0.17
    errors = errors_of(predicted, truth)
    assert errors.abs_mpjpe_mm == pytest.approx(10.0)
    assert errors.mpjpe_mm == pytest.approx(10.0)
    assert errors.root_mm == pytest.approx(0.0, abs=1e-9)


def test_one_hip_moves_the_root_by_half_and_every_relative_joint_with_it(truth: np.ndarray) -> None:
    predicted = truth.copy()
    predicted[:, LEFT_HIP, 0] += 0.1
    errors = errors_of(predicted, truth)
    assert errors.root_mm == pytest.approx(50.0)
    # Sixteen joints are off by -50 mm relative to the moved root, the hip itself by +50 mm.
    assert errors.mpjpe_mm == pytest.approx(50.0)
    assert errors.abs_mpjpe_mm == pytest.approx(100 / 17)


def test_procrustes_takes_out_turn_scale_and_shift_but_not_a_mirror(truth: np.ndarray) -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = 1.3 * truth @ turn.T + np.array([4.0, -2.0, 1.0])
    assert errors_of(moved, truth).pa_mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    assert errors_of(moved, truth).abs_mpjpe_mm > 1000
    assert errors_of(truth * [-1, 1, 1], truth).pa_mpjpe_mm > 100


def test_procrustes_of_a_collapsed_prediction_is_the_mean() -> None:
    target = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    source = np.ones((4, 3))
    assert fit_similarity(source, target, scaled=True).apply(source) == pytest.approx(np.zeros((4, 3)))


def test_a_body_half_as_large_again_is_an_error_wherever_the_scale_is_fixed() -> None:
    errors = errors_of(1.5 * cross(4), cross(4))
    # The centre stays, so joints at 1, 1, 2 and 2 m are off by 0.5, 0.5, 1 and 1 m: 0.75 m on average.
    for name in ("abs_mpjpe_mm", "mpjpe_mm", "w_mpjpe_scale1_mm", "wa_mpjpe_scale1_mm"):
        assert getattr(errors, name) == pytest.approx(750.0)
    for name in ("pa_mpjpe_mm", "w_mpjpe_mm", "wa_mpjpe_mm", "root_mm"):
        assert getattr(errors, name) == pytest.approx(0.0, abs=1e-9)


def test_drift_counts_from_the_first_two_frames_in_w_and_from_the_middle_in_wa() -> None:
    predicted = cross(4) + np.arange(4)[:, None, None] * [0.0, 0.0, 0.1]
    errors = errors_of(predicted, cross(4))
    # W puts z = 5 cm at nought, halfway between the first two: 5, 5, 15 and 25 cm. WA puts 15 cm there: 15, 5, 5, 15.
    assert errors.w_mpjpe_scale1_mm == pytest.approx(125.0)
    assert errors.wa_mpjpe_scale1_mm == pytest.approx(100.0)


def test_the_scale_of_w_comes_from_the_first_two_frames() -> None:
    predicted = cross(2) + np.arange(2)[:, None, None] * [0.0, 0.0, 2.0]
    errors = errors_of(predicted, cross(2))
    # About its mean the prediction has the cross (sum of squares 2 x 10) and z = -1, 1 (8 points, sum 8); they agree in
    # the cross alone, so the scale is 20 / 28 = 5/7. A joint at r is off by 2/7 r in the plane and 5/7 along z.
    expected = 1000 * (np.sqrt(2**2 + 5**2) + np.sqrt(4**2 + 5**2)) / 7 / 2
    assert errors.w_mpjpe_mm == pytest.approx(expected)
    assert errors.wa_mpjpe_mm == pytest.approx(expected)


def test_every_hundred_frames_are_aligned_anew() -> None:
    truth = walk(150)
    predicted = truth.copy()
    predicted[100:] += [5.0, 0.0, 0.0]
    errors = errors_of(predicted, truth)
    assert max(errors.w_mpjpe_mm, errors.wa_mpjpe_mm) < 1e-6
    predicted[99] += [5.0, 0.0, 0.0]  # now one frame of the first hundred is off by 5 m: 33 mm over 150 frames
    assert errors_of(predicted, truth).w_mpjpe_scale1_mm == pytest.approx(5000 / 150)


def test_t_root_and_rte_align_the_whole_path_but_never_its_scale() -> None:
    truth, predicted = cross(3), cross(3)
    truth[:, :, 2] = np.array([-1.0, 0.0, 1.0])[:, None]
    predicted[:, :, 0] += 7 + np.array([-1.3, 0.0, 1.3])[:, None]
    errors = errors_of(predicted, truth)
    # Turned from x to z and moved, the path of 2.6 m lies over that of 2 m: 0.3, 0 and 0.3 m off; 10 % of the 2 m.
    assert errors.t_root_mm == pytest.approx(200.0)
    assert errors.rte_percent == pytest.approx(10.0)


def test_rte_of_somebody_who_does_not_move_is_unknown() -> None:
    assert np.isnan(errors_of(1.1 * cross(3), cross(3)).rte_percent)


def test_acceleration_and_jerk_are_per_second() -> None:
    k = np.arange(6.0)[:, None, None]
    errors = errors_of(cross(6) + 0.01 * k**2 * [1, 0, 0], cross(6), fps=10)
    # 0.01 k^2 has second differences of 0.02 m: x 10^2 = 2 m/s^2, and no third ones.
    assert errors.accel_m_s2 == pytest.approx(2.0)
    assert errors.jitter_10m_s3 == pytest.approx(0.0, abs=1e-6)
    errors = errors_of(cross(6) + 0.001 * k**3 * [0, 1, 0], cross(6), fps=10)
    # 0.001 k^3 has third differences of 0.006 m: x 10^3 / 10 = 0.6.
    assert errors.jitter_10m_s3 == pytest.approx(0.6)


def test_only_ankles_that_stand_can_slide() -> None:
    truth = cross(4)
    truth[:, LEFT_ANKLE] = [0.2, -3.0, 0.0]
    truth[:, RIGHT_ANKLE] = np.array([0.0, 0.02, 0.04, 0.041])[:, None] * [1, 0, 0]
    predicted = truth.copy()
    predicted[:, LEFT_ANKLE] += np.array([0.0, 1.0, 2.0, 2.0])[:, None] * [0.003, 0.004, 0.0]
    predicted[:, RIGHT_ANKLE, 2] += [0.0, 0.5, 0.0, 0.001]
    # Steps: the left one slides 5, 5 and 0 mm; the right one stands in the last alone: sqrt(1^2 + 1^2) mm.
    assert errors_of(predicted, truth).foot_slide_mm == pytest.approx((5 + 5 + np.sqrt(2) / 2) / 3)


def test_nobody_slides_where_no_ankle_stands() -> None:
    assert np.isnan(errors_of(cross(3), cross(3)).foot_slide_mm)


def test_missing_truth_is_left_out_joint_by_joint_and_frame_by_frame(truth: np.ndarray) -> None:
    predicted = truth + np.array([0.0, 0.02, 0.0])
    predicted[0, NOSE] += 9.0
    truth[0, NOSE] = np.nan
    truth[1, RIGHT_HIP] = np.nan
    errors = errors_of(predicted, truth)
    assert errors.frames == 1
    assert errors.abs_mpjpe_mm == pytest.approx(20.0)


def test_no_difference_is_taken_over_a_hole_of_the_truth() -> None:
    truth = walk(30)
    holed, predicted = truth.copy(), truth.copy()
    holed[10] = np.nan
    predicted[10] += 1.0
    errors = errors_of(predicted, holed)
    assert errors.frames == 29
    assert errors.accel_m_s2 == pytest.approx(0.0, abs=1e-9)
    assert errors.foot_slide_mm == pytest.approx(0.0, abs=1e-9)
    one = frame_errors(predicted, holed, COCO17, FPS)
    assert [np.isfinite(values).sum() for values in (one.accel_m_s2, one.jitter_10m_s3)] == [30 - 2 - 3, 30 - 3 - 4]


def test_what_cannot_be_compared_is_refused(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no frame"):
        errors_of(truth, np.full_like(truth, np.nan))
    with pytest.raises(ValueError, match="expected two arrays"):
        errors_of(truth[:1], truth)
    lacking = truth.copy()
    lacking[1, NOSE] = np.nan
    with pytest.raises(ValueError, match="lacks joints that the truth knows, first in frame 1"):
        errors_of(lacking, truth)
    truth[1, NOSE] = np.nan
    assert errors_of(lacking, truth).frames == 2


def test_pooling_weighs_by_frames_and_skips_what_a_clip_does_not_have() -> None:
    near, far = walk(10), walk(30)
    parts = [frame_errors(near + 0.1, near, COCO17, FPS), frame_errors(far + 0.5, far, COCO17, FPS)]
    pooled = pool_errors([*parts, replace(parts[0], rte_percent=np.full(10, np.nan))])
    assert pooled.frames == 50
    assert pooled.abs_mpjpe_mm == pytest.approx(1000 * np.sqrt(3) * (10 * 0.1 + 30 * 0.5 + 10 * 0.1) / 50)
    assert np.isfinite(pooled.rte_percent)
    with pytest.raises(ValueError, match="no frames"):
        pool_errors([])


def test_every_metric_has_a_label() -> None:
    assert tuple(LABELS) == METRICS


def _turned(joints: np.ndarray, seed: int) -> np.ndarray:
    return joints @ Rotation.from_rotvec(np.random.default_rng(seed).normal(size=3)).as_matrix().T


def _shifted(joints: np.ndarray, seed: int) -> np.ndarray:
    return joints + np.random.default_rng(seed).normal(size=3)


def _scaled(joints: np.ndarray, seed: int) -> np.ndarray:
    return joints * np.random.default_rng(seed).uniform(1.2, 2.0)


def _shaken(joints: np.ndarray, seed: int) -> np.ndarray:
    """Every frame moved by itself."""
    return joints + np.random.default_rng(seed).normal(size=(len(joints), 1, 3))


Change = Callable[[np.ndarray, int], np.ndarray]

BLIND: dict[Change, set[str]] = {
    _shifted: {*METRICS} - {"abs_mpjpe_mm", "root_mm"},
    _turned: {*METRICS} - {"abs_mpjpe_mm", "root_mm", "mpjpe_mm", "accel_m_s2"},
    _scaled: {"pa_mpjpe_mm", "w_mpjpe_mm", "wa_mpjpe_mm"},
    _shaken: {"mpjpe_mm", "pa_mpjpe_mm"},
}
"""What each metric must not see in a prediction; all else it must."""


@pytest.mark.parametrize("change", BLIND, ids=lambda change: change.__name__[1:])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_each_metric_is_blind_to_what_it_aligns_and_to_nothing_else(change: Change, seed: int) -> None:
    truth = walk(30, seed)
    predicted = truth + np.random.default_rng(seed + 1).normal(0, 0.02, truth.shape)
    before, after = errors_of(predicted, truth), errors_of(change(predicted, seed), truth)
    same = {name for name in METRICS if getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-6)}
    assert same == BLIND[change]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_errors_do_not_depend_on_the_frame_of_reference(seed: int) -> None:
    truth = walk(30, seed)
    predicted = truth + np.random.default_rng(seed + 1).normal(0, 0.02, truth.shape)
    before = errors_of(predicted, truth)
    moved_p, moved_g = (_shifted(_turned(joints, seed), seed) for joints in (predicted, truth))
    after = errors_of(moved_p, moved_g)
    for name in METRICS:
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-6)


def test_the_frame_rate_enters_acceleration_squared_and_jitter_cubed_and_nothing_else() -> None:
    truth = walk(30)
    predicted = truth + np.random.default_rng(1).normal(0, 0.02, truth.shape)
    slow, fast = errors_of(predicted, truth, 10), errors_of(predicted, truth, 20)
    power = {"accel_m_s2": 4.0, "jitter_10m_s3": 8.0}
    for name in METRICS:
        assert getattr(fast, name) == pytest.approx(power.get(name, 1.0) * getattr(slow, name))


def test_times_pair_with_the_nearest_within_tolerance() -> None:
    mine, theirs = match_times(np.array([0.0, 0.1, 0.24, 0.5]), np.array([0.01, 0.11, 0.21]), 0.02)
    assert mine.tolist() == [0, 1]
    assert theirs.tolist() == [0, 1]
    assert match_times(np.array([0.0]), np.zeros(0), 1.0)[0].size == 0
