"""Speed and foot contact against motions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.pipeline.measures import foot_contact, ground_speed, velocity
from mocap_video.types import GroundPlane
from synth.people import GROUND, make_person


@pytest.mark.parametrize("rate", [5.0, 30.0, 120.0])
def test_a_steady_motion_keeps_its_speed_to_both_ends(rate: float) -> None:
    rng = np.random.default_rng(0)
    time_s = 1e5 + (np.arange(40) + rng.uniform(-0.3, 0.3, 40)) / rate  # uneven frames, late in a long recording
    position = np.array([5e5, 4e6, 0]) + np.array([1.5, -2.0, 0.5]) * (time_s - time_s[0])[:, None]
    np.testing.assert_allclose(velocity(position, time_s, 0.3), np.tile([1.5, -2.0, 0.5], (40, 1)), atol=1e-5)  # m/s


def test_noise_is_averaged() -> None:
    time_s = np.arange(300) / 60
    position = np.random.default_rng(0).normal(0, 0.01, (300, 3))  # 1 cm: 0.85 m/s of noise in plain differences
    assert velocity(position, time_s, 0.3)[20:-20].std() < 0.05  # m/s


def test_a_frame_that_stands_alone_has_no_velocity() -> None:
    time_s = np.array([0.0, 0.1, 0.2, 0.3, 5.0])
    v = velocity(np.arange(5.0)[:, None], time_s, 0.3)[:, 0]
    assert np.isnan(v[4])
    assert np.isfinite(v[:4]).all()
    assert np.isnan(velocity(np.zeros((1, 3)), np.zeros(1), 0.3)).all()


def test_ground_speed_leaves_the_vertical_out() -> None:
    time_s = np.arange(30) / 30
    root = np.array([3.0, 4.0, 7.0]) * time_s[:, None]
    np.testing.assert_allclose(ground_speed(root, time_s, GROUND), 5.0, atol=1e-9)  # m/s
    y_up = GroundPlane(np.array([0.0, 1.0, 0.0]), 0.0)
    np.testing.assert_allclose(ground_speed(root, time_s, y_up), np.hypot(3, 7), atol=1e-9)  # m/s


def test_a_foot_stands_when_low_and_slow() -> None:
    time_s = np.arange(60) / 30
    joints = make_person(count=60, speed_m_s=0.0).motion.joints.copy()
    assert foot_contact(joints, time_s, GROUND).all()
    joints[:, 15, 2] += 0.2  # the left ankle lifted by 20 cm
    np.testing.assert_array_equal(foot_contact(joints, time_s, GROUND), np.tile([False, True], (60, 1)))
    joints[:, 16, 0] = 2.0 * time_s  # the right one slides at 2 m/s
    assert not foot_contact(joints, time_s, GROUND).any()
    sunk = GroundPlane(GROUND.normal, 0.5)  # ground half a metre lower
    assert not foot_contact(make_person(count=60, speed_m_s=0.0).motion.joints, time_s, sunk).any()
