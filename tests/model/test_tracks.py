"""2D tracks of recordings: prepared, drawn in windows, and learned from by the observed view alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import walking_samples
from model.test_data import BODY, clip_of_walking
from model.test_lift import site, walker

from mocap_video.calib.files import write_calibration
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.data.tracks import read_tracks, tracks_of, write_tracks
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.observed import observed_losses
from mocap_video.lifter.representation import encode, whitening
from mocap_video.lifter.training import TrainConfig, build_runner
from mocap_video.lifter.views import build_scene, flat_joints
from mocap_video.pipeline.training import prepare_tracks
from mocap_video.skeletons import COCO17

TINY = NetworkConfig(width=32, layers=1, heads=2, feed_forward=32)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two clips of one camera: keypoints and times are all that is read of them."""
    for number, fps in ((1, 30.0), (2, 60.0)):
        person = walker(seconds=2.0, fps=fps)
        folder = tmp_path / "out" / f"clip{number}" / "people"
        folder.mkdir(parents=True)
        score = person.score.copy()
        score[3, 5] = 0.0
        keypoints = np.concatenate([person.xy, score[..., None]], -1)
        keypoints[3, 5, :2] = np.nan
        np.savez(folder / "001.npz", keypoints2d=keypoints, time_s=person.time_s)
    return tmp_path / "out"


def test_tracks_come_back_as_the_rays_that_the_camera_saw(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "tracks.safetensors"
    assert write_tracks(tracks_of(results, site()), path) == 2
    bank = read_tracks([path, path])
    assert bank.length.tolist() == [60, 120, 60, 120]
    window = bank.draw(32, 24, torch.Generator().manual_seed(0))
    rate = 1 / window.time_s.diff(dim=1)[:, 0]
    assert ((rate > 9.9) & (rate < 30.1)).all()  # Hz
    camera = site().camera
    pixels = window.xy[0, 0].numpy() * camera.K[0, 0] + camera.K[:2, 2]
    known = window.score[0, 0].numpy() > 0
    truth = walker(seconds=2.0, fps=60.0).xy
    assert np.abs(truth[:, known] - pixels[known]).max((1, 2)).min() < 0.05  # px: half a millimetre at 7 m


def test_a_missing_keypoint_stays_missing(results: Path) -> None:
    first = next(iter(tracks_of(results, site())))
    assert first.score[3, 5] == 0
    assert (first.xy[3, 5] == 0).all()


def test_a_folder_without_people_and_a_file_of_something_else_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no people"):
        list(tracks_of(tmp_path / "empty", site()))
    np.savez(results / "clip1" / "people" / "002.npz", a=1)
    with pytest.raises(ArtifactError, match=r"002\.npz: expected keypoints2d"):
        list(tracks_of(results, site()))
    with pytest.raises(MissingAsset, match="train tracks"):
        read_tracks([tmp_path / "none.safetensors"])


class Oracle(Denoiser):
    """Answers what it was given."""

    answer: torch.Tensor

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return self.answer.expand_as(x) * 1.0


def test_the_loss_is_zero_for_the_true_image_whatever_the_depth_and_not_otherwise() -> None:
    data = walking_samples()
    scene = build_scene(data.seen, COCO17)
    hidden = replace(scene, rig=replace(scene.rig, score0=torch.zeros_like(scene.rig.score0)))
    white = whitening(hidden)
    model = Oracle(TINY)
    for depth in (1.0, 1.1):  # the same image of a person 10 % further away
        origin = torch.linalg.solve(data.seen.R, -data.seen.t)[:, None, None]
        joints = origin + depth * (data.joints - origin)
        model.answer = encode(joints, hidden, white, COCO17)[:, :1]
        assert float(observed_losses(model, data.seen, COCO17)["loss_observed"]) < 1e-4  # whitened units squared
    model.answer = encode(flat_joints(hidden), hidden, white, COCO17)[:, :1]
    assert float(observed_losses(model, data.seen, COCO17)["loss_observed"]) > 0.05


def test_unseen_keypoints_do_not_count() -> None:
    seen = walking_samples().seen
    model = Denoiser(TINY)
    wrong = seen.xy.clone()
    wrong[:, :, 9] += 5.0
    losses = [
        observed_losses(
            model,
            replace(seen, xy=xy, score=seen.score * (torch.arange(17) != 9)),
            COCO17,
            torch.Generator().manual_seed(0),
        )["loss_observed"]
        for xy in (seen.xy, wrong)
    ]
    assert torch.equal(*losses)


def test_stage_1_learns_from_tracks_too_and_stage_2_refuses_them(results: Path, tmp_path: Path) -> None:
    calib = tmp_path / "cam.yaml"
    write_calibration(site(), calib)
    tracks, bank = tmp_path / "deck.safetensors", tmp_path / "bank.safetensors"
    assert prepare_tracks([results], calib, tracks) == 2
    write_bank([retarget(clip_of_walking(60), BODY)], bank)
    config = TrainConfig(bank, tmp_path / "run", 1, TINY, steps=2, batch=4, frames=8, tracks=(tracks,))
    runner = build_runner(config)
    runner.train()
    assert np.isfinite(runner.message_hub.get_scalar("train/loss_observed").current())
    with pytest.raises(ConfigError, match="stage 1"):
        build_runner(replace(config, stage=2, work_dir=tmp_path / "two"))
