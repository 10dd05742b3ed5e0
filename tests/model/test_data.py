"""Motion for training: retargeting, standing on soles, variation, cameras, noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import EXACT, walking_samples, walking_windows

from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.augment import AugmentConfig, posed_joints
from mocap_video.lifter.data.bank import read_bank, write_bank
from mocap_video.lifter.data.cameras import CameraConfig, place_subject, random_cameras, see
from mocap_video.lifter.data.motions import read_motions
from mocap_video.lifter.data.noise import DETECTOR_LIKE, NoiseConfig, corrupt
from mocap_video.lifter.data.retarget import leg_length, lowest_point, retarget, swing
from mocap_video.lifter.data.sources import SourceClip
from mocap_video.lifter.data.stance import stand_on_feet
from mocap_video.lifter.data.synthetic import SyntheticConfig, make_samples
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix
from mocap_video.skeletons import COCO17

BODY = load_body()


def clip_of_walking(frames: int = 60, jump: bool = False) -> SourceClip:
    """A source clip made of our own body at another size, floating 7 cm over its floor."""
    windows = walking_windows(1, frames)
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(windows.rotvec[0]), torch.zeros(3))
    joints = posed.joints[:, :22].clone()
    joints[..., 1] += 0.07 - lowest_point(posed)[:, None]
    if jump:
        joints[25:35, :, 1] += 0.3
    joints[..., 2] += windows.path[0, :, 1:2] * leg_length(BODY.rest_joints)
    exact = np.ones(22, dtype=bool)
    return SourceClip("walk", "made", "train", "A", (), 30.0, 1.15 * joints.numpy(), exact)


def test_the_smallest_turn_moves_one_direction_onto_another() -> None:
    rest, target = torch.tensor([0.0, -1.0, 0.1]), torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    turned = swing(rest, target) @ torch.nn.functional.normalize(rest, dim=-1)
    assert (turned - target).abs().max() < 1e-2  # unit vectors


def test_retargeting_keeps_bone_directions_whatever_the_size_of_the_source() -> None:
    clip = clip_of_walking()
    motion = retarget(clip, BODY)
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(motion.rotvec)), torch.zeros(3))
    source = torch.as_tensor(clip.joints)
    for first, second in ((1, 4), (4, 7), (2, 5), (5, 8), (16, 18), (18, 20), (17, 19), (19, 21)):
        ours = torch.nn.functional.normalize(posed.joints[:, second] - posed.joints[:, first], dim=-1)
        theirs = torch.nn.functional.normalize(source[:, second] - source[:, first], dim=-1)
        angle = torch.rad2deg(torch.acos((ours * theirs).sum(-1).clamp(-1, 1)))
        assert angle.max() < 2.0  # degrees


@pytest.mark.parametrize("tilt_deg", [-8.0, 0.0, 6.0])
def test_resting_soles_are_flat_whatever_slope_a_source_draws_feet_at(tilt_deg: float) -> None:
    rotvec = torch.zeros(40, 24, 3)
    rotvec[:, 7:9, 0] = torch.deg2rad(torch.tensor(-tilt_deg))
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(rotvec), torch.zeros(3))
    joints = posed.joints[:, :22] - torch.tensor([0.0, 1.0, 0.0]) * lowest_point(posed)[:, None, None]
    motion = retarget(SourceClip("stand", "made", "train", "A", (), 30.0, joints.numpy(), np.ones(22, bool)), BODY)
    again = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(motion.rotvec)), torch.zeros(3))
    heel, ball, toe = again.soles[..., 1].unflatten(-1, (2, 3)).unbind(-1)
    assert (heel - toe).abs().max() < 0.002  # m
    assert (ball - toe).abs().max() < 0.002  # m
    assert motion.contact.all()


def test_a_foot_on_its_toes_for_a_whole_clip_is_turned_by_a_bounded_angle() -> None:
    rotvec = torch.zeros(40, 24, 3)
    rotvec[:, 7:9, 0] = 0.8  # rad
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(rotvec), torch.zeros(3))
    joints = posed.joints[:, :22] - torch.tensor([0.0, 1.0, 0.0]) * lowest_point(posed)[:, None, None]
    motion = retarget(SourceClip("toes", "made", "train", "A", (), 30.0, joints.numpy(), np.ones(22, bool)), BODY)
    again = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(motion.rotvec)), torch.zeros(3))
    heel, _, toe = again.soles[..., 1].unflatten(-1, (2, 3)).unbind(-1)
    assert (heel - toe).min() > 0.04  # m


def test_made_legs_rest_on_flat_feet_that_do_not_move() -> None:
    windows = walking_windows(64, 32)
    rotations, chosen = matrix_from_rotvec(windows.rotvec), torch.arange(64) % 2 == 0
    made, path = stand_on_feet(rotations, windows.path, windows.time_s, chosen, BODY, torch.Generator().manual_seed(0))
    assert torch.equal(made[1::2], rotations[1::2])
    assert torch.equal(path[1::2], windows.path[1::2])
    posed = BODY.pose(torch.zeros(10), made[::2], torch.zeros(3))
    legs = leg_length(BODY.rest_joints)
    place = torch.stack([path[::2, :, 0] * legs, -lowest_point(posed), path[::2, :, 1] * legs], -1)
    soles = posed.soles + place[:, :, None]
    assert soles[..., 1].median() < 0.005  # m
    assert torch.quantile(soles[..., 1], 0.99) < 0.06  # m: one leg is at its reach
    drift = (soles[..., [0, 2]] - soles[..., [0, 2]].mean(1, keepdim=True)).norm(dim=-1)
    assert drift.median() < 0.02  # m
    hips = (posed.joints[:, :, [1, 2]].mean(2) + place)[..., 1]
    assert hips.amin() < 0.5  # m: some sit
    assert hips.amax() > 0.75  # m: some stand
    knees = rotvec_from_matrix(made[::2][:, :, [4, 5]])
    assert knees[..., 0].min() > -0.01  # rad: knees bend one way


def test_a_floating_source_stands_and_a_jump_stays_a_jump() -> None:
    standing = retarget(clip_of_walking(), BODY)
    assert standing.clearance.max() < 0.03  # m
    jumping = retarget(clip_of_walking(jump=True), BODY)
    assert 0.15 < jumping.clearance.max() < 0.35  # m; the source jumps 0.3 x 1.15 on legs 1.15 x ours


@pytest.mark.parametrize(
    "config", [None, AugmentConfig(floor_std_m=0.0), AugmentConfig(fall=1.0, floor_std_m=0.0, proportion_std=0.0)]
)
def test_whatever_is_varied_the_body_rests_on_the_ground(config: AugmentConfig | None) -> None:
    joints = posed_joints(walking_windows(16), BODY, COCO17, config, torch.Generator().manual_seed(0))
    lowest = joints[..., 1].amin(-1)
    assert lowest.min() > -0.03  # m: flesh below a joint is known to a few cm
    assert lowest.median() < 0.16  # m: an ankle, or what else carries


def test_variation_changes_shapes_but_keeps_bones_rigid() -> None:
    joints = posed_joints(walking_windows(16), BODY, COCO17, AugmentConfig(), torch.Generator().manual_seed(0))
    thigh = (joints[:, :, 13] - joints[:, :, 11]).norm(dim=-1)
    assert thigh.mean(1).std() > 0.01  # m between people
    # the surface hip and knee move a little over the joint when it bends
    assert (thigh.amax(1) - thigh.amin(1)).max() < 0.05  # m within one


def test_a_mirror_swaps_sides() -> None:
    windows = walking_windows(4)
    plain = posed_joints(windows, BODY, COCO17, None)
    always = AugmentConfig(
        mirror=1.0, limb_exchange=0, rotation_noise=0, stance=0, fall=0, beta_std=0, proportion_std=0, floor_std_m=0
    )
    mirrored = posed_joints(windows, BODY, COCO17, always)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert (mirrored[:, :, 15] - plain[:, :, 16] * flip).norm(dim=-1).max() < 0.02  # m: nearly symmetric


def test_random_cameras_keep_to_their_ranges_and_see_the_subject() -> None:
    config = CameraConfig()
    cameras = random_cameras(torch.zeros(500), config, torch.Generator().manual_seed(0))
    height = -(cameras.R.mT @ cameras.t[..., None])[:, 1, 0]
    assert height.min() > 0.59
    assert height.max() < 12.01
    pitch = torch.rad2deg(torch.asin(-cameras.R[:, 2, 1]))
    assert pitch.min() > -10.01
    assert pitch.max() < 80.01
    assert torch.allclose(cameras.R @ cameras.R.mT, torch.eye(3).expand(500, 3, 3), atol=1e-5)
    middle = torch.zeros(500, 1, 1, 3)
    middle[..., 1] = 0.9
    _, visible = see(place_subject(middle, cameras), cameras)
    assert visible.float().mean() > 0.9


def test_exact_windows_are_exact_and_noisy_ones_are_as_noisy_as_measured() -> None:
    sample = walking_samples(8)
    time_s = sample.seen.time_s
    xy = torch.rand(8, 16, 17, 2)
    visible, height = torch.ones(8, 16, 17, dtype=torch.bool), torch.ones(8, 16)
    same, score = corrupt(xy, visible, height, time_s, COCO17, EXACT)
    assert torch.equal(same, xy)
    assert (score == 1).all()
    errors = []
    for seed in range(20):
        noisy, score = corrupt(xy, visible, height, time_s, COCO17, DETECTOR_LIKE, torch.Generator().manual_seed(seed))
        errors.append((noisy - xy).norm(dim=-1).masked_fill(score == 0, torch.nan))
    error = torch.cat(errors)
    assert 0.006 < error[..., 5:].nanmedian() < 0.025  # of the person's height
    missing = error.isnan().float().mean((0, 1))
    assert missing[9] > missing[5]  # wrists go missing more often than shoulders


def test_noise_is_not_white_in_time() -> None:
    time_s = (torch.arange(40) / 30).expand(64, 40)
    xy, visible = torch.zeros(64, 40, 17, 2), torch.ones(64, 40, 17, dtype=torch.bool)
    config = NoiseConfig(noisy=1.0, gross=0.0, swap=0.0, no_face=0.0, cut=0.0)
    noisy, _ = corrupt(xy, visible, torch.ones(64, 40), time_s, COCO17, config, torch.Generator().manual_seed(0))
    moving = noisy - noisy.mean(1, keepdim=True)
    correlation = (moving[:, 1:] * moving[:, :-1]).sum() / (moving**2).sum()
    assert 0.5 < correlation < 0.95  # lag 1 at 30 frames a second


def test_samples_are_the_same_for_the_same_seed() -> None:
    config = SyntheticConfig()
    first, again = (
        make_samples(walking_windows(), BODY, COCO17, config, torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert torch.equal(first.joints, again.joints)
    assert torch.equal(first.seen.xy, again.seen.xy)


def test_a_bank_comes_back_and_cuts_windows_inside_its_clips(tmp_path: Path) -> None:
    motions = [retarget(clip_of_walking(frames), BODY) for frames in (20, 50)]
    write_bank(motions, tmp_path / "bank.safetensors")
    bank = read_bank(tmp_path / "bank.safetensors")
    assert bank.length.tolist() == [20, 50]
    drawn = bank.draw(64, 16, torch.Generator().manual_seed(0))
    assert drawn.rotvec.shape == (64, 16, 24, 3)
    assert (drawn.time_s.diff(dim=1) > 0).all()
    assert drawn.valid[:, 0].all()
    whole = bank.windows(torch.tensor([1]), torch.tensor([0]), torch.tensor([1]), 50, torch.ones(1))
    assert np.abs(whole.rotvec[0].numpy() - motions[1].rotvec).max() < 2e-3  # rad: half precision


def test_files_that_are_no_bank_and_folders_without_motion_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(MissingAsset, match="train prepare"):
        read_bank(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ArtifactError, match="motion bank"):
        read_bank(tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"manifest\.csv"):
        list(read_motions(tmp_path, "train"))


def test_the_reader_takes_only_its_split(tmp_path: Path) -> None:
    clip = clip_of_walking(10)
    root = clip.joints[:, :1]
    arrays = {
        f"{name}|{key}": value
        for name in ("a", "b")
        for key, value in (
            ("j", (clip.joints - root).astype(np.float16)),
            ("jroot", root[:, 0].astype(np.float32)),
            ("exact", clip.exact),
        )
    }
    np.savez(tmp_path / "shard.npz", allow_pickle=False, **arrays)
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["clip", "source", "tier", "split", "shard", "qc_flags"])
        writer.writeheader()
        for name, split in (("a", "train"), ("b", "test")):
            writer.writerow(
                {
                    "clip": name,
                    "source": "made",
                    "tier": "A",
                    "split": split,
                    "shard": "shard.npz",
                    "qc_flags": "fast;x",
                }
            )
    (only,) = read_motions(tmp_path, "test")
    assert only.name == "b"
    assert only.flags == ("fast", "x")
    assert np.abs(only.joints - clip.joints).max() < 2e-3  # m: half precision
