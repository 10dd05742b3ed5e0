"""What a run needs on disk is told and held against what is there."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from mocap_video.errors import StorageError
from mocap_video.pipeline.config import RenderConfig
from mocap_video.pipeline.disk import DiskNeed, check_disk, disk_need

Usage = namedtuple("Usage", "total used free")


def test_an_hour_needs_an_hour_of_everything() -> None:
    minute, hour = (disk_need(frames, (1920, 1080), RenderConfig()) for frames in (1800, 108_000))
    assert hour.total == pytest.approx(60 * minute.total, rel=1e-6)
    assert 1e9 < hour.total < 3e10  # bytes
    assert str(hour).startswith("disk: about ")
    assert "GB" in str(hour)


def test_too_little_room_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 2 * 10**9))
    check_disk(DiskNeed(10**9, 5 * 10**8, 10**8), tmp_path)
    with pytest.raises(StorageError, match=r"expected about 4.0 GB .* got 2.0 GB free") as caught:
        check_disk(DiskNeed(2 * 10**9, 10**9, 10**9), tmp_path)
    assert caught.value.exit_code == 4


def test_what_an_earlier_run_left_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 500))
    (tmp_path / "overlay.mp4").write_bytes(bytes(2000))
    check_disk(DiskNeed(1000, 1000, 100), tmp_path)
    with pytest.raises(StorageError):
        check_disk(DiskNeed(1000, 2000, 100), tmp_path)
