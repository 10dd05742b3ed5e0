"""Lifting whole tracks with a tiny network: windows, frame rates, gaps, frames of reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mocap_video.errors import ConfigError
from mocap_video.lifter.lift import LiftConfig, Lifter, LiftPart, lift, lift_parts, rows_needed
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.spread import SpreadHead
from mocap_video.skeletons import COCO17
from mocap_video.stretches import joined, rows_of
from mocap_video.types import Calibration, Camera, GroundPlane, Keypoints2D, Motion3D

CONFIG = LiftConfig(samples=2, steps=2, window=8, batch=16)


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    torch.manual_seed(0)
    model = Denoiser(NetworkConfig(width=32, layers=1, heads=2, feed_forward=32)).eval()
    return Lifter(model, SpreadHead(model.config).eval(), COCO17, "0" * 64, Path("tiny"), {})


def site(yaw: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> Calibration:
    """A camera 3 m over the ground z = 0 that looks 20 degrees down, in a site turned and moved by choice."""
    pitch = np.deg2rad(20)
    forward = np.array([0.0, np.cos(pitch), -np.sin(pitch)])
    right = np.array([1.0, 0.0, 0.0])
    R = np.stack([right, np.cross(forward, right), forward])
    t = -R @ np.array([0.0, 0.0, 3.0])
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    move = np.array([*shift, 0.0])
    R_new = R @ turn.T
    K = np.array([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]])
    camera = Camera(K, R_new, t - R_new @ move, (1280, 720))
    return Calibration(camera, GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0))


def walker(seconds: float = 3.0, fps: float = 30.0, person: int = 1) -> Keypoints2D:
    """Keypoints of a stick figure that walks to the right, 7 m away."""
    time_s = np.arange(round(seconds * fps)) / fps
    heights = np.array([1.6, 1.62, 1.62, 1.6, 1.6, 1.4, 1.4, 1.1, 1.1, 0.9, 0.9, 0.95, 0.95, 0.5, 0.5, 0.09, 0.09])
    side = np.array([0, 0.03, -0.03, 0.07, -0.07] + [0.18, -0.18] * 6)
    joints = np.zeros((len(time_s), 17, 3))
    joints[..., 0] = -1.0 + 0.8 * time_s[:, None] + side
    joints[..., 1] = 7.0 + 0.1 * np.sin(5 * time_s)[:, None]
    joints[..., 2] = heights
    camera = site().camera
    seen = joints @ camera.R_cam_from_world.T + camera.t_cam_from_world
    xy = seen[..., :2] / seen[..., 2:] * 900 + np.array([639.5, 359.5])
    return Keypoints2D(person, "coco17", np.arange(len(time_s)), time_s, xy, np.ones(xy.shape[:2]))


def without(keypoints: Keypoints2D, frames: slice) -> Keypoints2D:
    xy, score = keypoints.xy.copy(), keypoints.score.copy()
    xy[frames], score[frames] = np.nan, 0.0
    return Keypoints2D(keypoints.person, "coco17", keypoints.frames, keypoints.time_s, xy, score)


@pytest.mark.parametrize("fps", [7.5, 10.0, 25.0, 30.0, 60.0, 120.0])
def test_every_frame_of_any_rate_is_lifted_near_its_rays(lifter: Lifter, fps: float) -> None:
    keypoints = walker(fps=fps)
    (motion,) = lift([keypoints], site(), lifter, CONFIG)
    assert motion.joints.shape == (len(keypoints.time_s), 17, 3)
    camera = site().camera
    seen = motion.joints @ camera.R_cam_from_world.T + camera.t_cam_from_world
    error = seen[..., :2] / seen[..., 2:] * 900 + np.array([639.5, 359.5]) - keypoints.xy
    assert np.median(np.linalg.norm(error, axis=-1)) < 12  # px of 1280: an untrained network, but the rays hold it


def test_a_wholly_missing_stretch_is_bridged_with_finite_joints(lifter: Lifter) -> None:
    (motion,) = lift([without(walker(seconds=5), slice(40, 110))], site(), lifter, CONFIG)
    assert np.isfinite(motion.joints).all()


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_very_short_tracks_are_lifted(lifter: Lifter, count: int) -> None:
    whole = walker()
    part = Keypoints2D(1, "coco17", whole.frames[:count], whole.time_s[:count], whole.xy[:count], whole.score[:count])
    (motion,) = lift([part], site(), lifter, CONFIG)
    assert motion.joints.shape == (count, 17, 3)


def test_the_site_frame_may_be_turned_and_moved(lifter: Lifter) -> None:
    (here,) = lift([walker()], site(), lifter, CONFIG)
    (there,) = lift([walker()], site(0.9, (3.0, -2.0)), lifter, CONFIG)
    c, s = np.cos(0.9), np.sin(0.9)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert np.abs(here.joints @ turn.T + [3.0, -2.0, 0.0] - there.joints).max() < 1e-3  # m


def test_the_same_seed_gives_the_same_motion_and_another_does_not(lifter: Lifter) -> None:
    first, again = (lift([walker()], site(), lifter, CONFIG)[0].joints for _ in range(2))
    other = lift([walker()], site(), lifter, LiftConfig(samples=2, steps=2, window=8, batch=16, seed=5))[0].joints
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_person_is_lifted_the_same_alone_and_in_company(lifter: Lifter) -> None:
    (alone,) = lift([walker()], site(), lifter, CONFIG)
    together = lift([walker(), walker(seconds=1.0, person=2)], site(), lifter, CONFIG)
    assert np.abs(alone.joints - together[0].joints).max() < 1e-5  # m
    assert together[1].person == 2


def in_parts(keypoints: Keypoints2D, seconds: float, lifter: Lifter, config: LiftConfig) -> Motion3D:
    """Lift parts of about ``seconds``, each from no more than it needs."""
    time_s, parts = keypoints.time_s, []
    borders = np.searchsorted(time_s, np.arange(0, time_s[-1], seconds)).tolist()
    for first, stop in zip(borders, [*borders[1:], len(time_s)], strict=True):
        start, end = rows_needed(time_s, first, stop, config)
        parts.append(LiftPart(rows_of(keypoints, slice(start, end)), start, first, stop, time_s))
    return joined(lift_parts(parts, site(), lifter, config))


@pytest.mark.parametrize(("fps", "steps"), [(30.0, 2), (30.0, 1), (12.0, 3), (60.0, 2)])
def test_parts_of_a_track_are_those_of_the_whole(lifter: Lifter, fps: float, steps: int) -> None:
    noisy = walker(seconds=9, fps=fps)
    xy = noisy.xy + np.random.default_rng(0).normal(0, 2, noisy.xy.shape)
    keypoints = without(replace(noisy, xy=xy), slice(40, 50))
    config = LiftConfig(samples=2, steps=steps, window=8, batch=400)
    (whole,) = lift([keypoints], site(), lifter, config)
    parts = in_parts(keypoints, 2.3, lifter, config)
    np.testing.assert_array_equal(parts.frames, keypoints.frames)
    assert np.abs(parts.joints - whole.joints).max() < 1e-5  # m
    assert np.abs(parts.spread / whole.spread - 1).max() < 0.1  # the head draws noise of its own for each batch


def test_only_neighbours_are_needed() -> None:
    keypoints = walker(seconds=60)
    start, end = rows_needed(keypoints.time_s, 900, 1000, CONFIG)
    assert 900 - 100 < start < 900
    assert 1000 < end < 1000 + 100


def test_small_batches_leave_no_seam(lifter: Lifter) -> None:
    long = walker(seconds=8)
    (whole,) = lift([long], site(), lifter, LiftConfig(samples=1, steps=2, window=8, batch=400))
    (pieces,) = lift([long], site(), lifter, LiftConfig(samples=1, steps=2, window=8, batch=4))
    assert np.abs(pieces.joints - whole.joints).max() < 1e-5  # m


def test_noise_is_the_same_whatever_part_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from mocap_video.lifter import lift as module

    monkeypatch.setattr(module, "_NOISE_BLOCK", 300)  # 20 s: ten times as long as noise lasts
    time_s = np.arange(1000) / 15
    whole = module._noise(time_s, 3, 0, 1000, CONFIG)
    for first, stop in ((0, 40), (250, 350), (299, 301), (700, 1000)):
        assert torch.allclose(module._noise(time_s, 3, first, stop, CONFIG), whole[:, first:stop], atol=1e-3)
    lag = (whole[:, 1:] * whole[:, :-1]).mean() / (whole**2).mean()
    seam = (whole[:, 300::300] * whole[:, 299:-1:300]).mean() / (whole**2).mean()
    assert 0.45 < float(lag) < 0.7
    assert abs(float(seam) - float(lag)) < 0.3, "what lasts goes on over the border of a block"


def test_spread_is_the_expected_error_and_the_samples_deviation_in_squares(lifter: Lifter) -> None:
    unaware = replace(lifter, spread=None)
    one, several = (LiftConfig(samples=count, steps=1, window=8) for count in (1, 3))
    (nothing,) = lift([walker()], site(), unaware, one)
    (deviation,) = lift([walker()], site(), unaware, several)
    (expected,) = lift([walker()], site(), lifter, one)
    (whole,) = lift([walker()], site(), lifter, several)
    assert (nothing.spread == 0).all()
    assert (deviation.spread > 0).all()
    assert (whole.spread >= 0.999 * expected.spread).all()
    kept = slice(None, None, 2)  # of 30 frames a second the network sees every other
    assert np.allclose(whole.spread[kept], np.hypot(expected.spread, deviation.spread)[kept], atol=1e-6)  # m


def test_a_mirrored_recording_is_lifted_to_the_mirrored_motion(lifter: Lifter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left and right are the same to a lifter whose samples see both, and so is how sure it is."""

    def same_for_all(_: np.ndarray, points: int, first: int, stop: int, config: LiftConfig) -> torch.Tensor:
        frames = 0.1 * torch.arange(first, stop)[:, None, None]
        return torch.sin(frames + torch.arange(points * 4).view(points, 4)).expand(config.samples, -1, -1, -1)

    monkeypatch.setattr("mocap_video.lifter.lift._noise", same_for_all)
    config, flip = LiftConfig(samples=2, steps=1, window=8), list(COCO17.flip)
    seen = walker()
    turned = replace(seen, xy=(np.array([1279.0, 0.0]) + seen.xy * [-1.0, 1.0])[:, flip])  # the middle is at 639.5
    one, other, plain = (
        lift([keypoints], site(), lifter, chosen)[0]
        for keypoints, chosen in ((seen, config), (turned, config), (turned, replace(config, mirror=False)))
    )
    back = one.joints[:, flip] * [-1.0, 1.0, 1.0]
    assert np.abs(other.joints - back).max() < 1e-4  # m
    assert np.abs(other.spread - one.spread[:, flip]).max() < 1e-4  # m
    assert np.abs(plain.joints - back).max() > 2e-3


def test_another_keypoint_set_is_refused(lifter: Lifter) -> None:
    whole = walker(seconds=0.5)
    xy = np.zeros((len(whole.frames), 24, 2))
    other = Keypoints2D(1, "smpl24", whole.frames, whole.time_s, xy, np.ones(xy.shape[:2]))
    with pytest.raises(ConfigError, match="smpl24"):
        lift([other], site(), lifter, CONFIG)


@pytest.mark.parametrize("bad", [{"window": 7}, {"window": 2}, {"samples": 0}, {"batch": 0}, {"rate_hz": 0.0}])
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        LiftConfig(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [6, 16, 400])
def test_people_lifted_together_are_those_lifted_one_by_one(lifter: Lifter, batch: int) -> None:
    config = replace(CONFIG, batch=batch)
    people = [walker(2.0, person=1), walker(1.0, fps=60.0, person=2), without(walker(4.0, person=3), slice(30, 60))]
    together = lift(people, site(), lifter, config)
    for person, motion in zip(people, together, strict=True):
        (alone,) = lift([person], site(), lifter, config)
        assert motion.person == person.person
        assert np.abs(motion.joints - alone.joints).max() < 1e-4  # m
        assert np.abs(motion.spread - alone.spread).max() < 1e-4
