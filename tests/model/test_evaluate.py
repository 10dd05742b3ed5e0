"""``eval``: held-out motion through the product's own lifting and fitting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from realdata import motion_folder

from mocap_video.pipeline.cli import main


def test_eval_prints_absolute_errors_first_and_writes_every_metric(tmp_path: Path) -> None:
    arguments = ["eval", str(motion_folder()), "--cameras", "site", "--2d", "exact", "--limit", "2", "--fit"]
    arguments += ["--baselines", "--shapes", "random", "--height"]
    done = CliRunner().invoke(main, [*arguments, "--json", str(tmp_path / "eval.json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Abs-MPJPE" in done.output
    rows = {row["method"]: row for row in json.loads((tmp_path / "eval.json").read_text())}
    assert set(rows) == {"flat", "SMPLify from 2D", "lifter", "lifter + fit", "lifter + fit, height known"}
    assert all(np.isfinite(row["abs_mpjpe_mm"]) for row in rows.values())
    assert rows["lifter + fit"]["abs_mpjpe_mm"] < rows["flat"]["abs_mpjpe_mm"]  # mm
    assert rows["lifter + fit"]["jitter_10m_s3"] < rows["lifter"]["jitter_10m_s3"]


@pytest.mark.parametrize("split", ["train", "all"])
def test_eval_measures_held_out_splits_alone(split: str) -> None:
    done = CliRunner().invoke(main, ["eval", "motions", "--split", split])
    assert done.exit_code == 2
    assert split in done.output
