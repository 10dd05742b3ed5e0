"""Systematic offsets of a detector's joints against the body's, and keypoints with them taken off (method 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap_video.errors import ConfigError
from mocap_video.skeletons import COCO17
from mocap_video.stretches import ByPiece
from mocap_video.types import Keypoints2D

HIPS = (COCO17.index("left_hip"), COCO17.index("right_hip"))
SHOULDERS = (COCO17.index("left_shoulder"), COCO17.index("right_shoulder"))
PAIRS = {"hips": HIPS, "shoulders": SHOULDERS}

_LARGEST = 0.5


@dataclass(frozen=True)
class BiasConfig:
    """What is taken off the keypoints before they are lifted: nothing, unless a config says so.

    ``hips`` and ``shoulders`` are detection less truth, the same for left and right: along the torso, from the hips to
    the shoulders, in shares of its length, and outwards in shares of the pair's half width. ``share`` of that goes.
    docs/benchmarks/bias.md has measured ones.
    """

    hips: tuple[float, float] = (0.0, 0.0)
    shoulders: tuple[float, float] = (0.0, 0.0)
    share: float = 1.0

    def __post_init__(self) -> None:
        for name in PAIRS:
            value = getattr(self, name)
            if not all(abs(part) <= _LARGEST for part in value):
                raise ConfigError(f"bias.{name}: expected two shares from -{_LARGEST} to {_LARGEST}, got {value}")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"bias.share: expected a number from 0 to 1, got {self.share}")

    def __bool__(self) -> bool:
        return self.share > 0 and any((*self.hips, *self.shoulders))


def pair_axes(xy: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Return ``(T,2,2,2)`` px: for both joints of ``pair``, x and y of the torso, hips to shoulders, and of the way
    from the pair's middle to the joint. In these two left and right share an offset, and it foreshortens as they do.
    """
    up = xy[:, SHOULDERS].mean(1) - xy[:, HIPS].mean(1)
    out = xy[:, pair] - xy[:, pair].mean(1, keepdims=True)
    return np.stack([np.repeat(up[:, None], 2, axis=1), out], -1)


def unbiased(keypoints: Keypoints2D, config: BiasConfig) -> Keypoints2D:
    """Return COCO-17 ``keypoints`` with the offsets of ``config`` taken off.

    A frame in which a hip or a shoulder is missing, so that nobody knows the torso, stays as it is.
    """
    xy = keypoints.xy.copy()
    for name, pair in PAIRS.items():
        offset = config.share * pair_axes(keypoints.xy, pair) @ np.array(getattr(config, name))
        xy[:, pair] -= np.nan_to_num(offset)
    return replace(keypoints, xy=xy)


@dataclass(frozen=True)
class Unbiased:
    """The keypoints of a recording as ``unbiased`` gives them, a piece at a time when asked for."""

    keypoints: ByPiece[Keypoints2D]
    config: BiasConfig

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, piece: int) -> Sequence[Keypoints2D]:
        return [unbiased(person, self.config) for person in self.keypoints[piece]]
