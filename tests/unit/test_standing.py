"""Placing people on the ground, and covering the view with tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mocap_video.calib.ground import canonical_frame
from mocap_video.detectors.config import ScanConfig
from mocap_video.detectors.standing import GroundLocator, pose_size
from mocap_video.detectors.tiles import plan_tiles, standing_boxes
from mocap_video.types import Calibration
from synth.walkers import projected, site_calibration, standing_joints

PLAIN = site_calibration()
BENT = replace(PLAIN, camera=replace(PLAIN.camera, distortion="opencv", coeffs=np.array([-0.2, 0.05, 1e-3, -1e-3, 0])))
PLACES = [np.array(p) for p in ((0.0, 9.0), (-2.0, 12.0), (4.0, 18.0))]


def on_ground(position: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return the canonical ground position ``(2)`` m of ``position (2)`` m in the site world."""
    frame = canonical_frame(calibration.camera, calibration.ground)
    return frame.to_canonical(np.array([*position, 0.0]))[[0, 2]]


@pytest.mark.parametrize("calibration", [PLAIN, BENT], ids=["pinhole", "lens"])
@pytest.mark.parametrize("place", PLACES)
def test_a_standing_person_is_placed_and_measured(calibration: Calibration, place: np.ndarray) -> None:
    xy = projected(standing_joints(place, 0.5), calibration)[None]
    fix = GroundLocator(calibration).locate(xy, np.ones((1, 17)))
    assert fix.on_feet.all()
    assert np.linalg.norm(fix.position[0] - on_ground(place, calibration)) < 0.2  # m: to the nearer foot
    assert fix.stature[0] == pytest.approx(1.7, abs=0.1)  # m


@pytest.mark.parametrize("place", PLACES)
def test_without_feet_the_body_size_places_a_person(place: np.ndarray) -> None:
    score = np.ones((1, 17))
    score[:, 15:] = 0
    xy = projected(standing_joints(place, 0.5), PLAIN)[None]
    fix = GroundLocator(PLAIN).locate(xy, score)
    truth = on_ground(place, PLAIN)
    assert not fix.on_feet.any()
    assert np.isnan(fix.stature).all()
    off = fix.position[0] - truth
    assert np.linalg.norm(off) < 0.3 * np.linalg.norm(truth)
    assert np.sqrt(off @ np.linalg.solve(fix.covariance[0], off)) < 2  # within what it claims


def test_somebody_high_above_the_ground_is_not_on_feet() -> None:
    xy = projected(standing_joints(np.array([0.0, 9.0]), 0.0) + np.array([0, 0, 2.5]), PLAIN)[None]
    fix = GroundLocator(PLAIN).locate(xy, np.ones((1, 17)))
    assert not fix.on_feet.any()
    assert fix.position[0] == pytest.approx(on_ground(np.array([0.0, 9.0]), PLAIN), abs=2.0)  # m


def test_uncertainty_is_along_the_view_and_grows_with_distance() -> None:
    xy = np.stack([projected(standing_joints(np.array([0.0, y]), 0.0), PLAIN) for y in (8.0, 30.0)])
    covariance = GroundLocator(PLAIN).locate(xy, np.ones((2, 17))).covariance
    assert (covariance[:, 1, 1] > covariance[:, 0, 0]).all()
    assert covariance[1, 1, 1] > 4 * covariance[0, 1, 1]


def test_nobody_is_placed_nowhere() -> None:
    fix = GroundLocator(PLAIN).locate(np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert fix.position.shape == (0, 2)
    assert fix.covariance.shape == (0, 2, 2)


@pytest.mark.parametrize("calibration", [PLAIN, BENT], ids=["pinhole", "lens"])
def test_a_carried_body_lands_where_it_would_be_seen(calibration: Calibration) -> None:
    start, end = np.array([-1.0, 9.0]), np.array([1.0, 12.0])
    before, after = (projected(standing_joints(p, 0.0), calibration) for p in (start, end))
    shift, growth = GroundLocator(calibration).carry(on_ground(start, calibration), on_ground(end, calibration))
    assert before[11:13].mean(0) + shift == pytest.approx(after[11:13].mean(0), abs=3.0)  # px
    assert growth == pytest.approx(pose_size(after) / pose_size(before), rel=0.05)


@pytest.mark.parametrize("size", [(1280, 720), (640, 360)])
def test_every_standing_person_has_a_tile_of_the_right_size(size: tuple[int, int]) -> None:
    locator = GroundLocator(replace(PLAIN, camera=PLAIN.camera.resized(size)))
    config = ScanConfig(min_person_px=60, max_tiles=60)
    plan = plan_tiles(locator, (0.3, 0.9), config)
    assert plan.complete
    assert plan.tiles_xyxy[0].tolist() == [0, 0, *size]
    assert (plan.tiles_xyxy[:, :2] >= 0).all()
    assert (plan.tiles_xyxy[:, 2:] <= size).all()
    sides = (plan.tiles_xyxy[:, 2:] - plan.tiles_xyxy[:, :2]).max(-1)
    for box in standing_boxes(locator, config):
        height = (box[2:] - box[:2]).max()
        inside = (box[:2] >= plan.tiles_xyxy[:, :2] - 0.06 * height).all(-1)
        inside &= (box[2:] <= plan.tiles_xyxy[:, 2:] + 0.06 * height).all(-1)
        assert (inside & (height / sides >= 0.3) & (height / sides <= 0.9)).any(), box


def test_people_too_small_for_the_tiles_are_told() -> None:
    plan = plan_tiles(GroundLocator(PLAIN), (0.3, 0.9), ScanConfig(min_person_px=30, max_tiles=5))
    assert not plan.complete
    assert len(plan.tiles_xyxy) == 5
    assert 30 <= plan.typical_px < 200
