"""Reader of the open motion set: a manifest, shards of joint positions, and skeleton names.

The joints of every source lie in SMPL's order but follow each rig's own proportions and definitions; ``retarget`` makes
them motion of our body. Frames: +Y up, metres, the floor near y = 0, 30 frames a second.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.errors import ConfigError

COMMON_JOINTS = 22
"""SMPL's first 22 joints: the hands are left out."""


@dataclass(frozen=True)
class SourceClip:
    """One clip. ``joints (T,22,3)`` m; ``exact (22)`` bool: the source defines the joint, not an approximation."""

    name: str
    source: str
    split: str
    tier: str
    flags: tuple[str, ...]
    fps: float
    joints: np.ndarray
    exact: np.ndarray


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
