"""Staged recordings show what they are named for, and the truth beside them is the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from realdata import motion_folder

from mocap_video.calib.geometry import project
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.data.bank import MotionBank
from mocap_video.pipeline.staged import SECONDS, STAGINGS, StagePlan, Staging, bank_for, shoot
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Keypoints2D

ANKLES, HIPS = COCO17.pair("ankle"), COCO17.pair("hip")
TAKES = 12


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("neutral")


@pytest.fixture(scope="module")
def bank(body: BodyModel) -> MotionBank:
    return bank_for(StagePlan(motion_folder(), "val", range(1)), body)


def takes(bank: MotionBank, body: BodyModel, staging: Staging) -> list[tuple[Keypoints2D, Calibration, np.ndarray]]:
    generator = torch.Generator().manual_seed(4)
    shots = [shoot(bank, body, staging, False, generator) for _ in range(TAKES)]
    return [shot for shot in shots if shot is not None]


@pytest.mark.parametrize("staging", STAGINGS, ids=lambda staging: staging.name)
def test_keypoints_are_the_truth_seen_by_the_camera(bank: MotionBank, body: BodyModel, staging: Staging) -> None:
    shots = takes(bank, body, staging)
    assert len(shots) > TAKES / 2
    for keypoints, calibration, truth in shots:
        assert keypoints.seen[[0, -1]].all()
        pixels, _ = project(torch.as_tensor(truth), calibration.camera)
        depth = np.linalg.norm(truth - calibration.camera.center_world, axis=-1)
        away_m = np.linalg.norm(pixels.numpy() - keypoints.xy, axis=-1) * depth / calibration.camera.K[0, 0]
        assert np.nanmedian(away_m) < 0.05  # m, at the person: a detector's noise
        found = keypoints.xy[keypoints.score > 0]
        width, height = calibration.camera.size
        inside = (found > -0.02 * width).all(-1) & (found < np.array([width, height]) + 0.02 * width).all(-1)
        assert inside.mean() > 0.95  # the noise alone may cross the border


def shots_of(bank: MotionBank, body: BodyModel, name: str) -> list[tuple[Keypoints2D, Calibration, np.ndarray]]:
    (staging,) = (staging for staging in STAGINGS if staging.name == name)
    return takes(bank, body, staging)


def test_what_each_is_named_for(bank: MotionBank, body: BodyModel) -> None:
    cut = [keypoints.score for keypoints, _, _ in shots_of(bank, body, "feet below the image")]
    assert np.mean([(score[:, ANKLES] > 0).mean() for score in cut]) < 0.3
    assert np.mean([(score[:, HIPS] > 0).mean() for score in cut]) > 0.7
    hidden = [keypoints.score for keypoints, _, _ in shots_of(bank, body, "legs hidden")]
    assert max((score[:, ANKLES] > 0).any() for score in hidden) == 0
    gaps = [keypoints.seen for keypoints, _, _ in shots_of(bank, body, "hidden for a while")]
    assert all(0.05 < 1 - seen.mean() < 0.8 for seen in gaps)
    short = [np.ptp(keypoints.time_s) for keypoints, _, _ in shots_of(bank, body, "short")]
    assert max(short) < 1.0 < SECONDS
    lowest = [truth[..., 1].min(1).min() for _, _, truth in shots_of(bank, body, "on a step")]
    assert min(lowest) > 0.15  # m over the ground
    reach = [np.linalg.norm(truth[0, 11] - site.camera.center_world) for _, site, truth in shots_of(bank, body, "far")]
    assert min(reach) > 12  # m


def test_a_round_is_the_same_again(bank: MotionBank, body: BodyModel) -> None:
    first, again = (takes(bank, body, STAGINGS[0])[0] for _ in range(2))
    np.testing.assert_array_equal(first[0].xy, again[0].xy)
    np.testing.assert_array_equal(first[2], again[2])
