"""Prepared motion: every clip of our body in one memory-mapped file, and windows of it drawn in batches.

The file is safetensors, so its arrays lie in it as they are in memory, and only the frames that are drawn are read:
docs/data.md.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from mocap_video.artifacts import atomic_write
from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter.data.retarget import BANK_FPS, BodyMotion

BANK_FORMAT = "motion bank 2 of mocap-video"

_IDLE_WEIGHT = 0.15
_CLIMBING_WEIGHT = 0.4
_LOW_MOTION_WEIGHT = 0.05


@dataclass(frozen=True)
class Windows:
    """Windows of motion of our body. ``rotvec (B,T,24,3)`` rad; ``path (B,T,2)`` in leg lengths, from the window's
    middle; ``clearance (B,T)`` m; ``contact (B,T,2)`` bool: left, right sole; ``time_s (B,T)`` from the window's start;
    ``valid (B,T)`` bool, False past the end.
    """

    rotvec: Tensor
    path: Tensor
    clearance: Tensor
    contact: Tensor
    time_s: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> Windows:
        """Return the windows on ``device``."""
        return Windows(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class MotionBank:
    """All clips one after another, memory-mapped: ``rotvec (N,24,3)``, ``path (N,2)``, ``clearance (N)``,
    ``contact (N,2)``; in memory: ``start (C)``, ``length (C)`` and sampling ``weight (C)`` per clip.
    """

    rotvec: np.ndarray
    path: np.ndarray
    clearance: np.ndarray
    contact: np.ndarray
    start: Tensor
    length: Tensor
    weight: Tensor

    def windows(self, clip: Tensor, first: Tensor, stride: Tensor, frames: int, speed: Tensor) -> Windows:
        """Cut windows of ``frames`` frames: ``clip``, ``first`` frame, ``stride`` and ``speed`` are ``(B)``."""
        offset = first[:, None] + stride[:, None] * torch.arange(frames)
        valid = offset < self.length[clip][:, None]
        index = (self.start[clip][:, None] + torch.minimum(offset, self.length[clip][:, None] - 1)).numpy()
        rotvec, path, clearance = (
            torch.from_numpy(array[index].astype(np.float32)) for array in (self.rotvec, self.path, self.clearance)
        )
        step = stride[:, None] / BANK_FPS / speed[:, None]
        return Windows(
            rotvec=rotvec,
            path=path - path[:, frames // 2, None],
            clearance=clearance,
            contact=torch.from_numpy(self.contact[index].astype(bool)),
            time_s=step * torch.arange(frames),
            valid=valid,
        )

    def draw(self, count: int, frames: int, generator: torch.Generator | None = None) -> Windows:
        """Draw ``count`` windows of ``frames`` frames at random: clip, place, frame rate of 10 to 30, speed."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        clip = torch.multinomial(self.weight, count, replacement=True, generator=generator)
        stride = torch.tensor([1, 1, 2, 2, 3])[uniform(0, 5).long().clamp_max(4)]
        room = (self.length[clip] - frames * stride).clamp_min(0) + 1
        first = (uniform(0, 1) * room).long().clamp_max(room - 1)
        return self.windows(clip, first, stride, frames, uniform(0.8, 1.25))


def clip_weight(motion: BodyMotion) -> float:
    """Sampling weight of a clip: its length in seconds, less for idling and for clips that leave the floor."""
    weight = len(motion.clearance) / motion.fps
    if "low_motion" in motion.flags:
        return weight * _LOW_MOTION_WEIGHT
    if motion.source == "reactidle":
        return weight * _IDLE_WEIGHT
    return weight * (_CLIMBING_WEIGHT if "climbing_not_on_floor" in motion.flags else 1.0)


def bank_of(motions: Sequence[BodyMotion]) -> MotionBank:
    """Return a bank of ``motions`` in memory, in the precision of the file."""
    length = torch.tensor([len(motion.clearance) for motion in motions])
    return MotionBank(
        rotvec=np.concatenate([motion.rotvec for motion in motions]).astype(np.float16),
        path=np.concatenate([motion.path for motion in motions]).astype(np.float32),
        clearance=np.concatenate([motion.clearance for motion in motions]).astype(np.float16),
        contact=np.concatenate([motion.contact for motion in motions]).astype(np.uint8),
        start=length.cumsum(0) - length,
        length=length,
        weight=torch.tensor([clip_weight(motion) for motion in motions]),
    )


def write_bank(motions: Iterable[BodyMotion], path: Path) -> int:
    """Write ``motions`` as one prepared file and return how many there were.

    Half precision where a millimetre does not suffer.
    """
    kept = list(motions)
    if not kept:
        return 0
    arrays = {name: np.asarray(value) for name, value in vars(bank_of(kept)).items()}
    clips = [{"name": motion.name, "source": motion.source} for motion in kept]
    with atomic_write(path) as partial:
        save_file(arrays, partial, metadata={"format": BANK_FORMAT, "clips": json.dumps(clips)})
    return len(kept)


def read_bank(path: Path) -> MotionBank:
    """Map a prepared file into memory. Raises ``MissingAsset`` or ``ArtifactError``."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no prepared motion; make it with: mocap-video train prepare MOTIONS -o {path}")
    arrays = map_arrays(path, BANK_FORMAT)
    try:
        start, length, weight = (torch.from_numpy(np.array(arrays[name])) for name in ("start", "length", "weight"))
        return MotionBank(
            rotvec=arrays["rotvec"],
            path=arrays["path"],
            clearance=arrays["clearance"],
            contact=arrays["contact"],
            start=start,
            length=length,
            weight=weight,
        )
    except KeyError as error:
        raise ArtifactError(f"{path}: expected a prepared motion bank ({error})") from error


def map_arrays(path: Path, expected: str) -> dict[str, np.ndarray]:
    """Map the arrays of a safetensors file whose header says it is of the format ``expected``, else ``ArtifactError``.

    A safetensors file is the length of a JSON header (8 bytes, little-endian), the header, and the arrays.
    """
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(size))
        stated = header.pop("__metadata__", {}).get("format")
        if stated != expected:
            raise ArtifactError(f"{path}: expected a {expected}, got {stated or 'another file'}; prepare it again")
        kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "|u1"}
        return {
            name: np.memmap(
                path, kinds[entry["dtype"]], "r", 8 + size + entry["data_offsets"][0], tuple(entry["shape"])
            )
            for name, entry in header.items()
        }
    except (ValueError, KeyError, TypeError, OSError, MemoryError, struct.error) as error:
        raise ArtifactError(f"{path}: expected a {expected} ({error}); prepare it again") from error
