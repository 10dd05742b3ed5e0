"""The spread head: kept with the weights, told by the lift, and right about what is uncertain."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from model.lifter_samples import walking_samples
from model.test_data import BODY, clip_of_walking
from model.test_lifter_network import TINY

from mocap_video.lifter.data.bank import bank_of
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.spread import SpreadHead, SpreadTraining, expected_error, train_spread
from mocap_video.lifter.views import build_scene
from mocap_video.lifter.weights import load_weights, save_weights, shipped_weights
from mocap_video.skeletons import COCO17


def test_a_head_comes_back_with_its_weights_and_weights_without_one_say_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, head = Denoiser(TINY), SpreadHead(TINY)
    save_weights(model, COCO17, tmp_path / "with.safetensors", {"budget": "none"}, head)
    save_weights(model, COCO17, tmp_path / "without.safetensors", {})
    loaded = load_weights(tmp_path / "with.safetensors")
    assert loaded.spread is not None
    assert loaded.notes == {"budget": "none"}
    for name, value in head.state_dict().items():
        assert torch.allclose(loaded.spread.state_dict()[name], value, atol=1e-3)
    assert load_weights(tmp_path / "without.safetensors").spread is None


def test_expected_errors_are_positive_metres_for_every_joint() -> None:
    torch.manual_seed(0)
    model, head = Denoiser(TINY).eval(), SpreadHead(TINY).eval()
    scene = build_scene(walking_samples(3).seen, COCO17)
    error = expected_error(model, head, scene, COCO17)
    assert error.shape == scene.seen.score.shape
    assert bool(((error > 0.002) & (error < 8.0)).all())


def test_the_shipped_head_expects_more_of_what_is_less_seen() -> None:
    lifter = load_weights(shipped_weights())
    assert lifter.spread is not None
    seen = walking_samples(8).seen
    blurred = seen.score.clone()
    blurred[:, :, 13:] = 0.0  # knees and ankles out of sight: the distance is open
    hidden = dataclasses.replace(seen, score=blurred)
    sure, unsure = (
        expected_error(lifter.model, lifter.spread, build_scene(view, COCO17), COCO17).mean() for view in (seen, hidden)
    )
    assert float(unsure) > 1.2 * float(sure)


def test_training_the_head_leaves_the_network_alone_and_learns_the_size_of_its_errors() -> None:
    torch.manual_seed(0)
    model = Denoiser(TINY).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = SpreadTraining(windows=16, frames=8, batch=8, steps=60, rate=5e-3)
    head = train_spread(model, COCO17, bank_of([retarget(clip_of_walking(60), BODY)]), BODY, config)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    scene = build_scene(walking_samples(4).seen, COCO17)
    assert 0.02 < float(expected_error(model, head, scene, COCO17).mean()) < 2.0
