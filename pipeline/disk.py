"""How much room a run needs on disk, told before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mocap_video.errors import StorageError
from mocap_video.pipeline.config import RenderConfig

PEOPLE_ASSUMED = 2
"""So many people are taken to be in view all the time."""

_CACHE_B = 3400
_RECORD_B = 2160
_CSV_B = 64
"""Bytes a person and frame: of finished stages, of people/NNN.npz, of a row of people.csv."""

_BITS_PER_PIXEL = 0.09
"""Of the videos, as they come out of the encoder for real footage."""


@dataclass(frozen=True)
class DiskNeed:
    """Bytes: ``cache`` for finished stages and pieces of video, ``videos`` and ``people`` for the results."""

    cache: int
    videos: int
    people: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.cache + self.videos + self.people

    def __str__(self) -> str:
        return (
            f"disk: about {_size(self.total)} ({_size(self.people)} people, {_size(self.videos)} videos, "
            f"{_size(self.cache)} finished pieces) for {PEOPLE_ASSUMED} people in view all the time"
        )


def disk_need(frames: int, size: tuple[int, int], config: RenderConfig) -> DiskNeed:
    """Return what a run over ``frames`` pictures of ``size`` (W, H) px needs."""
    review = config.review_height_px * (config.review_height_px * size[0] / size[1] + config.review_height_px)
    pixels = size[0] * size[1] + config.topview_px**2 / 4 + review  # the top view hardly changes from frame to frame
    videos = int(frames * pixels * _BITS_PER_PIXEL / 8)
    seen = frames * PEOPLE_ASSUMED
    return DiskNeed(videos + seen * _CACHE_B, videos, seen * (_RECORD_B + _CSV_B))


def check_disk(need: DiskNeed, folder: Path) -> None:
    """Raise ``StorageError`` where less than ``need`` is free for ``folder``, which exists; what it holds counts in."""
    free = shutil.disk_usage(folder).free
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if need.total > free + held:
        raise StorageError(
            f"{folder}: expected about {_size(need.total)} for this run, got {_size(free)} free there. Free some "
            "space, choose another folder with -o, or cut the recording with --start and --end."
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
