"""Training in mmengine's Runner: it runs, resumes at the very step, and exports weights that load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model.test_data import BODY, clip_of_walking

from mocap_video.errors import MissingAsset
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.network import NetworkConfig
from mocap_video.lifter.training import TrainConfig, build_runner, export_weights
from mocap_video.lifter.weights import load_weights

TINY = NetworkConfig(width=32, layers=1, heads=2, feed_forward=32)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    bank = tmp_path / "bank.safetensors"
    write_bank([retarget(clip_of_walking(60), BODY)], bank)
    return TrainConfig(
        bank=bank, work_dir=tmp_path / "one", stage=1, network=TINY, steps=6, warmup=2, batch=4, frames=8, save_every=3
    )


def trained(config: TrainConfig) -> dict[str, torch.Tensor]:
    runner = build_runner(config)
    runner.train()
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(config: TrainConfig, tmp_path: Path) -> None:
    whole = trained(config)
    broken = replace(config, work_dir=tmp_path / "two")
    trained(broken)
    (broken.work_dir / "iter_6.pth").unlink()
    (broken.work_dir / "last_checkpoint").write_text(str(broken.work_dir / "iter_3.pth"))
    resumed = trained(broken)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_stage_two_starts_from_stage_one(config: TrainConfig, tmp_path: Path) -> None:
    trained(config)
    weights = tmp_path / "stage1.safetensors"
    export_weights(config, config.work_dir / "iter_6.pth", weights, {"budget": "6 steps"})
    second = replace(config, stage=2, start_from=weights, work_dir=tmp_path / "stage2")
    begun = build_runner(second).model.state_dict()
    for name, value in load_weights(weights).model.state_dict().items():
        assert torch.equal(begun[f"denoiser.{name}"], value), name
    trained(second)
    export_weights(second, second.work_dir / "iter_6.pth", tmp_path / "stage2.safetensors", {})
    assert load_weights(tmp_path / "stage2.safetensors").model.config == TINY


def test_exporting_what_was_never_trained_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"iter_9\.pth"):
        export_weights(config, tmp_path / "iter_9.pth", tmp_path / "w.safetensors", {})
