"""Training in mmengine's Runner: it runs, resumes at the very step, alone or in two processes, and exports weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model.test_data import BODY, clip_of_walking
from safetensors import safe_open
from safetensors.torch import load_file

from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.lifter.ablation import Ablation
from mocap_video.lifter.checkpoints import read_checkpoint
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.hooks import RateSchedule
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.optimizer import build_optimizer
from mocap_video.lifter.training import LifterTraining, TrainConfig, build_runner, export_weights
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
    return {name.removeprefix("module."): value.clone() for name, value in runner.model.state_dict().items()}


def forget_the_end(config: TrainConfig) -> None:
    """Leave ``config``'s run as if it had been killed after its third step."""
    (config.work_dir / "iter_6.pth").unlink()
    (config.work_dir / "last_checkpoint").write_text(str(config.work_dir / "iter_3.pth"))


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(config: TrainConfig, optimizer: str) -> None:
    config = replace(config, optimizer=optimizer)
    whole = trained(config)
    forget_the_end(config)
    assert_equal(whole, trained(config))


def test_a_run_stopped_by_the_clock_ends_where_the_uninterrupted_one_does(config: TrainConfig, tmp_path: Path) -> None:
    whole = trained(config)
    sliced = replace(config, work_dir=tmp_path / "sliced", save_every=100)
    build_runner(sliced, deadline=time.monotonic()).train()
    assert (sliced.work_dir / "iter_1.pth").is_file()
    assert_equal(whole, trained(sliced))


def test_a_resumed_run_may_be_given_another_end(config: TrainConfig) -> None:
    """Its learning rate is then the one of the new length, not of the old one."""
    trained(config)
    trained(replace(config, steps=12))
    groups = read_checkpoint(config.work_dir / "iter_12.pth")["optimizer"]["param_groups"]
    assert groups[0]["lr"] == RateSchedule(config.rate, config.warmup, 12).at(11)


def test_a_run_does_not_go_on_as_another(config: TrainConfig) -> None:
    trained(config)
    with pytest.raises(ConfigError, match=r"batch was 4 and is now 8.*save_every, start_from, steps"):
        build_runner(replace(config, batch=8, steps=9)).train()


def test_the_learning_rate_rises_and_falls() -> None:
    schedule = RateSchedule(rate=1.0, warmup=10, steps=110)
    rates = [schedule.at(step) for step in range(120)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[10] == max(rates) == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.51)
    assert rates[110] == rates[119] == pytest.approx(0.02)


def test_muon_moves_the_blocks_matrices_by_turns_and_adamw_the_rest() -> None:
    """Every singular value of Muon's step is near one, before the scale that matches AdamW's step."""
    torch.manual_seed(0)
    model = Denoiser(TINY)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(model, "muon", rate=1e-3, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    moved = {name: (value.detach() - before[name]) / 1e-3 for name, value in model.named_parameters()}
    block = moved["blocks.0.over_time.query.weight"] / (0.2 * 32**0.5)
    assert torch.linalg.svdvals(block)[:-4] == pytest.approx(torch.ones(28), abs=0.4)
    for name in ("head.weight", "view", "blocks.0.over_time.query.bias"):
        assert moved[name].abs() == pytest.approx(torch.ones_like(moved[name]), abs=1e-3), name  # Adam's first step


TWO_PROCESSES = """
import json, sys
from pathlib import Path
from safetensors.torch import save_file
from mmengine.dist import get_rank
from torch import distributed
from model.test_training import TINY, forget_the_end, trained
from mocap_video.lifter.training import TrainConfig

bank, out = map(Path, sys.argv[1:])
config = TrainConfig(bank=bank, work_dir=out / "run", stage=1, network=TINY, steps=6, warmup=2, batch=4, frames=8,
                     save_every=3, validation=bank, val_every=3, val_windows=4)
whole = trained(config)
distributed.barrier()
if get_rank() == 0:
    forget_the_end(config)
distributed.barrier()
save_file(whole, out / f"whole{get_rank()}.safetensors")
save_file(trained(config), out / f"resumed{get_rank()}.safetensors")
"""


def test_two_processes_train_one_network(config: TrainConfig, tmp_path: Path) -> None:
    """Under ``torchrun`` over Gloo: equal weights in both, other samples than one process sees, and exact resume."""
    (tmp_path / "script.py").write_text(TWO_PROCESSES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = [str(tmp_path / "script.py"), str(config.bank), str(tmp_path)]
    tests = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *arguments], env=os.environ | tests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *others = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("whole0", "whole1", "resumed0", "resumed1")
    )
    for other in others:
        assert_equal(first, other)
    alone = trained(config)
    assert any(not torch.equal(value, first[name]) for name, value in alone.items())


@pytest.mark.parametrize(("stage", "figure"), [(1, "loss"), (2, "abs_mm")])
def test_the_averaged_network_is_measured_as_it_trains(config: TrainConfig, stage: int, figure: str) -> None:
    """On held-out motion, with figures in the log and TensorBoard, the best kept, and no trace in what is learned."""
    plain = trained(replace(config, stage=stage))
    measured = replace(
        config,
        stage=stage,
        work_dir=config.work_dir.parent / "measured",
        validation=config.bank,
        val_every=2,
        val_windows=8,
        tensorboard=True,
    )
    assert_equal(plain, trained(measured))
    (scalars,) = measured.work_dir.rglob("scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    rows = {line["step"]: line for line in lines if f"exact/{figure}" in line}
    assert list(rows) == [2, 4, 6]
    assert rows[2][f"exact/{figure}"] != rows[4][f"exact/{figure}"]
    assert list(measured.work_dir.rglob("events.out.tfevents*"))
    (best,) = measured.work_dir.glob("best_*.pth")
    step = min(rows, key=lambda step: rows[step][f"detector-like/{figure}"])
    assert best.name == f"best_detector-like_{figure}_iter_{step}.pth"


def test_stage_two_starts_from_stage_one(config: TrainConfig, tmp_path: Path) -> None:
    trained(config)
    weights = tmp_path / "stage1.safetensors"
    export_weights(config.work_dir / "iter_6.pth", weights)
    second = replace(config, stage=2, start_from=weights, work_dir=tmp_path / "stage2")
    begun = build_runner(second).model.state_dict()
    for name, value in load_weights(weights).model.state_dict().items():
        assert torch.equal(begun[f"denoiser.{name}"], value), name
    trained(second)
    export_weights(second.work_dir / "iter_6.pth", tmp_path / "stage2.safetensors")
    assert load_weights(tmp_path / "stage2.safetensors").model.config == TINY
    with safe_open(tmp_path / "stage2.safetensors", "pt") as file:
        record = json.loads(file.metadata()["training"])
    assert record["stage"] == 2
    assert record["start_from"] == "stage1.safetensors"


def test_another_network_takes_the_layers_that_fit_and_refuses_to_take_hardly_any(
    config: TrainConfig, tmp_path: Path
) -> None:
    """A plain regressor begins with all layers of a denoiser but its answer's; one of another width would with none."""
    trained(config)
    weights = tmp_path / "stage1.safetensors"
    export_weights(config.work_dir / "iter_6.pth", weights)
    plain = replace(TINY, ablation=Ablation(direct=True))
    regressor = replace(config, stage=2, network=plain, start_from=weights, work_dir=tmp_path / "regressor")
    model = LifterTraining(regressor).denoiser
    given, own = load_weights(weights).model.state_dict(), model.state_dict()
    assert model.config == plain
    assert {name for name in own if name not in given or own[name].shape != given[name].shape} == {
        name for name in own if name.startswith("head.")
    }
    assert torch.equal(own["blocks.0.over_time.query.weight"], given["blocks.0.over_time.query.weight"])
    wide = replace(regressor, network=replace(TINY, width=64))
    with pytest.raises(ConfigError, match="width 32 and 1 layers"):
        LifterTraining(wide)


def test_exporting_what_was_never_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"iter_9\.pth"):
        export_weights(tmp_path / "iter_9.pth", tmp_path / "w.safetensors")
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth")
    with pytest.raises(ArtifactError, match="expected a checkpoint of the lifter's training"):
        read_checkpoint(tmp_path / "foreign.pth")
