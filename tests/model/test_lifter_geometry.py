"""The geometry around the network: views, anchor, whitening, representation, guidance."""

from __future__ import annotations

import torch
from model.lifter_samples import walking_samples

from mocap_video.calib import geometry
from mocap_video.lifter.conditions import CAMERA_FEATURES, FRAME_FEATURES, build_conditions
from mocap_video.lifter.guidance import observation_gain, triangulate_views
from mocap_video.lifter.representation import decode, encode, noise_in_views, whitening
from mocap_video.lifter.views import AIM_HEIGHT_M, VIEWS, Observation, build_scene, flat_joints
from mocap_video.skeletons import COCO17

SAMPLE = walking_samples()
SCENE = build_scene(SAMPLE.seen, COCO17)
WHITE = whitening(SCENE)
HIPS = SAMPLE.joints[:, :, 11:13].mean(2)


def test_the_turned_v0_sees_the_subject_on_its_axis_and_upright() -> None:
    R = SCENE.rig.R[:, 0]
    center, depth = geometry.project_normalized(SCENE.rig.center, R, SCENE.rig.t[:, 0])
    assert center.abs().max() < 1e-4  # normalised
    assert (depth > 1).all()
    assert R[:, 0, 1].abs().max() < 1e-5  # right is level: no roll


def test_virtual_views_stand_at_90_180_and_270_degrees_and_look_at_the_subject() -> None:
    centers = geometry.camera_center(SCENE.rig.R, SCENE.rig.t)
    flat = (centers - SCENE.rig.center[:, None])[..., [0, 2]]
    heading = torch.atan2(flat[..., 0], flat[..., 1])
    turn = torch.rad2deg((heading - heading[:, :1]) % (2 * torch.pi))
    expected = torch.tensor([0.0, 90.0, 180.0, 270.0])
    gap = ((turn - expected + 180) % 360 - 180).abs()
    assert gap.max() < 0.1  # degrees
    assert SCENE.rig.center[:, 1].sub(AIM_HEIGHT_M).abs().max() < 1e-6
    for view in range(VIEWS):
        xy, _ = geometry.project_normalized(SCENE.rig.center, SCENE.rig.R[:, view], SCENE.rig.t[:, view])
        assert xy.abs().max() < 1e-4


def test_keypoints_keep_their_rays_when_v0_is_turned() -> None:
    xy, depth = geometry.project_normalized(SAMPLE.joints, SCENE.rig.R[:, 0, None, None], SCENE.rig.t[:, 0, None, None])
    seen = (SCENE.rig.score0 > 0) & (depth > 0.3)
    assert seen.float().mean() > 0.9
    assert (xy - SCENE.rig.xy0)[seen].abs().max() < 1e-3  # normalised


def test_the_anchor_is_near_the_root_and_knows_how_near() -> None:
    error = (SCENE.anchor.point - HIPS).norm(dim=-1)
    assert error.median() < 0.35  # m
    assert (error / SCENE.anchor.sigma).square().mean().sqrt() < 3.0  # in its own standard deviations


def test_the_anchor_survives_feet_outside_the_picture() -> None:
    seen = SAMPLE.seen
    score = seen.score.clone()
    score[:, :, 13:] = 0.0
    cut = Observation(seen.xy, score, seen.time_s, seen.valid, seen.R, seen.t)
    error = (build_scene(cut, COCO17).anchor.point - HIPS).norm(dim=-1)
    assert error.median() < 1.5  # m: the size of the torso alone
    assert build_scene(cut, COCO17).anchor.sigma.mean() > SCENE.anchor.sigma.mean()


def test_encode_and_decode_agree_with_projection() -> None:
    x = encode(SAMPLE.joints, SCENE, WHITE, COCO17)
    xy, depth = decode(x, WHITE)
    true_xy, _ = geometry.project_normalized(
        SAMPLE.joints[:, None], SCENE.rig.R[:, :, None, None], SCENE.rig.t[:, :, None, None]
    )
    _, root_depth = geometry.project_normalized(HIPS[:, None], SCENE.rig.R[:, :, None], SCENE.rig.t[:, :, None])
    assert (xy - true_xy).abs().max() < 1e-4  # normalised
    assert (depth - root_depth).abs().max() < 1e-3  # m


def test_whitened_motion_has_comparable_tokens() -> None:
    x = encode(SAMPLE.joints, SCENE, WHITE, COCO17)
    for part in (x[..., :-2, :], x[..., -2, :], x[..., -1, :]):
        assert 0.1 < part.std() < 4.0


def test_true_views_triangulate_to_the_truth() -> None:
    x = encode(SAMPLE.joints, SCENE, WHITE, COCO17)
    joints = triangulate_views(x, SCENE, WHITE)
    assert (joints - SAMPLE.joints).norm(dim=-1).max() < 2e-3  # m


def test_an_unsure_observation_yields_to_the_prediction() -> None:
    x = encode(SAMPLE.joints, SCENE, WHITE, COCO17)
    wrong = SAMPLE.seen.xy + 0.02
    errors = []
    for score in (1.0, 0.05):
        seen = Observation(
            wrong, torch.full_like(SAMPLE.seen.score, score), SAMPLE.seen.time_s, SAMPLE.seen.valid, SAMPLE.seen.R,
            SAMPLE.seen.t,
        )  # fmt: skip
        scene = build_scene(seen, COCO17)
        y = encode(SAMPLE.joints, scene, whitening(scene), COCO17)
        errors.append((triangulate_views(y, scene, whitening(scene)) - SAMPLE.joints).norm(dim=-1).mean())
    assert errors[1] < 0.5 * errors[0]
    assert x.isfinite().all()
    gain = observation_gain(torch.tensor([0.0, 0.2, 1.0]))
    assert gain[0] == 0
    assert gain[1] < gain[2] < 1


def test_noise_is_one_solid_noise_seen_by_all_views() -> None:
    solid = torch.randn(len(SAMPLE.joints), SAMPLE.joints.shape[1], 18, 4)
    x = noise_in_views(solid, SCENE, WHITE)
    assert abs(float(x.std()) - 1) < 0.05  # unit noise
    assert torch.allclose(x[:, 1, ..., :17, 0], -x[:, 3, ..., :17, 0], atol=1e-3)  # seen from both sides


def test_zero_is_the_flat_pose_on_the_anchors_plane() -> None:
    x = torch.zeros(len(SAMPLE.joints), VIEWS, SAMPLE.joints.shape[1], 19, 2)
    joints = triangulate_views(x, SCENE, WHITE)
    assert (joints - flat_joints(SCENE)).norm(dim=-1).max() < 0.35  # m: boxes at one depth are not quite rays
    depth = ((joints - SCENE.anchor.point[:, :, None]) * SCENE.rig.R[:, None, None, 0, 2]).sum(-1)
    assert depth.abs().median() < 0.2  # m from the upright plane, tilted by the view's pitch


def test_conditions_are_finite_bounded_and_hide_missing_keypoints() -> None:
    score = SAMPLE.seen.score.clone()
    score[:, :, 9] = 0.0
    seen = Observation(SAMPLE.seen.xy, score, SAMPLE.seen.time_s, SAMPLE.seen.valid, SAMPLE.seen.R, SAMPLE.seen.t)
    scene = build_scene(seen, COCO17)
    told = build_conditions(scene, whitening(scene))
    assert told.frames.shape[-1] == FRAME_FEATURES
    assert told.cameras.shape[-1] == CAMERA_FEATURES
    for value in (told.keypoints, told.frames, told.cameras, told.pointmaps):
        assert value.isfinite().all()
        assert value.abs().max() < 100
    assert (told.keypoints[:, :, 9] == 0).all()


def test_the_site_can_be_moved_and_turned_without_changing_the_scene() -> None:
    """V0 in another yaw and place on the ground is the same problem: what the network is told is equal."""
    angle = torch.tensor(0.7)
    cosine, sine, zero, one = torch.cos(angle), torch.sin(angle), torch.tensor(0.0), torch.tensor(1.0)
    yaw = torch.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine]).view(3, 3)
    R = SAMPLE.seen.R @ yaw.mT
    turned = Observation(SAMPLE.seen.xy, SAMPLE.seen.score, SAMPLE.seen.time_s, SAMPLE.seen.valid, R, SAMPLE.seen.t)
    scene = build_scene(turned, COCO17)
    told, before = build_conditions(scene, whitening(scene)), build_conditions(SCENE, WHITE)
    assert (told.keypoints - before.keypoints).abs().max() < 1e-3
    assert (told.frames - before.frames).abs().max() < 1e-2
    assert (scene.anchor.point - SCENE.anchor.point @ yaw.mT).abs().max() < 1e-2  # m
