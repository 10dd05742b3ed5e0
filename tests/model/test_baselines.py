"""A body fitted to the 2D from a mean pose; clips that wear random shapes, and the stature that they have."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import NEAR_CAMERAS, walking_samples
from model.test_data import clip_of_walking

from mocap_video.lifter.baselines import fit_from_mean_pose, mean_pose
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.augment import posed_joints
from mocap_video.lifter.data.bank import bank_of
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.fit import FitConfig, stature
from mocap_video.lifter.metrics import motion_errors
from mocap_video.lifter.validation import EXACT, ValidationConfig, held_out
from mocap_video.lifter.views import build_scene
from mocap_video.pipeline.evaluate import as_clip, fitted_keypoints
from mocap_video.skeletons import COCO17

BODY = load_body()


def test_the_mean_pose_stands_at_the_anchor_and_faces_as_it_is_seen() -> None:
    data = walking_samples(6)
    scene = build_scene(data.seen, COCO17)
    joints = mean_pose(scene, BODY)
    root = torch.as_tensor(COCO17.root_of(joints.numpy()))
    assert (root - scene.anchor.point).norm(dim=-1).max() < 1e-5  # m
    shoulders = COCO17.pair("shoulder")
    across, truth = (points[:, :, shoulders[0]] - points[:, :, shoulders[1]] for points in (joints, data.joints))
    along = (scene.rig.R[:, 0, 0, None] * truth).sum(-1)
    clear = along.abs().mean(1) > 0.1  # m: seen from the front or the back, not from the side
    assert clear.any()
    assert ((scene.rig.R[:, 0, 0, None] * across).sum(-1) * along)[clear].min() > 0


def test_fitting_to_the_2d_alone_finds_a_body_that_is_seen_there() -> None:
    data = walking_samples(2)
    scene, (keypoints, calibration) = build_scene(data.seen, COCO17), as_clip(data.seen, 0)
    start = mean_pose(scene, BODY)[0].double().numpy()
    truth = data.joints[0].numpy()
    config = FitConfig(pose_iterations=6, contact_iterations=2, shape_iterations=3)
    fit = fit_from_mean_pose(keypoints, start, calibration, BODY, config)
    joints = fitted_keypoints(fit, BODY)
    before, after = (motion_errors(points, truth, COCO17, 15.0) for points in (start, joints))
    assert after.pa_mpjpe_mm < before.pa_mpjpe_mm
    camera = calibration.camera
    in_camera = joints @ camera.R_cam_from_world.T + camera.t_cam_from_world
    pixels = in_camera[..., :2] / in_camera[..., 2:] * camera.K[0, 0]
    limbs = slice(5, 17)
    off = np.linalg.norm(pixels - keypoints.xy, axis=-1)[:, limbs]
    assert np.median(off) < 15  # px of 1000 px focal length: 8 cm at 5 m


@pytest.fixture
def motions(tmp_path: Path) -> Path:
    clip = clip_of_walking(100)
    root = clip.joints[:, :1]
    np.savez(
        tmp_path / "shard.npz",
        allow_pickle=False,
        **{"walk|j": (clip.joints - root).astype(np.float16), "walk|jroot": root[:, 0].astype(np.float32),
           "walk|exact": clip.exact},
    )  # fmt: skip
    row = {"clip": "walk", "source": "made", "tier": "A", "split": "val", "shard": "shard.npz", "qc_flags": ""}
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return tmp_path


def test_random_shapes_are_told_and_leave_cameras_where_they_were(motions: Path) -> None:
    mean, drawn = (
        held_out(motions, "val", "body", EXACT, BODY, ValidationConfig(16, 2, 2, 7, NEAR_CAMERAS, shapes))
        for shapes in ("mean", "random")
    )
    # the same draws; a camera stands back by how far the person walks, and legs differ
    assert (mean.seen.R - drawn.seen.R).abs().max() < 0.02
    assert mean.betas is not None
    assert not mean.betas.any()
    assert drawn.betas is not None
    heights = stature(BODY, drawn.betas)
    assert heights.std() > 0.01  # m
    shins = [(s.joints[:, :, 13] - s.joints[:, :, 15]).norm(dim=-1).mean(1) for s in (mean, drawn)]
    assert shins[0].std() < 1e-4  # m: one body
    assert shins[1].std() > 5e-3


def test_a_shape_that_is_given_is_worn() -> None:
    windows = bank_of([retarget(clip_of_walking(40), BODY)]).draw(2, 8, torch.Generator().manual_seed(0))
    betas = torch.zeros(2, 10)
    betas[1, 0] = 2.0
    joints = posed_joints(windows, BODY, COCO17, None, betas=betas)
    plain = posed_joints(windows, BODY, COCO17, None)
    assert torch.equal(joints[0], plain[0])
    assert (joints[1] - plain[1]).norm(dim=-1).max() > 0.01  # m
