"""An npz written by rows is the one that numpy writes at once."""

from __future__ import annotations

import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mocap_video.errors import StorageError
from mocap_video.pipeline.npz import open_npz

RNG = np.random.default_rng(0)
GROWING = {
    "frame": np.arange(100),
    "time_s": np.arange(100) / 30,
    "seen": RNG.random(100) > 0.5,
    "joints": RNG.normal(size=(100, 17, 3)),
}
FIXED = {"betas": np.arange(10.0), "gender": np.asarray("neutral"), "rate": np.asarray(29.97)}


def test_content_is_what_savez_writes(tmp_path: Path) -> None:
    with open_npz(tmp_path / "rows.npz") as npz:
        for first, stop in ((0, 1), (1, 60), (60, 60), (60, 100)):
            npz.append({name: array[first:stop] for name, array in GROWING.items()})
        npz.put(FIXED)
    np.savez(tmp_path / "whole.npz", allow_pickle=False, **GROWING, **FIXED)
    entries = []
    for name in ("rows.npz", "whole.npz"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            entries.append({entry: archive.read(entry) for entry in archive.namelist()})
    assert entries[0] == entries[1]  # byte for byte, headers too
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.npz", "whole.npz"]


def test_rows_of_another_shape_or_type_are_refused(tmp_path: Path) -> None:
    for rows in (np.zeros((3, 2)), np.zeros((3, 4), np.float32)):
        with pytest.raises(ValueError, match="joints: expected rows of float64"), open_npz(tmp_path / "a.npz") as npz:
            npz.append({"joints": np.zeros((2, 4))})
            npz.append({"joints": rows})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [1, 17])  # one waits in a buffer, which is flushed once more when it is closed
def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path, width: int) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))  # bytes: the kernel refuses to write more
    try:
        with pytest.raises(StorageError, match=r"a\.npz: cannot be written"), open_npz(tmp_path / "a.npz") as npz:
            for _ in range(100):
                npz.append({"joints": np.zeros((100, width)), "frame": np.arange(100)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []
