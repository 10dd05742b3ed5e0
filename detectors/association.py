"""Which observation is which person: duplicates, costs, and the assignment."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from mocap_video.detectors.base import Poses
from mocap_video.detectors.standing import GroundFix, pose_box, pose_size
from mocap_video.skeletons import COCO17

_DUPLICATE_DISTANCE = 0.1
"""Median distance of keypoints over the pose's size under which two poses are of one person."""

_TRUNK_MARGIN = 0.05
"""By so much of the pose's size a torso reaches beyond the shoulder and hip joints."""

_PATCH = 12
_COLOUR_BINS = 4
_TORSO = [COCO17.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip")]
_TRUNK = [COCO17.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_WEIGHTS = {"ground": 0.4, "keypoints": 0.4, "box": 0.2, "colour": 0.3}
_GROUND_SCALE = 3.0
_LOST_AFTER_S = 0.25
_FAR = 6.0
_REACH = 4.0
_SAME_BOX = 0.3
_MAX_COST = 0.85


@dataclass(frozen=True)
class Observations:
    """Everything seen of N people in one image.

    ``ground`` says where they stand; ``box (N,4)`` px is about their keypoints; ``colour (N,64)`` is what
    ``torso_colour`` gives; ``may_begin (N)`` bool tells whether the observation may begin a new track.
    """

    poses: Poses
    ground: GroundFix
    box: np.ndarray
    colour: np.ndarray
    may_begin: np.ndarray

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class Expectation:
    """What one track expects to see: ``xy (17,2)`` px, ``box (4)`` px, ``size`` px, ``colour (64)``, and for how long,
    ``unseen_s`` s, it has not been seen.
    """

    xy: np.ndarray
    box: np.ndarray
    size: float
    colour: np.ndarray
    unseen_s: float


def distinct(poses: Poses) -> np.ndarray:
    """Return the indices of ``poses`` that remain when of two poses of the same person the more certain one stays."""
    order = np.argsort(-poses.presence * poses.score.mean(-1), kind="stable")
    kept: list[int] = []
    for row in order:
        if not any(same_person(poses.xy[row], poses.xy[other]) for other in kept):
            kept.append(int(row))
    return np.array(sorted(kept), int)


def same_person(xy: np.ndarray, other: np.ndarray) -> bool:
    """Return whether poses ``xy (17,2)`` and ``other (17,2)`` px lie on each other, sides exchanged or not."""
    size = 0.5 * (pose_size(xy) + pose_size(other))
    mirrored = xy[list(COCO17.flip)]
    distance = min(np.median(np.linalg.norm(pose - other, axis=-1)) for pose in (xy, mirrored))
    return bool(distance < _DUPLICATE_DISTANCE * size)


def hides(xy: np.ndarray, other: np.ndarray) -> bool:
    """Return whether the torso of one of the poses ``xy (17,2)`` and ``other (17,2)`` px has its middle on the other's.

    Two people can stand so, but then only one is seen: no second person begins there.
    """
    return _covers(xy, other) or _covers(other, xy)


def _covers(xy: np.ndarray, other: np.ndarray) -> bool:
    trunk, middle = xy[_TRUNK], other[_TRUNK].mean(0)
    margin = _TRUNK_MARGIN * float(pose_size(xy))
    return bool((middle > trunk.min(0) - margin).all() and (middle < trunk.max(0) + margin).all())


def torso_colour(rgb: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return the root ``(64)`` of the colour histogram of the torso of ``xy (17,2)`` px in ``rgb``.

    Its squares sum to 1; the dot product of two such is the Bhattacharyya coefficient.
    """
    corners = xy[_TORSO].astype(np.float32)
    patch_corners = np.array([[0, 0], [_PATCH - 1, 0], [0, _PATCH - 1]], np.float32)
    patch = cv2.warpAffine(rgb, cv2.getAffineTransform(corners, patch_corners), (_PATCH, _PATCH))
    cells = (patch.reshape(-1, 3) // (256 // _COLOUR_BINS)) @ [_COLOUR_BINS**2, _COLOUR_BINS, 1]
    return np.sqrt(np.bincount(cells, minlength=_COLOUR_BINS**3) / len(cells))


def keypoint_similarity(expected: Expectation, xy: np.ndarray, score: np.ndarray) -> float:
    """Return in [0, 1] how well ``xy (17,2)`` px with ``score (17)`` agrees with a track; laxer the longer unseen."""
    tolerance = 0.1 * expected.size * (1 + 2 * min(expected.unseen_s, 1.0))
    distance = np.linalg.norm(xy - expected.xy, axis=-1)
    return float(np.average(np.exp(-0.5 * (distance / tolerance) ** 2), weights=score + 0.05))


def box_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union ``(...)`` of boxes ``a (...,4)`` and ``b (...,4)`` px."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common
    return common / np.maximum(union, 1e-9)


def share_within(box: np.ndarray, other: np.ndarray) -> float:
    """Return the fraction of the area of ``box (4)`` px that is inside ``other (4)`` px."""
    common = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None).prod()
    return float(common / max((box[2:] - box[:2]).prod(), 1e-9))


def cost(expected: Expectation, ground_distance: float, seen: Observations, row: int) -> float:
    """Return what it costs that a track has become observation ``row``; infinite where that cannot be.

    ``ground_distance`` is the Mahalanobis distance on the ground plane.
    """
    similar = keypoint_similarity(expected, seen.poses.xy[row], seen.poses.score[row])
    overlap = float(box_overlap(expected.box, seen.box[row]))
    follows = similar > 0.15 or overlap > 0.2
    returns = expected.unseen_s > _LOST_AFTER_S and ground_distance < _REACH
    # Feet in the air meet the ground far away: a jump looks like a leap over the ground, yet the boxes overlap.
    leaps = ground_distance > _FAR * (1 + similar) and overlap < _SAME_BOX
    if leaps or not (follows or returns):
        return np.inf
    colour = 1 - float(expected.colour @ seen.colour[row])
    total = (
        _WEIGHTS["ground"] * min(ground_distance / _GROUND_SCALE, 1.0)
        + _WEIGHTS["keypoints"] * (1 - similar)
        + _WEIGHTS["box"] * (1 - overlap)
        + _WEIGHTS["colour"] * colour
    )
    return total if total < _MAX_COST * sum(_WEIGHTS.values()) else np.inf


def assign(costs: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs (row, column) of the cheapest assignment of ``costs (N,M)``; infinite costs are never taken."""
    if costs.size == 0:
        return []
    never = 1e6
    rows, columns = linear_sum_assignment(np.where(np.isfinite(costs), costs, never))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if np.isfinite(costs[r, c])]


def observe(rgb: np.ndarray, poses: Poses, ground: GroundFix, may_begin: np.ndarray) -> Observations:
    """Return the observations of ``poses`` in ``rgb``."""
    colours = [torso_colour(rgb, xy) for xy in poses.xy]
    return Observations(
        poses, ground, pose_box(poses.xy), np.array(colours).reshape(len(poses), _COLOUR_BINS**3), may_begin
    )
