"""Prepared motion: every clip of our body in one file, and windows of it drawn in batches on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter.data.retarget import BodyMotion

BANK_FPS = 30.0

_IDLE_WEIGHT = 0.15
_CLIMBING_WEIGHT = 0.4
_LOW_MOTION_WEIGHT = 0.05


@dataclass(frozen=True)
class Windows:
    """Windows of motion of our body. ``rotvec (B,T,24,3)`` rad; ``path (B,T,2)`` in leg lengths, from the window's
    middle; ``clearance (B,T)`` m; ``time_s (B,T)`` from the window's start; ``valid (B,T)`` bool, False past the end.
    """

    rotvec: Tensor
    path: Tensor
    clearance: Tensor
    time_s: Tensor
    valid: Tensor


@dataclass(frozen=True)
class MotionBank:
    """All clips one after another: ``rotvec (N,24,3)``, ``path (N,2)``, ``clearance (N)``; ``start (C)``,
    ``length (C)`` and sampling ``weight (C)`` per clip.
    """

    rotvec: Tensor
    path: Tensor
    clearance: Tensor
    start: Tensor
    length: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> MotionBank:
        """Return the bank on ``device``."""
        return MotionBank(*(value.to(device) for value in vars(self).values()))

    def windows(self, clip: Tensor, first: Tensor, stride: Tensor, frames: int, speed: Tensor) -> Windows:
        """Cut windows of ``frames`` frames: ``clip``, ``first`` frame, ``stride`` and ``speed`` are ``(B)``."""
        offset = first[:, None] + stride[:, None] * torch.arange(frames, device=first.device)
        valid = offset < self.length[clip][:, None]
        index = self.start[clip][:, None] + torch.minimum(offset, self.length[clip][:, None] - 1)
        path = self.path[index]
        middle = path[:, frames // 2, None]
        step = stride[:, None] / BANK_FPS / speed[:, None]
        time_s = step * torch.arange(frames, device=first.device)
        return Windows(self.rotvec[index].float(), path - middle, self.clearance[index].float(), time_s, valid)

    def draw(self, count: int, frames: int, generator: torch.Generator | None = None) -> Windows:
        """Draw ``count`` windows of ``frames`` frames at random: clip, place, frame rate of 10 to 30, speed."""
        device = self.rotvec.device

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator, device=device)

        clip = torch.multinomial(self.weight, count, replacement=True, generator=generator)
        stride = torch.tensor([1, 1, 2, 2, 3], device=device)[uniform(0, 5).long().clamp_max(4)]
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


def write_bank(motions: Sequence[BodyMotion], path: Path) -> None:
    """Write ``motions`` as one prepared file: safetensors, half precision where a millimetre does not suffer."""
    length = np.array([len(motion.clearance) for motion in motions], dtype=np.int64)
    arrays = {
        "rotvec": np.concatenate([motion.rotvec for motion in motions]).astype(np.float16),
        "path": np.concatenate([motion.path for motion in motions]).astype(np.float32),
        "clearance": np.concatenate([motion.clearance for motion in motions]).astype(np.float16),
        "start": np.concatenate([[0], np.cumsum(length)[:-1]]).astype(np.int64),
        "length": length,
        "weight": np.array([clip_weight(motion) for motion in motions], dtype=np.float32),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path)


def read_bank(path: Path) -> MotionBank:
    """Read a prepared file. Raises ``MissingAsset`` or ``ArtifactError``."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no prepared motion; make it with: mocap-video train prepare MOTIONS -o {path}")
    arrays = load_file(path)
    try:
        return MotionBank(
            **{
                name: torch.from_numpy(arrays[name])
                for name in ("rotvec", "path", "clearance", "start", "length", "weight")
            }
        )
    except KeyError as error:
        raise ArtifactError(f"{path}: expected a prepared motion bank, lacks {error}") from error
