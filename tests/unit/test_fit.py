"""The body fit on a walk whose truth is known: a body of known shape, projected, lifted with noise, fitted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mocap_video.calib import geometry
from mocap_video.lifter.body import BodyModel, Posed, load_body
from mocap_video.lifter.fit import (
    FitConfig,
    FitPart,
    fit_bodies,
    fit_body,
    fit_parts,
    fit_shape,
    rows_needed,
    shape_rows,
    stature,
)  # fmt: skip
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, SMPL24, SMPL_PARENTS
from mocap_video.stretches import joined, rows_of
from mocap_video.types import BodyFit, Calibration, Camera, GroundPlane, Keypoints2D, Motion3D

# A z-up site far from its origin: R turns the body's +Y into the site's +Z.
R_SITE_FROM_BODY = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
ORIGIN = np.array([400.0, -250.0, 12.0])


@dataclass(frozen=True)
class Walk:
    """A known walk: ``betas (10)``, the posed body in the site world, and what a camera and a lifter make of it."""

    betas: np.ndarray
    coco: np.ndarray
    soles: np.ndarray
    keypoints: Keypoints2D
    motion: Motion3D
    calibration: Calibration


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("neutral")


def _camera() -> Calibration:
    """A camera 3 m over the ground, 7 m from the walk, tilted down."""
    center = ORIGIN + np.array([0.5, -7.0, 3.0])
    forward = ORIGIN + np.array([0.0, 0.0, 0.9]) - center
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[1400.0, 0, 960], [0, 1400, 540], [0, 0, 1]])
    camera = Camera(K, R, -R @ center, (1920, 1080), "opencv", np.array([-0.1, 0.02, 0.001, 0.0, 0.0]))
    return Calibration(camera, GroundPlane(np.array([0.0, 0, 1]), -ORIGIN[2]))


CYCLE_S, STRIDE_M, STANCE = 1.3, 0.9, 0.58


def _ankle_path(phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an ankle's way forward and up ``(T)`` m: planted for ``STANCE`` of a cycle, then swung (minimum jerk)."""
    swung = np.clip((phase % 1.0 - STANCE) / (1 - STANCE), 0, 1)
    forward = swung**3 * (10 - 15 * swung + 6 * swung**2)
    return STRIDE_M * (np.floor(phase) + forward), 0.1 * 64 * (swung * (1 - swung)) ** 3


def _gait(body: BodyModel, betas: torch.Tensor, time_s: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rotation vectors ``(T,24,3)`` rad, pelvis ``(T,3)`` m of a walk along +Z, feet planted flat on y = 0."""
    rest = (body.rest_joints + body.rest_joints_shape @ betas).numpy()
    flat = body.pose(betas, torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    floor = float(flat.soles[:, 1].min())
    phase = time_s / CYCLE_S
    pelvis = np.stack([0 * phase, rest[0, 1] - floor - 0.07 + 0 * phase, STRIDE_M * phase], -1)
    pose = torch.zeros(len(time_s), 24, 3)
    for side, shift, sign in (("left", 0.0, 1.0), ("right", 0.5, -1.0)):
        hip, knee, ankle = (SMPL24.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        forward, up = _ankle_path(phase + shift)
        start = STRIDE_M * (STANCE / 2 - shift)  # the hip passes over the foot in the middle of its stance
        target = np.stack([up + rest[ankle, 1] - floor, forward + start], -1)
        reach = target - (pelvis + rest[hip] - rest[0])[:, 1:]
        turn, bend = _two_links(rest[knee, 1:] - rest[hip, 1:], rest[ankle, 1:] - rest[knee, 1:], reach)
        pose[:, hip, 0], pose[:, knee, 0] = torch.as_tensor(turn), torch.as_tensor(bend)
        pose[:, ankle, 0] = torch.as_tensor(-turn - bend)
        swing = np.sin(2 * np.pi * (phase + shift))
        pose[:, SMPL24.index(f"{side}_shoulder"), 2] = -1.2 * sign
        pose[:, SMPL24.index(f"{side}_shoulder"), 1] = torch.as_tensor(0.3 * swing)
        pose[:, SMPL24.index(f"{side}_elbow"), 1] = torch.as_tensor(-sign * (0.5 - 0.2 * swing))
    pose[:, SMPL24.index("neck"), 1] = torch.as_tensor(0.4 * np.sin(np.pi * phase))
    return pose, torch.as_tensor(pelvis, dtype=torch.float32)


def _two_links(thigh: np.ndarray, shank: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return turns ``(T)`` rad about +X of hip and knee that bring ``thigh + shank (2)`` (y, z) to ``reach (T,2)``."""
    a, b, c = np.hypot(*thigh), np.hypot(*shank), np.linalg.norm(reach, axis=-1)
    assert (c < a + b).all(), "the walk asks for longer legs"

    def direction(v: np.ndarray) -> np.ndarray:
        return np.arctan2(v[..., 1], v[..., 0])  # a turn about +X takes y towards z

    inner = np.arccos((a * a + c * c - b * b) / (2 * a * c))
    outer = np.pi - np.arccos((a * a + b * b - c * c) / (2 * a * b))
    turn = direction(reach) - inner - direction(thigh)
    bend = outer - (direction(shank) - direction(thigh))
    return (turn + np.pi) % (2 * np.pi) - np.pi, bend


def _walk(
    body: BodyModel,
    *,
    time_s: np.ndarray,
    noise_m: float = 0.03,
    noise_px: float = 3.0,
    betas: tuple[float, ...] = (0.8, -0.6, 0.5),
    skeleton: str = "coco17",
    seed: int = 0,
) -> Walk:
    rng = np.random.default_rng(seed)
    shape = torch.zeros(10)
    shape[: len(betas)] = torch.tensor(betas)
    rotvec, pelvis = _gait(body, shape, time_s)
    rotations = matrix_from_rotvec(rotvec)
    rotations[:, 0] = turn = matrix_from_rotvec(torch.tensor([0.0, 0.7, 0.0]))
    pelvis = (pelvis - pelvis[len(pelvis) // 2] * torch.tensor([1.0, 0, 1])) @ turn.T
    posed = body.pose(shape, rotations, pelvis - body.rest_joints[0] - body.rest_joints_shape[0] @ shape)
    calibration = _camera()

    def site(points: torch.Tensor) -> np.ndarray:
        return points.double().numpy() @ R_SITE_FROM_BODY.T + ORIGIN

    points = site(_points(posed, skeleton))
    xy, visible = geometry.project(torch.as_tensor(points), calibration.camera)
    assert visible.all()
    frames = np.arange(len(time_s))
    keypoints = Keypoints2D(
        1, skeleton, frames, time_s, xy.numpy() + rng.normal(0, noise_px, xy.shape), np.full(xy.shape[:2], 0.9)
    )
    lifted = points + rng.normal(0, noise_m / np.sqrt(3), points.shape)
    motion = Motion3D(1, skeleton, frames, time_s, lifted, np.full(points.shape[:2], noise_m))
    return Walk(shape.numpy(), points, site(posed.soles), keypoints, motion, calibration)


def _points(posed: Posed, skeleton: str) -> torch.Tensor:
    return posed.coco if skeleton == "coco17" else posed.joints


def _posed(body: BodyModel, fit: BodyFit) -> Posed:
    """Pose the body as a reader of ``BodyFit`` would: everything in the site's axes (float64, the site is far away)."""
    rotvec = np.concatenate([fit.global_orient[:, None], fit.body_pose], 1)
    return body.to("cpu", torch.float64).pose(
        torch.as_tensor(fit.betas, dtype=torch.float64),
        matrix_from_rotvec(torch.as_tensor(rotvec, dtype=torch.float64)),
        torch.as_tensor(fit.transl, dtype=torch.float64),
    )


def _error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance, m."""
    return float(np.linalg.norm(a - b, axis=-1).mean())


@pytest.fixture(scope="module")
def walk(body: BodyModel) -> Walk:
    return _walk(body, time_s=np.arange(90) / 30)


@pytest.fixture(scope="module")
def fitted(body: BodyModel, walk: Walk) -> BodyFit:
    return fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig())


def test_fit_is_closer_to_the_truth_than_what_was_lifted(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    fit = _posed(body, fitted).coco.numpy()
    assert _error(fit, walk.coco) < 0.75 * _error(walk.motion.joints, walk.coco)


def test_residual_is_the_distance_from_the_lifted_joints(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    apart = _posed(body, fitted).coco.numpy() - walk.motion.joints
    np.testing.assert_allclose(fitted.residual, np.sqrt((apart**2).sum(-1).mean(-1)), atol=1e-6)  # m


def test_joints_are_those_of_the_pose_in_the_site_world(body: BodyModel, fitted: BodyFit) -> None:
    np.testing.assert_allclose(fitted.joints, _posed(body, fitted).joints.numpy(), atol=1e-6)  # m


def test_bones_keep_their_length(fitted: BodyFit) -> None:
    bones = fitted.joints[:, 1:] - fitted.joints[:, list(SMPL_PARENTS[1:])]
    assert np.ptp(np.linalg.norm(bones, axis=-1), axis=0).max() < 1e-9  # m


def test_soles_stay_above_the_ground_and_do_not_slide(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    height = walk.calibration.ground.height_of
    soles = _posed(body, fitted).soles.numpy()
    assert height(soles).min() > -0.005  # m
    step = np.linalg.norm(np.diff(walk.soles, axis=0), axis=-1)
    planted = (height(walk.soles[1:]) < 0.002) & (step < 0.002)  # m
    assert planted.mean() > 0.3
    slide = np.linalg.norm(np.diff(soles, axis=0)[..., :2], axis=-1)[planted]
    assert slide.mean() < 0.002  # m a frame
    assert np.quantile(slide, 0.98) < 0.005


def test_known_height_is_kept(body: BodyModel, walk: Walk) -> None:
    fit = fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig(height_m=1.80))
    betas = torch.as_tensor(fit.betas, dtype=torch.float32)
    assert abs(float(stature(body, betas)) - 1.80) < 0.001  # m


def test_stature_is_found(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    found, true = (float(stature(body, torch.as_tensor(b, dtype=torch.float32))) for b in (fitted.betas, walk.betas))
    assert abs(found - true) < 0.02  # m
    assert abs(true - float(stature(body, torch.zeros(10)))) > 0.02, "the walker must not be the mean body"


@pytest.mark.parametrize("rate", ["10 fps", "60 fps", "variable"])
def test_any_frame_rate(body: BodyModel, rate: str) -> None:
    time_s = {
        "10 fps": np.arange(20) / 10,
        "60 fps": np.arange(90) / 60,
        "variable": np.cumsum(np.random.default_rng(1).choice([0.02, 0.05, 0.2], 40)),
    }[rate]
    walk = _walk(body, time_s=time_s)
    fit = _posed(body, fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig()))
    assert _error(fit.coco.numpy(), walk.coco) < 0.9 * _error(walk.motion.joints, walk.coco)
    assert walk.calibration.ground.height_of(fit.soles.numpy()).min() > -0.005  # m


def test_frames_between_those_solved_are_interpolated(body: BodyModel) -> None:
    walk = _walk(body, time_s=np.arange(90) / 60)
    every, half = (
        fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig(rate_hz=rate)) for rate in (60.0, 30.0)
    )
    assert len(half.transl) == 90
    assert 1e-6 < _error(half.joints, every.joints) < 0.012  # m
    between = slice(1, None, 2)
    errors = [_error(_posed(body, half).coco.numpy()[part], walk.coco[part]) for part in (between, slice(0, None, 2))]
    assert errors[0] < errors[1] + 0.002  # m


def test_half_of_the_person_unseen_and_frames_bridged(body: BodyModel, walk: Walk) -> None:
    """Legs out of the picture in every frame (lifted badly), nothing seen in ten frames, limbs exchanged in three."""
    legs = [COCO17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
    xy, score = walk.keypoints.xy.copy(), walk.keypoints.score.copy()
    for place in ((slice(None), legs), (slice(40, 50),)):
        xy[place], score[place] = np.nan, 0.0
    xy[20:23] = xy[20:23, list(COCO17.flip)]
    joints, spread = walk.motion.joints.copy(), walk.motion.spread.copy()
    spread[:, legs] = 0.15
    joints[:, legs] += np.random.default_rng(2).normal(0, 0.08, joints[:, legs].shape)
    keypoints, motion = replace(walk.keypoints, xy=xy, score=score), replace(walk.motion, joints=joints, spread=spread)
    fit = _posed(body, fit_body(keypoints, motion, walk.calibration, body, FitConfig()))
    upper = list(range(13))
    assert _error(fit.coco.numpy()[:, upper], walk.coco[:, upper]) < _error(joints[:, upper], walk.coco[:, upper])
    assert _error(fit.coco.numpy()[:, legs], walk.coco[:, legs]) < 0.8 * _error(joints[:, legs], walk.coco[:, legs])


def test_windows_of_a_long_track_meet_without_a_seam(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    config = FitConfig(window_frames=40, overlap_frames=12, batch_frames=80)
    fit = fit_body(walk.keypoints, walk.motion, walk.calibration, body, config)
    np.testing.assert_array_equal(fit.betas, fitted.betas)
    assert _error(fit.joints, fitted.joints) < 0.008  # m
    jump = np.linalg.norm(np.diff(fit.joints - fitted.joints, axis=0), axis=-1)
    assert jump.max() < 0.02  # m a frame


@pytest.mark.parametrize("rate", [30, 50])
def test_parts_of_a_track_are_those_of_the_whole(body: BodyModel, rate: int) -> None:
    """Each part is fitted from no more rows than it says that it needs; solved frames and those between."""
    walk = _walk(body, time_s=np.arange(3 * rate) / rate)
    config = FitConfig(window_frames=30, overlap_frames=8, batch_frames=60)
    time_s, borders = walk.motion.time_s, [0, rate // 2 + 3, 2 * rate - 1, 3 * rate]
    whole = fit_body(walk.keypoints, walk.motion, walk.calibration, body, config)
    parts = []
    for first, stop in itertools.pairwise(borders):
        start, end = rows_needed(time_s, first, stop, config)
        keypoints, motion = rows_of(walk.keypoints, slice(start, end)), rows_of(walk.motion, slice(start, end))
        part = FitPart(keypoints, motion, start, first, stop, time_s)
        parts += fit_parts([part], [whole.betas], walk.calibration, body, config)
    found = joined(parts)
    np.testing.assert_allclose(found.joints, whole.joints, atol=1e-5)  # m
    np.testing.assert_allclose(found.residual, whole.residual, atol=1e-5)


def test_the_shape_of_a_long_track_comes_from_a_sample_of_it(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    config = FitConfig(shape_sample=45)
    rows = shape_rows(walk.motion.time_s, config)
    assert len(rows) == 45
    assert (rows[0], rows[-1]) == (0, 89)
    keypoints, motion = rows_of(walk.keypoints, rows), rows_of(walk.motion, rows)
    betas = fit_shape(keypoints, motion, walk.calibration, body, config)
    heights = [float(stature(body, torch.as_tensor(b, dtype=torch.float32))) for b in (betas, fitted.betas)]
    assert abs(heights[0] - heights[1]) < 0.015  # m


def test_several_people_are_fitted_as_each_alone(body: BodyModel, walk: Walk, fitted: BodyFit) -> None:
    other = _walk(body, time_s=np.arange(30) / 30, betas=(-1.0, 0.5), seed=5)
    fits = fit_bodies(
        [walk.keypoints, other.keypoints], [walk.motion, other.motion], walk.calibration, body, FitConfig()
    )
    np.testing.assert_allclose(fits[0].joints, fitted.joints, atol=2e-3)  # m
    assert len(fits[1].transl) == 30
    assert _error(_posed(body, fits[1]).coco.numpy(), other.coco) < _error(other.motion.joints, other.coco)
    assert fit_bodies([], [], walk.calibration, body, FitConfig()) == []


@pytest.mark.parametrize("frames", [1, 2])
def test_shortest_tracks(body: BodyModel, frames: int) -> None:
    walk = _walk(body, time_s=np.arange(frames) / 30)
    fit = fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig())
    assert _error(_posed(body, fit).coco.numpy(), walk.coco) < 0.035  # m


def test_smpl24_motion_is_fitted_by_joints(body: BodyModel) -> None:
    walk = _walk(body, time_s=np.arange(30) / 30, skeleton="smpl24")
    fit = fit_body(walk.keypoints, walk.motion, walk.calibration, body, FitConfig())
    assert _error(fit.joints, walk.coco) < 0.75 * _error(walk.motion.joints, walk.coco)


def test_keypoints_and_motion_of_different_frames_are_refused(body: BodyModel, walk: Walk) -> None:
    moved = replace(walk.motion, frames=walk.motion.frames + 1)
    with pytest.raises(ValueError, match="differ in their frames"):
        fit_body(walk.keypoints, moved, walk.calibration, body, FitConfig())


@pytest.mark.parametrize("bad", [{"window_frames": 20, "overlap_frames": 12}, {"height_m": 180.0}, {"rate_hz": 0.0}])
def test_config_refuses_what_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"FitConfig.{next(iter(bad))}"):
        FitConfig(**bad)  # type: ignore[arg-type]
