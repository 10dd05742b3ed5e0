"""What a detector and a keypoint estimator promise, whichever networks stand behind them.

Images are ``(H,W,3)`` uint8 RGB; all coordinates are pixels of that image, whose top-left pixel centre is (0, 0).

A *region* says where a whole body is and how it is turned: ``(cx, cy, side, angle)``, a square of ``side`` px about
``(cx, cy)`` px, rotated by ``angle`` rad (positive turns image x towards image y), in which the body stands upright. A
backend that knows no regions gives NaN and is given boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mocap_video.skeletons import COCO17

REGION_FIELDS = 4
OUTSIDE_FACTOR = 0.2
"""What is left of the score of a keypoint outside the image, where the network can only guess."""


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _expect_unit(name: str, array: np.ndarray) -> None:
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name}: expected numbers in [0, 1], got {array[~((array >= 0) & (array <= 1))][0]}")


def check_image(rgb: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``rgb`` is a ``(H,W,3)`` uint8 image with at least one pixel."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ValueError(f"image: expected (H,W,3) uint8, got {rgb.shape} {rgb.dtype}")


def outside(xy: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Return ``(...)`` bool: which of the pixels ``xy (...,2)`` lie outside the image ``rgb``."""
    height, width = rgb.shape[:2]
    return np.any((xy < -0.5) | (xy > np.array([width, height]) - 0.5), axis=-1)


def no_regions(count: int) -> np.ndarray:
    """Return ``(count,4)`` NaN: no region known."""
    return np.full((count, REGION_FIELDS), np.nan)


@dataclass(frozen=True)
class Detections:
    """People found in one image: ``box_xyxy (N,4)`` px, ``score (N)`` in [0, 1], ``region (N,4)`` or NaN."""

    box_xyxy: np.ndarray
    score: np.ndarray
    region: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.score)
        _expect("Detections.box_xyxy", self.box_xyxy, (n, 4))
        _expect("Detections.score", self.score, (n,))
        _expect("Detections.region", self.region, (n, REGION_FIELDS))
        if not np.isfinite(self.box_xyxy).all():
            raise ValueError("Detections.box_xyxy: expected finite numbers, got NaN or infinity")
        _expect_unit("Detections.score", self.score)

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Poses:
    """Keypoints of N people in one image, COCO-17.

    ``xy (N,17,2)`` px, finite; ``score (N,17)`` in [0, 1]: how far each keypoint can be relied on; ``presence (N)`` in
    [0, 1]: that there is a person at all; ``region (N,4)``: the region that the estimator would like to be given for
    this person in the next image, NaN where it has no wish.
    """

    xy: np.ndarray
    score: np.ndarray
    presence: np.ndarray
    region: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.presence)
        _expect("Poses.xy", self.xy, (n, len(COCO17), 2))
        _expect("Poses.score", self.score, (n, len(COCO17)))
        _expect("Poses.presence", self.presence, (n,))
        _expect("Poses.region", self.region, (n, REGION_FIELDS))
        if not np.isfinite(self.xy).all():
            raise ValueError("Poses.xy: expected finite numbers, got NaN or infinity")
        _expect_unit("Poses.score", self.score)
        _expect_unit("Poses.presence", self.presence)

    def __len__(self) -> int:
        return len(self.presence)

    def select(self, rows: np.ndarray) -> Poses:
        """Return the poses of ``rows``: indices or a mask."""
        return Poses(self.xy[rows], self.score[rows], self.presence[rows], self.region[rows])

    @staticmethod
    def concatenate(parts: list[Poses]) -> Poses:
        """Return all poses of ``parts``, in order."""
        return Poses(
            np.concatenate([p.xy for p in parts]),
            np.concatenate([p.score for p in parts]),
            np.concatenate([p.presence for p in parts]),
            np.concatenate([p.region for p in parts]),
        )


class PersonDetector(Protocol):
    """Finds people in an image."""

    @property
    def size_range(self) -> tuple[float, float]:
        """Smallest and largest height of a person that is found reliably, as fractions of the image's longer side."""
        ...

    def detect(self, rgb: np.ndarray) -> Detections:
        """Return the people in ``rgb (H,W,3)`` uint8, best first."""
        ...

    def detect_all(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Return ``detect`` of each image, computed together where that is faster."""
        ...


class KeypointEstimator(Protocol):
    """Finds the keypoints of people whose place is known."""

    def estimate(self, rgb: np.ndarray, boxes: np.ndarray, regions: np.ndarray | None = None) -> Poses:
        """Return one pose per row of ``boxes (N,4)`` px xyxy in ``rgb (H,W,3)`` uint8.

        ``regions (N,4)`` come from a detector or from the ``Poses`` of an earlier image; where a row is finite, it
        takes the box's place. A box may reach outside the image.
        """
        ...


@dataclass(frozen=True)
class FrontEnd:
    """A detector with its estimator; ``name`` and the ``digests`` of their weights go into the provenance.

    ``device``: where their networks run, cpu or cuda.
    """

    name: str
    detector: PersonDetector
    estimator: KeypointEstimator
    digests: tuple[str, ...]
    device: str = "cpu"
