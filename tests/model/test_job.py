"""A packed job: two slices are one uninterrupted run, from shards alone, with the packed code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from model.test_data import BODY, clip_of_walking
from safetensors.torch import load_file

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.data.bank import write_bank
from mocap_video.lifter.data.retarget import retarget
from mocap_video.pipeline.job import pack, requirements, run_slice
from mocap_video.pipeline.shards import MANIFEST, join_files, split_files

TINY = """
network = dict(joints=17, width=32, layers=1, heads=2, feed_forward=32)
steps = 3
warmup = 1
batch = 4
frames = 8
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    write_bank([retarget(clip_of_walking(60), BODY)], folder / "bank.safetensors")
    for stage in (1, 2):
        (folder / f"{stage}.py").write_text(f"stage = {stage}{TINY}")
    packed = folder / "packed"
    pack(packed, folder / "bank.safetensors", pretrain=str(folder / "1.py"), finetune=str(folder / "2.py"))
    return packed


def test_slices_end_where_one_uninterrupted_run_does(job: Path, tmp_path: Path) -> None:
    whole, sliced = tmp_path / "whole", tmp_path / "sliced"
    for folder in (whole, sliced):
        shutil.copytree(job, folder)
    assert run_slice(whole, 3600.0)
    shards, count = tmp_path / "shards", 0
    while not run_slice(sliced, 0.0, shards):  # a step a slice, each on a machine that knows the shards alone
        shutil.rmtree(sliced / "runs")
        count += 1
    assert count >= 4
    one, other = (load_file(folder / "runs" / "stage2" / "weights.safetensors") for folder in (whole, sliced))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert (value == other[name]).all(), name


def test_the_packed_code_runs_by_itself(job: Path) -> None:
    code = "import mocap_video.pipeline.job as job, mocap_video.lifter.training as t; print(job.__file__, t.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(job / "code"), "PATH": ""}, cwd=job, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert all(str(job / "code") in path for path in done.stdout.split())
    assert not list((job / "code").rglob("*.tflite"))
    assert (job / "run.sh").stat().st_mode & 0o100


def test_what_is_needed_is_pinned_without_local_parts() -> None:
    names = dict(line.split("==") for line in requirements())
    assert {"torch", "numpy", "mmengine", "click", "scipy"} <= set(names)
    assert "+" not in "".join(names.values())


def test_files_come_back_from_pieces_and_a_changed_piece_is_refused(tmp_path: Path) -> None:
    root, shards = tmp_path / "root", tmp_path / "shards"
    (root / "a").mkdir(parents=True)
    (root / "a" / "big").write_bytes(bytes(range(256)) * 10)
    (root / "small").write_bytes(b"x")
    pieces = split_files(root, [root / "a" / "big", root / "small"], shards, limit=100)
    assert len(pieces) == 27
    assert max(piece.stat().st_size for piece in pieces) <= 100
    assert max(len(list(folder.iterdir())) for folder in shards.glob("0*")) == 8
    join_files(shards, tmp_path / "again")
    assert (tmp_path / "again" / "a" / "big").read_bytes() == (root / "a" / "big").read_bytes()
    pieces[3].write_bytes(b"other")
    with pytest.raises(ArtifactError, match="a/big is not what was cut"):
        join_files(shards, tmp_path / "third")
    assert not (tmp_path / "third" / "a" / "big").exists()
    (shards / MANIFEST).write_text(json.dumps([{"file": "../../out", "pieces": [], "sha256": ""}]))
    with pytest.raises(ArtifactError, match="leads out"):
        join_files(shards, tmp_path / "third")


def test_a_job_is_packed_into_an_empty_folder(job: Path) -> None:
    with pytest.raises(ConfigError, match="empty folder"):
        pack(job, job / "bank.safetensors")
