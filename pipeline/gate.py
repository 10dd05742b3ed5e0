"""The motion gate: when nothing moves before the camera, nobody need be looked for.

It looks a few times a second at the pictures' small luma and compares each with the one before and with a background
that follows slowly. It would rather see motion where there is none: a change of light counts as motion, every piece
begins awake, and who is followed stays followed however still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.errors import ConfigError
from mocap_video.types import StoredFrame

_NOISE_FACTOR = 8.0
_LEAST_STEP = 8.0
"""Grey levels that a pixel must differ by at least; more where the picture is noisy."""

_LEAST_BLOB_PX = 4
"""A moving thing covers at least so many pixels of the small picture."""

_BACKGROUND_S = 10.0


@dataclass(frozen=True)
class MotionGateConfig:
    """``on``: whether empty stretches are skipped. ``rate_hz``: how often it looks. ``width_px`` of the small picture.
    ``hold_s``: so long after the last motion it stays awake; ``ahead_s``: so long before the first it is awake.
    """

    on: bool = False
    rate_hz: float = 5.0
    width_px: int = 480
    hold_s: float = 4.0
    ahead_s: float = 2.0

    def __post_init__(self) -> None:
        if not (self.rate_hz > 0 and self.hold_s > 0 and self.ahead_s >= 0 and self.width_px >= 32):
            raise ConfigError(
                "gate: expected a positive rate_hz and hold_s, an ahead_s of at least 0 and a width_px of at least 32, "
                f"got {self.rate_hz:g}, {self.hold_s:g}, {self.ahead_s:g} and {self.width_px}"
            )


@dataclass(frozen=True)
class Motion:
    """When something moved in one piece: ``time_s (M)`` s, its beginning always among them."""

    time_s: np.ndarray


class MotionWatch:
    """Says of one picture after another whether something moves in it."""

    def __init__(self, config: MotionGateConfig) -> None:
        self._config = config
        self._last_s = -np.inf
        self._before: np.ndarray | None = None
        self._background = np.zeros(0)

    def moves(self, frame: StoredFrame) -> bool | None:
        """Return whether something moves; None where the picture before is too recent to look. The first one moves."""
        if frame.time_s - self._last_s < 0.99 / self._config.rate_hz:
            return None
        small = self._small(frame.picture.planes[0])
        before, since_s = self._before, frame.time_s - self._last_s
        self._before, self._last_s = small, frame.time_s
        if before is None:
            self._background = small.copy()
            return True
        step = cv2.absdiff(small, before)
        threshold = max(_LEAST_STEP, _NOISE_FACTOR * float(np.median(step)))
        moving = np.maximum(step, cv2.absdiff(small, self._background)) > threshold
        share = 1 - np.exp(-since_s / _BACKGROUND_S)
        self._background = (1 - share) * self._background + share * small
        _, _, blobs, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8))
        return bool((blobs[1:, cv2.CC_STAT_AREA] >= _LEAST_BLOB_PX).any())

    def _small(self, luma: np.ndarray) -> np.ndarray:
        scale = min(1.0, self._config.width_px / luma.shape[1])
        small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(small.astype(np.float64), (3, 3), 0)


def watch(frames: Iterable[StoredFrame], config: MotionGateConfig) -> Motion:
    """Return when something moves in ``frames``."""
    gate = MotionWatch(config)
    return Motion(np.array([frame.time_s for frame in frames if gate.moves(frame)]))


def awake(motions: Sequence[Motion], time_s: float, config: MotionGateConfig) -> bool:
    """Return whether ``time_s`` is near a motion of ``motions``: those of a piece and its neighbours."""
    return any(
        bool(((motion.time_s > time_s - config.hold_s) & (motion.time_s < time_s + config.ahead_s)).any())
        for motion in motions
    )
