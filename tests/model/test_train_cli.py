"""Training as a user runs it: prepare, pretrain, finetune."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from model.test_data import BODY, clip_of_walking
from safetensors.torch import load_file

from mocap_video.errors import ConfigError
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.retarget import retarget
from mocap_video.lifter.weights import load_weights
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.training import configured, training_names

TINY = """
stage = {stage}
network = dict(joints=17, width=32, layers=1, heads=2, feed_forward=32)
steps = 2
warmup = 1
batch = 2
frames = 8
"""


def test_two_stages_from_the_command_line(tmp_path: Path) -> None:
    bank = tmp_path / "bank.safetensors"
    write_bank([retarget(clip_of_walking(40), BODY)], bank)
    for stage in (1, 2):
        (tmp_path / f"stage{stage}.py").write_text(TINY.format(stage=stage))
    shell = CliRunner()
    common = ["--bank", str(bank), "--config"]
    first = shell.invoke(main, ["train", "pretrain", *common, str(tmp_path / "stage1.py"), "-o", str(tmp_path / "one")])
    assert first.exit_code == 0, first.output
    start = str(tmp_path / "one" / "weights.safetensors")
    second = shell.invoke(
        main,
        ["train", "finetune", *common, str(tmp_path / "stage2.py"), "--start-from", start, "-o", str(tmp_path / "two")],
    )
    assert second.exit_code == 0, second.output
    assert load_weights(tmp_path / "two" / "weights.safetensors").model.config.width == 32


def test_one_command_goes_from_motion_to_weights_and_on_from_where_it_was_stopped(tmp_path: Path) -> None:
    clip = clip_of_walking(60)
    arrays = {"j": clip.joints - clip.joints[:, :1], "jroot": clip.joints[:, 0], "exact": clip.exact}
    motions = tmp_path / "motions"
    motions.mkdir()
    np.savez(motions / "shard.npz", allow_pickle=False, **{f"walk|{name}": value for name, value in arrays.items()})
    lines = [
        "clip,source,tier,split,shard,qc_flags",
        *(f"walk,made,A,{split},shard.npz," for split in ("train", "val")),
    ]
    (motions / "manifest.csv").write_text("\n".join(lines))
    for stage in (1, 2):
        (tmp_path / f"stage{stage}.py").write_text(TINY.format(stage=stage) + "val_windows = 4\n")
    configs = ["--pretrain", str(tmp_path / "stage1.py"), "--finetune", str(tmp_path / "stage2.py")]
    command = ["train", "all", str(motions), "-o", str(tmp_path / "runs"), *configs]
    first = CliRunner().invoke(main, command)
    assert first.exit_code == 0, first.output
    weights = tmp_path / "runs" / "weights.safetensors"
    written, prepared = load_file(weights), (tmp_path / "runs/prepared/train.safetensors").stat().st_mtime_ns
    weights.unlink()
    assert CliRunner().invoke(main, command).exit_code == 0
    for name, value in load_file(weights).items():
        assert torch.equal(value, written[name]), name
    assert (tmp_path / "runs/prepared/train.safetensors").stat().st_mtime_ns == prepared
    best = tmp_path / "best.safetensors"
    again = CliRunner().invoke(main, ["train", "export", str(tmp_path / "runs/stage2"), "--best", "-o", str(best)])
    assert again.exit_code == 0, again.output
    assert load_weights(best).model.config.width == 32


def test_the_shipped_training_configurations_are_listed() -> None:
    assert {"coco17_pretrain", "coco17_finetune", "paper_finetune"} <= set(training_names())


@pytest.mark.parametrize(
    ("text", "message"),
    [("stage = 3\n", "expected 1 or 2"), ("stage = 1\nstpes = 5\n", "did you mean 'steps'"), ("steps = 5\n", "stage")],
)
def test_training_configurations_with_faults_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        configured(str(tmp_path / "bad.py"), tmp_path / "bank", tmp_path / "run")


def test_an_unknown_training_configuration_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coco17_finetune"):
        configured("nope", tmp_path / "bank", tmp_path / "run")
