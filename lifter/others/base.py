"""What a method's result is once it is read, and what a reader of one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from mocap_video.errors import ConfigError

Placement = Literal["site", "camera", "own"]

OPENPOSE18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
NBA16 = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "neck", "nose", "head",
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


@dataclass(frozen=True)
class Sequence3D:
    """One person over one recording.

    ``joints (T,J,3)``, named by ``names (J)``; NaN where unknown. ``frames (T)`` of the video, and their ``time_s (T)``
    where the file tells. ``placement`` says whose axes these are: the site world's, the camera's, or the method's own.
    ``metric``: the joints are metres.
    """

    name: str
    names: tuple[str, ...]
    joints: np.ndarray
    frames: np.ndarray
    time_s: np.ndarray | None = None
    placement: Placement = "site"
    metric: bool = True

    def __post_init__(self) -> None:
        count = len(self.frames)
        if self.joints.shape != (count, len(self.names), 3) or count == 0:
            raise ValueError(f"joints: expected ({count}, {len(self.names)}, 3), got {self.joints.shape}")
        if self.time_s is not None and (self.time_s.shape != (count,) or (np.diff(self.time_s) <= 0).any()):
            raise ValueError("time_s: expected one time for each frame, increasing")

    def at_rate(self, fps: float | None) -> Sequence3D:
        """Return the sequence with times, from ``fps`` frames a second where the file has none.

        Raises ``ConfigError`` where nothing tells.
        """
        if self.time_s is not None:
            return self
        if fps is None:
            raise ConfigError(f"{self.name}: the file does not say when its frames were; give --fps")
        return replace(self, time_s=self.frames / fps)


@dataclass(frozen=True)
class ReadOptions:
    """What a user says of a result: ``trust`` allows pickles (read as plain arrays, they run nothing); ``body``: the
    SMPL or SMPL-X file whose parameters the result holds; ``person``: which track to take, by its name in the file,
    None for the longest; ``camera``: take the camera's axes where a file has both these and the method's own.
    """

    trust: bool = False
    body: Path | None = None
    person: str | None = None
    camera: bool = False


class ResultReader(Protocol):
    """Reads one published layout."""

    def recognises(self, path: Path) -> bool:
        """Say whether ``path`` is in this layout, from its name and shape alone; a pickle is never opened for it."""
        ...

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return the person. Raises ``ConfigError`` for what may not be read, ``ArtifactError`` for other files."""
        ...


def ask_trust(path: Path, options: ReadOptions) -> None:
    """Raise ``ConfigError`` unless pickles are trusted."""
    if not options.trust:
        raise ConfigError(
            f"{path}: this result is a Python pickle. It is read as plain arrays and can run nothing, but give --trust "
            "to have it opened"
        )


def choose_track(path: Path, lengths: dict[str, int], person: str | None) -> str:
    """Return the track called ``person``, the longest where None. Raises ``ConfigError`` where there is none such."""
    if not lengths:
        raise ConfigError(f"{path}: nobody is in this result")
    if person is None:
        return max(lengths, key=lambda name: lengths[name])
    if person not in lengths:
        raise ConfigError(f"{path}: no person {person!r}; it has {', '.join(lengths)}")
    return person
