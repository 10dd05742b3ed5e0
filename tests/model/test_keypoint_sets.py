"""Any keypoint set: how the body shows it, what geometry knows of it, and a lifter trained and run on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import walking_samples
from model.test_data import clip_of_walking
from model.test_lift import site

from mocap_video.calib import geometry
from mocap_video.errors import ConfigError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.noise import DETECTOR_LIKE, corrupt
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.fit import FitConfig, fit_body
from mocap_video.lifter.keypoints import keypoints, mixing_matrix
from mocap_video.lifter.lift import LiftConfig, lift, load_lifter
from mocap_video.lifter.network import NetworkConfig
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.lifter.training import TrainConfig, build_runner, export_weights
from mocap_video.lifter.views import build_scene
from mocap_video.lifter.weights import shipped_weights
from mocap_video.skeletons import COCO17, H36M17, SKELETONS, SMPL24, Skeleton
from mocap_video.types import Keypoints2D

BODY = load_body()
ALL = pytest.mark.parametrize("skeleton", list(SKELETONS.values()), ids=list(SKELETONS))
HANGING = torch.zeros(24, 3)
HANGING[16, 2], HANGING[17, 2] = -1.35, 1.35


@ALL
def test_the_stance_is_the_bodys_own(skeleton: Skeleton) -> None:
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(HANGING), torch.zeros(3))
    joints = keypoints(posed, skeleton).numpy()
    root, stance = skeleton.root_of(joints), skeleton.stance
    floor = float(posed.soles[:, 1].min())
    over_root = joints[:, 1] - root[1]
    assert np.abs(over_root - stance.over_root_m).max() < 0.05  # m
    assert abs(root[1] - floor - stance.root_m) < 0.03
    assert abs(joints[skeleton.pair("ankle"), 1].mean() - floor - stance.ankle_m) < 0.01
    hip, knee, ankle = (joints[skeleton.pair(part)[0]] for part in ("hip", "knee", "ankle"))
    assert abs(np.linalg.norm(hip - knee) - stance.thigh_m) < 0.03
    assert abs(np.linalg.norm(knee - ankle) - stance.shank_m) < 0.03
    assert abs(np.linalg.norm(joints[skeleton.pair("shoulder")].mean(0) - root) - stance.torso_m) < 0.03


@ALL
def test_the_anchor_of_any_set_is_near_its_root(skeleton: Skeleton) -> None:
    sample = walking_samples(skeleton=skeleton)
    anchor = build_scene(sample.seen, skeleton).anchor
    error = (anchor.point - sample.joints[:, :, list(skeleton.root)].mean(2)).norm(dim=-1)
    assert error.median() < 0.35  # m


def test_mixed_points_move_with_the_body() -> None:
    turn = torch.zeros(24, 3)
    turn[15, 1] = 0.8
    rest, turned = (BODY.pose(torch.zeros(10), matrix_from_rotvec(pose), torch.zeros(3)) for pose in (0 * turn, turn))
    head = keypoints(rest, H36M17)[H36M17.index("head")]
    crown = BODY.v_template[BODY.v_template[:, 1].argmax()]
    assert (head - crown)[1].abs() < 0.01  # m
    moved = (keypoints(turned, H36M17) - keypoints(rest, H36M17)).norm(dim=-1)
    assert moved[H36M17.index("nose")] > 0.05  # m: a head that shakes
    assert moved[H36M17.index("head")] < 0.03
    assert moved[H36M17.index("thorax")] == 0


def test_a_set_that_the_body_or_the_noise_does_not_know_is_refused() -> None:
    unknown = dataclasses.replace(COCO17, name="other", names=("tail", *COCO17.names[1:]))
    with pytest.raises(ConfigError, match="MIXTURES"):
        mixing_matrix(unknown)
    xy, seen = torch.zeros(1, 4, 17, 2), torch.ones(1, 4, 17, dtype=torch.bool)
    with pytest.raises(ConfigError, match="tail"):
        corrupt(xy, seen, torch.ones(1, 4), torch.arange(4)[None] / 30, unknown, DETECTOR_LIKE)


def test_the_shipped_smpl24_weights_lift_someone_who_stands() -> None:
    lifter = load_lifter(shipped_weights("smpl24"))
    assert lifter.skeleton is SMPL24
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(HANGING), torch.tensor([0.5, 0.895, 6.0]))
    site_joints = keypoints(posed, SMPL24)[:, [0, 2, 1]].double()  # +z up, 6 m ahead of the camera along +y
    calibration, count = site(), 24
    xy, _ = geometry.project(site_joints, calibration.camera)
    time_s = np.arange(count) / 15
    seen = Keypoints2D(
        1, "smpl24", np.arange(count), time_s, np.repeat(xy.numpy()[None], count, 0), np.ones((count, 24))
    )
    (motion,) = lift([seen], calibration, lifter, LiftConfig())
    error = np.linalg.norm(motion.joints - site_joints.numpy(), axis=-1)
    assert error.mean() < 0.2  # m
    assert motion.spread.min() > 0


def test_human36m_is_trained_exported_lifted_and_fitted(tmp_path: Path) -> None:
    bank = tmp_path / "bank.safetensors"
    write_bank([retarget(clip_of_walking(60), BODY)], bank)
    tiny = NetworkConfig(joints=17, width=32, layers=1, heads=2, feed_forward=32)
    config = TrainConfig(
        bank=bank, work_dir=tmp_path / "run", stage=2, network=tiny, skeleton="h36m17", steps=3, warmup=1, batch=4,
        frames=8,
    )  # fmt: skip
    build_runner(config).train()
    export_weights(tmp_path / "run" / "iter_3.pth", tmp_path / "h36m.safetensors")
    lifter = load_lifter(tmp_path / "h36m.safetensors")
    assert lifter.skeleton is H36M17
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(HANGING), torch.tensor([0.5, 0.94, 6.0]))
    site_joints = keypoints(posed, H36M17)[:, [0, 2, 1]].double()  # +z up, 6 m ahead of the camera along +y
    calibration = site()
    xy, _ = geometry.project(site_joints, calibration.camera)
    time_s = np.arange(12) / 15
    seen = Keypoints2D(1, "h36m17", np.arange(12), time_s, np.repeat(xy.numpy()[None], 12, 0), np.ones((12, 17)))
    (motion,) = lift([seen], calibration, lifter, LiftConfig(samples=2, steps=2, window=8))
    assert motion.joints.shape == (12, 17, 3)
    error = np.linalg.norm(motion.joints - site_joints.numpy(), axis=-1)
    assert np.median(error) < 0.6  # m: three steps of training, but geometry holds it
    fit = fit_body(seen, motion, calibration, BODY, FitConfig())
    assert np.median(fit.residual) < 0.3  # m
