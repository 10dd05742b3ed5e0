"""What a source of motion gives, and what a reader of one is. ``retarget`` makes all of it motion of our body.

Readers convert at the border: +Y up (or a stated guess of it), metres where the source has them, SMPL's joint order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

COMMON_JOINTS = 22
"""SMPL's first 22 joints: the hands are left out."""


@dataclass(frozen=True)
class SourceClip:
    """One clip of joint positions in SMPL's order. ``joints (T,22,3)`` +Y up in any unit; ``exact (22)`` bool: the
    source defines the joint, not an approximation.
    """

    name: str
    source: str
    split: str
    tier: str
    flags: tuple[str, ...]
    fps: float
    joints: np.ndarray
    exact: np.ndarray = field(default_factory=lambda: np.ones(COMMON_JOINTS, dtype=bool))


@dataclass(frozen=True)
class RotationClip:
    """One clip of a body in SMPL's layout. ``rotvec (T,24,3)`` rad, each joint relative to its parent; ``root (T,3)``
    m: path of the pelvis. +Y is up if ``level``; otherwise up is found from how people stand.
    """

    name: str
    source: str
    fps: float
    rotvec: np.ndarray
    root: np.ndarray
    level: bool = True


@dataclass(frozen=True)
class KeypointClip:
    """One clip of a keypoint set: ``joints (T,J,3)`` m of ``skeleton``, +Y up. It is fitted by the body fit."""

    name: str
    source: str
    fps: float
    skeleton: str
    joints: np.ndarray


AnyClip = SourceClip | RotationClip | KeypointClip


@dataclass(frozen=True)
class Choice:
    """Which clips to take. ``split`` None: the reader's first; ``tiers``: licence tiers of the open motion set;
    ``trust`` allows pickles, which some sets are published as; they are read as arrays and run nothing.
    """

    split: str | None = None
    tiers: tuple[str, ...] = ("A",)
    trust: bool = False


class MotionReader(Protocol):
    """Reads one published layout. ``splits`` are the splits it knows by name; empty where the layout has none."""

    splits: tuple[str, ...]

    def recognises(self, folder: Path) -> bool:
        """Say whether ``folder`` is in this layout, from names and headers alone."""
        ...

    def read(self, folder: Path, choice: Choice) -> Iterator[AnyClip]:
        """Yield the chosen clips. Raises ``ConfigError`` for what may not be read, ``ArtifactError`` for bad files."""
        ...
