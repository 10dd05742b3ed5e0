"""Reader of the open motion set: a manifest, shards of joint positions, and skeleton names.

The joints of every source lie in SMPL's order but follow each rig's own proportions and definitions. Frames: +Y up,
metres, the floor near y = 0, 30 frames a second.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mocap_video.errors import ConfigError
from mocap_video.lifter.data.sources import Choice, SourceClip
from mocap_video.registry import MOTION_READERS


@MOTION_READERS.register_module("motions")
class OpenMotions:
    """The open motion set: ``manifest.csv`` beside its shards."""

    splits = ("train", "val", "test", "extra")

    def recognises(self, folder: Path) -> bool:
        """Say whether a manifest lies in ``folder``."""
        return (folder / "manifest.csv").is_file()

    def read(self, folder: Path, choice: Choice) -> Iterator[SourceClip]:
        """Yield the clips of the chosen split and tiers."""
        for clip in read_motions(folder, choice.split or self.splits[0]):
            if clip.tier in choice.tiers:
                yield clip


def read_motions(folder: Path, split: str) -> Iterator[SourceClip]:
    """Yield the clips of ``split`` (train, val, test, extra) of the motion set in ``folder``.

    Raises ``ConfigError`` when the folder holds no manifest.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise ConfigError(f"{manifest}: no manifest; expected the folder of the open motion set")
    shards: dict[str, np.lib.npyio.NpzFile] = {}
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] != split:
                continue
            shard = shards.get(row["shard"])
            if shard is None:
                shard = shards[row["shard"]] = np.load(folder / row["shard"], allow_pickle=False)
            yield _clip(row, shard)
    for shard in shards.values():
        shard.close()


def _clip(row: dict[str, str], shard: np.lib.npyio.NpzFile) -> SourceClip:
    name = row["clip"]
    joints = shard[f"{name}|j"].astype(np.float32) + shard[f"{name}|jroot"].astype(np.float32)[:, None]
    return SourceClip(
        name=name,
        source=row["source"],
        split=row["split"],
        tier=row["tier"],
        flags=tuple(flag for flag in row["qc_flags"].split(";") if flag),
        fps=30.0,
        joints=joints,
        exact=shard[f"{name}|exact"].astype(bool),
    )
