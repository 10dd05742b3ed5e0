"""The demo's motion obeys the ground: it is the truth that the demo measures against."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mocap_video.lifter.body import Posed, load_body
from mocap_video.pipeline.demo import BETAS
from mocap_video.pipeline.demo_motion import BodyMotion, walk_squat_wave
from mocap_video.skeletons import SMPL24

RATE = 50.0


@pytest.fixture(scope="module")
def motion() -> BodyMotion:
    return walk_squat_wave(load_body("neutral"), BETAS, seconds=5.0, rate=RATE)


@pytest.fixture(scope="module")
def posed(motion: BodyMotion) -> Posed:
    betas, rotations, transl = (
        torch.as_tensor(array, dtype=torch.float32) for array in (motion.betas, motion.rotations, motion.transl)
    )
    return load_body("neutral").pose(betas, rotations, transl)


def test_rotations_are_rotations(motion: BodyMotion) -> None:
    product = motion.rotations @ motion.rotations.swapaxes(-1, -2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(motion.rotations), 1.0, atol=1e-9)


def test_no_sole_goes_into_the_ground_and_one_always_stands_on_it(posed: Posed) -> None:
    lowest = posed.soles[..., 2].amin(-1).numpy()
    assert lowest.min() > -0.003  # metres
    assert lowest.max() < 0.005


def test_planted_feet_do_not_slide(posed: Posed) -> None:
    soles = posed.soles.numpy()
    planted = (soles[1:, :, 2] < 0.002) & (soles[:-1, :, 2] < 0.002)
    step = np.linalg.norm(np.diff(soles, axis=0), axis=-1)
    assert planted.sum() > 500
    assert step[planted].max() < 0.004  # metres in one frame of 20 ms


def test_the_person_walks_squats_and_moves_smoothly(posed: Posed) -> None:
    pelvis = posed.joints[:, SMPL24.index("pelvis")].numpy()
    assert np.linalg.norm(pelvis[-1, :2] - pelvis[0, :2]) > 2.0
    assert np.ptp(pelvis[:, 2]) > 0.25
    acceleration = np.diff(pelvis, 2, axis=0) * RATE**2
    assert np.linalg.norm(acceleration, axis=-1).max() < 12.0  # m/s^2, the order of gravity
    speed = np.linalg.norm(np.diff(posed.joints.numpy(), axis=0), axis=-1) * RATE
    assert speed.max() < 9.0  # m/s: no joint jumps


def test_knees_bend_forwards(posed: Posed) -> None:
    """The knee lies on the front side of the line from hip to ankle, front being where the foot points."""
    joints = posed.joints.numpy()
    for side in ("left", "right"):
        hip, knee, ankle, toe = (joints[:, SMPL24.index(f"{side}_{name}")] for name in ("hip", "knee", "ankle", "foot"))
        in_front = np.einsum("tc,tc->t", knee - (hip + ankle) / 2, (toe - ankle) * [1, 1, 0])
        assert in_front.min() > -0.002  # m^2, projected on the foot
