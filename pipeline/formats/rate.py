"""A constant frame rate, for formats that know no time stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

_STEADY = 0.1
"""A clip keeps its own frames where each is within this share of a frame of its place: containers round to ms."""


@dataclass(frozen=True)
class SteadyFrames:
    """Frames ``first``, ``first + 1``, ... at ``rate`` Hz, frame 0 being the first of the video.

    Frame i lies ``share (N)``, 0 to 1, of the way from ``row (N)`` of the recording to the row after it. Where the
    recording is steady itself, every share is 0 and nothing is interpolated.
    """

    first: int
    rate: float
    row: np.ndarray
    share: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """Times ``(N)`` in seconds from the video's first frame."""
        return (self.first + np.arange(len(self.row))) / self.rate

    def values(self, recorded: np.ndarray) -> np.ndarray:
        """Return ``recorded (T,...)``, such as positions, at these frames ``(N,...)``, on straight lines between."""
        after = np.minimum(self.row + 1, len(recorded) - 1)
        share = self.share.reshape(-1, *[1] * (recorded.ndim - 1))
        return recorded[self.row] + share * (recorded[after] - recorded[self.row])

    def turns(self, recorded: np.ndarray) -> np.ndarray:
        """Return unit quaternions ``recorded (T,J,4)``, x y z w, at these frames ``(N,J,4)``, by the shorter way."""
        if not self.share.any():
            return recorded[self.row]
        after = np.minimum(self.row + 1, len(recorded) - 1)
        start = Rotation.from_quat(recorded[self.row].reshape(-1, 4))
        way = (start.inv() * Rotation.from_quat(recorded[after].reshape(-1, 4))).as_rotvec()
        share = np.repeat(self.share, recorded.shape[1])[:, None]
        return (start * Rotation.from_rotvec(share * way)).as_quat().reshape(-1, *recorded.shape[1:])


def steady_frames(time_s: np.ndarray, rate: float) -> SteadyFrames:
    """Return the frames at ``rate`` Hz that cover a recording at ``time_s (T)`` s, from its first to its last.

    Everyone of a clip shares one grid of times: multiples of the frame's duration from the start of the video.
    """
    place = time_s * rate
    nearest = np.rint(place).astype(np.int64)
    if (np.abs(place - nearest) < _STEADY).all() and (np.diff(nearest) == 1).all():
        return SteadyFrames(int(nearest[0]), rate, np.arange(len(time_s)), np.zeros(len(time_s)))
    first, last = int(np.ceil(place[0] - _STEADY)), int(np.floor(place[-1] + _STEADY))
    if last < first:  # seen for less than a frame
        first = last = int(nearest[0])
    wanted = np.clip(np.arange(first, last + 1), place[0], place[-1])
    row = np.clip(np.searchsorted(place, wanted, side="right") - 1, 0, max(len(place) - 2, 0))
    after = np.minimum(row + 1, len(place) - 1)
    share = (wanted - place[row]) / np.maximum(place[after] - place[row], 1e-12)
    return SteadyFrames(first, rate, row, np.clip(share, 0.0, 1.0))


def frame_s(time_s: np.ndarray, rate: float) -> float:
    """Return how long a picture at ``time_s (T)`` s stays, in seconds; by the nominal ``rate`` in Hz where T is 1."""
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1 / rate
