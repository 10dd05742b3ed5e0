"""Where people stand: from keypoints to the ground, in metres, and back to pixels.

Positions are ``(x, z)`` m on the ground of the canonical frame (calib.ground): z grows away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.calib.ground import canonical_frame
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera

STATURE_M = 1.7
_ANKLE_M = 0.10
"""Height of a standing foot's ankle joint."""

_HEAD_OF_STATURE = 0.93
_HIP_M = 0.9
_UP = np.array([0.0, 1.0, 0.0])
_USABLE_SCORE = 0.3
# Lengths in an adult of 1.7 m, between COCO joints or the middles of two: what the image shows is at most that long.
_BONES: tuple[tuple[tuple[str, ...], tuple[str, ...], float], ...] = (
    (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), 0.50),
    (("left_hip",), ("left_knee",), 0.42),
    (("right_hip",), ("right_knee",), 0.42),
    (("left_knee",), ("left_ankle",), 0.40),
    (("right_knee",), ("right_ankle",), 0.40),
    (("left_shoulder",), ("right_shoulder",), 0.34),
)
_HIPS = [COCO17.index("left_hip"), COCO17.index("right_hip")]
_ANKLES = [COCO17.index("left_ankle"), COCO17.index("right_ankle")]
_LENS_STEP_PX = 16
_SIZE_SIGMA = 0.2
"""Relative error of a distance that is judged by body size."""

_FEET_AGREE = (0.45, 1.6)
"""The feet's distance over the size's distance: outside, the feet do not stand on the ground, or are not seen."""


@dataclass(frozen=True)
class GroundFix:
    """Where N people are: ``position (N,2)`` m and ``covariance (N,2,2)`` m^2 on the ground; ``on_feet (N)`` bool: by
    the feet, otherwise by body size; ``stature (N)`` m if they stand upright there, NaN when not on the feet.
    """

    position: np.ndarray
    covariance: np.ndarray
    on_feet: np.ndarray
    stature: np.ndarray

    def select(self, rows: np.ndarray) -> GroundFix:
        """Return the places of ``rows``: indices or a mask."""
        return GroundFix(self.position[rows], self.covariance[rows], self.on_feet[rows], self.stature[rows])


@dataclass(frozen=True)
class _Rays:
    """Unit-depth rays ``joints (N,17,3)`` and two more, moved by the pixel noise, of each ankle: ``(2,N,2,3)``."""

    joints: np.ndarray
    ankles_moved: np.ndarray
    normalized: np.ndarray


class _LensTable:
    """Normalised coordinates of pixels by bilinear interpolation in a table: the exact inverse of a lens takes 10 ms.

    The table reaches half an image beyond every edge; farther pixels, and those the lens cannot show, give NaN.
    """

    def __init__(self, camera: Camera) -> None:
        width, height = camera.size
        self._start = -0.5 * np.array([width, height])
        columns, rows = (int(np.ceil(2 * side / _LENS_STEP_PX)) + 2 for side in camera.size)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1) * _LENS_STEP_PX + self._start
        self._table = geometry.normalized_from_pixels(torch.as_tensor(grid), camera).numpy()

    def normalized(self, pixels: np.ndarray) -> np.ndarray:
        """Return normalised ``(...,2)`` of ``pixels (...,2)``."""
        place = (pixels - self._start) / _LENS_STEP_PX
        cell = np.floor(place)
        rows, columns = self._table.shape[:2]
        inside = np.all((cell >= 0) & (cell < [columns - 1, rows - 1]), axis=-1)
        cell = np.where(inside[..., None], cell, 0).astype(int)
        fx, fy = np.moveaxis(place - cell, -1, 0)[..., None]
        x, y = cell[..., 0], cell[..., 1]
        top = (1 - fx) * self._table[y, x] + fx * self._table[y, x + 1]
        bottom = (1 - fx) * self._table[y + 1, x] + fx * self._table[y + 1, x + 1]
        return np.where(inside[..., None], (1 - fy) * top + fy * bottom, np.nan)


class GroundLocator:
    """Places people on the calibrated ground. Stateless; every method works on N people at once."""

    def __init__(self, calibration: Calibration) -> None:
        self._camera = calibration.camera
        self._lens = _LensTable(calibration.camera)
        frame = canonical_frame(calibration.camera, calibration.ground)
        R, t = frame.camera(calibration.camera)
        self._R, self._t = torch.as_tensor(R), torch.as_tensor(t)
        self._origin = -R.T @ t

    @property
    def image_size(self) -> tuple[int, int]:
        """``(W, H)`` px of the calibrated image."""
        return self._camera.size

    def locate(self, xy: np.ndarray, score: np.ndarray) -> GroundFix:
        """Return where the people with keypoints ``xy (N,17,2)`` px and ``score (N,17)`` are."""
        noise_px = np.maximum(0.012 * pose_size(xy), 1.5)
        rays = self._rays(xy, noise_px)
        by_size, depth = self._by_size(rays, score)
        feet, feet_cov, feet_usable = self._by_feet(rays, score)
        far = np.linalg.norm(feet, axis=-1) / np.maximum(np.linalg.norm(by_size, axis=-1), 1e-6)
        with np.errstate(invalid="ignore"):
            on_feet = feet_usable & (far > _FEET_AGREE[0]) & (far < _FEET_AGREE[1])
        along = by_size / np.maximum(np.linalg.norm(by_size, axis=-1, keepdims=True), 1e-6)
        size_cov = along[:, :, None] * along[:, None, :] * ((_SIZE_SIGMA * depth) ** 2)[:, None, None]
        size_cov = size_cov + 0.15**2 * np.eye(2)
        position = np.where(on_feet[:, None], feet, by_size)
        covariance = np.where(on_feet[:, None, None], feet_cov, size_cov)
        stature = np.where(on_feet, self._stature(rays.joints[:, :5].mean(1), position), np.nan)
        return GroundFix(position, covariance, on_feet, stature)

    def project(self, position: np.ndarray, height: float) -> np.ndarray:
        """Return the pixels ``(N,2)`` of points ``height`` m above ``position (N,2)`` m; NaN behind the camera."""
        return self._pixels(np.stack([position[:, 0], np.full(len(position), height), position[:, 1]], -1))

    def ground_under(self, pixels: np.ndarray) -> np.ndarray:
        """Return the ground positions ``(N,2)`` m seen at ``pixels (N,2)``; NaN at and above the horizon."""
        return self._meet(self._directions(self._lens.normalized(pixels)), 0.0)

    def carry(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, float]:
        """Return how a body's image moves, ``(2)`` px, and by what factor it grows, from ``start (2)`` m to ``end``."""
        points = np.array([[x, height, z] for x, z in (start, end) for height in (0.0, _HIP_M)])
        feet, hips = self._pixels(points).reshape(2, 2, 2).swapaxes(0, 1)
        lengths = np.linalg.norm(hips - feet, axis=-1)
        if not np.isfinite(lengths).all() or lengths[0] < 1:
            return np.zeros(2), 1.0
        return hips[1] - hips[0], float(np.clip(lengths[1] / lengths[0], 0.5, 2.0))

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels ``(N,2)`` of canonical ``points (N,3)`` m; NaN behind the camera."""
        normalized, depth = geometry.project_normalized(torch.as_tensor(points), self._R, self._t)
        pixels = geometry.pixels_from_normalized(normalized, self._camera).numpy()
        return np.where((depth.numpy() > geometry.NEAR_M)[:, None], pixels, np.nan)

    def _directions(self, normalized: np.ndarray) -> np.ndarray:
        return geometry.ray_directions(torch.as_tensor(normalized), self._R).numpy()

    def _rays(self, xy: np.ndarray, noise_px: np.ndarray) -> _Rays:
        ankles = xy[:, _ANKLES]
        step = noise_px[:, None]
        right, down = ankles.copy(), ankles.copy()
        right[..., 0] += step
        down[..., 1] += step
        normalized = self._lens.normalized(np.concatenate([xy, right, down], 1))
        rays = self._directions(normalized)
        joints, moved = rays[:, :17], rays[:, 17:].reshape(len(xy), 2, 2, 3).transpose(1, 0, 2, 3)
        return _Rays(joints, moved, normalized[:, :17])

    def _meet(self, directions: np.ndarray, height: float) -> np.ndarray:
        """Return ``(...,2)`` m where rays meet the plane ``height`` m over the ground; NaN where they never do."""
        points = geometry.intersect_plane(
            torch.as_tensor(np.broadcast_to(self._origin, directions.shape).copy()),
            torch.as_tensor(directions),
            torch.as_tensor(_UP),
            -height,
        )
        return points.numpy()[..., [0, 2]]

    def _by_size(self, rays: _Rays, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions ``(N,2)`` m and depths ``(N)`` m at which the second longest-looking bone has its length."""
        shown = np.stack([_bone_length(rays.normalized, score, a, b) / length for a, b, length in _BONES], -1)
        depth = 1 / np.maximum(np.sort(shown, axis=-1)[:, -2], 1e-3)
        hips = self._origin + depth[:, None] * rays.joints[:, _HIPS].mean(1)
        return hips[:, [0, 2]], depth

    def _by_feet(self, rays: _Rays, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions ``(N,2)`` m, covariances ``(N,2,2)`` m^2 and usability ``(N)`` of the lower foot."""
        hits = self._meet(rays.joints[:, _ANKLES], _ANKLE_M)
        reach = np.linalg.norm(hits, axis=-1)
        reach = np.where(np.isfinite(reach) & (score[:, _ANKLES] >= _USABLE_SCORE), reach, np.inf)
        n, lower = np.arange(len(hits)), reach.argmin(-1)
        position = hits[n, lower]
        steps = np.stack([self._meet(moved[n, lower], _ANKLE_M) - position for moved in rays.ankles_moved], -1)
        usable = np.isfinite(reach[n, lower]) & np.isfinite(steps).all((1, 2))
        steps = np.where(usable[:, None, None], steps, 0.0)
        covariance = steps @ steps.transpose(0, 2, 1) + 0.15**2 * np.eye(2)
        return np.where(usable[:, None], position, np.nan), covariance, usable

    def _stature(self, head: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return the stature ``(N)`` m of people at ``position (N,2)`` whose heads are on the rays ``head (N,3)``."""
        flat, away = head[:, [0, 2]], position - self._origin[[0, 2]]
        steepness = (flat**2).sum(-1)
        distance = (flat * away).sum(-1) / np.maximum(steepness, 1e-6)
        height = (self._origin[1] + distance * head[:, 1]) / _HEAD_OF_STATURE
        return np.where(steepness > 0.01, height, STATURE_M)  # seen from straight above, height cannot be told


def _middle(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return values[:, [COCO17.index(name) for name in names]].mean(1)


def _bone_length(xy: np.ndarray, score: np.ndarray, a: tuple[str, ...], b: tuple[str, ...]) -> np.ndarray:
    """Return ``(N)``: the length in normalised coordinates, 0 where an end is not seen or has no undistorted place."""
    length = np.linalg.norm(_middle(xy, a) - _middle(xy, b), axis=-1)
    seen = score[:, [COCO17.index(name) for name in a + b]].min(-1) >= _USABLE_SCORE
    return np.where(seen & np.isfinite(length), length, 0.0)


def pose_size(xy: np.ndarray) -> np.ndarray:
    """Return the longer side ``(...)`` px of the box about the keypoints ``xy (...,17,2)``."""
    return (xy.max(-2) - xy.min(-2)).max(-1)


def pose_box(xy: np.ndarray) -> np.ndarray:
    """Return boxes ``(...,4)`` px xyxy about keypoints ``xy (...,17,2)``, widened to hold head, hands and feet."""
    low, high = xy.min(-2), xy.max(-2)
    margin = 0.06 * (high - low).max(-1, keepdims=True)
    return np.concatenate([low - margin, high + margin], -1)
