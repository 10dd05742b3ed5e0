"""A seeded share of tools/fuzz.py: damaged files are read, or refused by a named error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_end_in_named_errors() -> None:
    command = [sys.executable, str(TOOL), "--check", "--cases", "360", "--clips", "10", "--runs", "1", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = {line.partition(" {")[0]: sum(map(int, re.findall(r": (\d+)", line))) for line in done.stdout.splitlines()}
    assert counts == {
        "cam.yaml": 60, "site.yaml": 60, "lift npz": 60, "people npz": 60, "store entry": 60, "manifest": 60,
        "clip": 10, "run": 1,
    }  # fmt: skip
