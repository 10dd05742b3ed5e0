"""BlazePose's pre- and post-processing in numpy: anchors, regions, crops, heatmap refinement, COCO-17, confidence.

Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020. The networks measure in crop coordinates
that run from 0 at the crop's left edge to its side at the right edge, so crop pixel k has its centre at k + 0.5; a
mirrored image gives the mirrored pose to 0.02 crop px under that convention alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.skeletons import COCO17

DETECTOR_SIDE = 224
LANDMARK_SIDE = 256
HEATMAP_SIDE = 64
LANDMARKS = 39
COCO17_FROM_BLAZEPOSE = np.array([0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
BODY_CENTRE, BODY_EDGE = 33, 34
"""Auxiliary landmarks: the centre of the circle about the body, and that circle's topmost point along the body."""

CROP_MARGIN = 1.25
"""The crop's side over the region's: what the landmark network was trained on."""

_REFINE_RADIUS = 3
_REFINE_PEAK = 0.5
_BODY_WIDTH = 0.5


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function of ``x``, without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def detector_anchors() -> np.ndarray:
    """Return the anchor centres ``(2254,2)`` as fractions of the detector's input."""
    centres = []
    for stride, count in ((8, 2), (16, 2), (32, 6)):
        cells = DETECTOR_SIDE // stride
        y, x = np.mgrid[0:cells, 0:cells]
        grid = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)


@dataclass(frozen=True)
class DetectorOutput:
    """Candidates in fractions of the letterboxed square: ``face_xywh (N,4)`` with its centre first, ``points (N,4,2)``
    (body centre, body edge, chest centre, chest edge) and ``score (N)``.
    """

    face_xywh: np.ndarray
    points: np.ndarray
    score: np.ndarray


def decode_detector(raw: np.ndarray, logits: np.ndarray, anchors: np.ndarray, threshold: float) -> DetectorOutput:
    """Decode ``raw (2254,12)`` and ``logits (2254)`` down to ``threshold``; of overlapping faces the best stays."""
    score = sigmoid(logits)
    rows = np.flatnonzero(score >= threshold)
    values = raw[rows].reshape(-1, 6, 2) / DETECTOR_SIDE
    values[:, 0] += anchors[rows]
    values[:, 2:] += anchors[rows, None]
    corners = np.concatenate([values[:, 0] - values[:, 1] / 2, values[:, 1]], -1)
    kept = cv2.dnn.NMSBoxes(corners.tolist(), score[rows].tolist(), threshold, 0.3)
    kept = np.asarray(kept, int).reshape(-1)
    return DetectorOutput(values[kept, :2].reshape(-1, 4), values[kept, 2:], score[rows][kept])


def region_from_points(centre: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Return regions ``(...,4)`` of bodies with circle ``centre (...,2)`` px and ``edge (...,2)`` px, its top.

    NaN where the circle's radius is under a pixel.
    """
    arm = edge - centre
    radius = np.linalg.norm(arm, axis=-1)
    angle = np.arctan2(arm[..., 0], -arm[..., 1])
    region = np.concatenate([centre, (2 * radius)[..., None], angle[..., None]], -1)
    return np.where((radius >= 1)[..., None], region, np.nan)


def region_from_box(box_xyxy: np.ndarray) -> np.ndarray:
    """Return the upright regions ``(N,4)`` of ``box_xyxy (N,4)`` px."""
    size = box_xyxy[:, 2:] - box_xyxy[:, :2]
    side = np.maximum(size.max(-1, keepdims=True), 1.0)
    return np.concatenate([(box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2, side, np.zeros_like(side)], -1)


def box_from_region(region: np.ndarray) -> np.ndarray:
    """Return ``(N,4)`` px: the box about the slender body that stands in each ``region (N,4)``."""
    half = region[:, 2:3] / 2
    cos, sin = np.abs(np.cos(region[:, 3:4])), np.abs(np.sin(region[:, 3:4]))
    extent = half * np.concatenate([_BODY_WIDTH * cos + sin, _BODY_WIDTH * sin + cos], -1)
    return np.concatenate([region[:, :2] - extent, region[:, :2] + extent], -1)


def image_from_crop(region: np.ndarray) -> np.ndarray:
    """Return the affine map ``(2,3)`` from crop coordinates (0 to ``LANDMARK_SIDE``) to image px for ``region (4)``."""
    cx, cy, side, angle = region
    scale = side * CROP_MARGIN / LANDMARK_SIDE
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[cos, -sin], [sin, cos]])
    offset = np.array([cx, cy]) - linear @ np.full(2, LANDMARK_SIDE / 2)
    return np.concatenate([linear, offset[:, None]], 1)


def crop(rgb: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the landmark network's input ``(1,256,256,3)`` float32 in [0, 1]; black outside the image."""
    to_image = image_from_crop(region)
    to_image[:, 2] += to_image[:, :2] @ np.full(2, 0.5)  # warpAffine counts pixels, not edges
    side = (LANDMARK_SIDE, LANDMARK_SIDE)
    pixels = cv2.warpAffine(rgb, to_image, side, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return pixels[None].astype(np.float32) / 255


def refine(xy: np.ndarray, heatmap_logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move crop landmarks ``xy (K,2)`` to the centre of mass of ``heatmap_logits (64,64,K)`` around them.

    Also returns the ``peak (K)`` in that window, in [0, 1], 0 outside the map; landmarks with a low peak stay.
    """
    r = _REFINE_RADIUS
    padded = np.pad(heatmap_logits, ((r, r), (r, r), (0, 0)), constant_values=-np.inf)
    cell = np.floor(xy / LANDMARK_SIDE * HEATMAP_SIDE).astype(int)
    inside = ((cell >= 0) & (cell < HEATMAP_SIDE)).all(-1)
    cell = np.clip(cell, 0, HEATMAP_SIDE - 1)
    steps = np.arange(2 * r + 1)
    k = np.arange(len(xy))[:, None, None]
    window = sigmoid(padded[cell[:, 1, None, None] + steps[:, None], cell[:, 0, None, None] + steps, k])
    peak = np.where(inside, window.max((1, 2)), 0.0)
    total = np.maximum(window.sum((1, 2)), 1e-9)
    shift = np.stack([(window.sum(1) * (steps - r)).sum(-1), (window.sum(2) * (steps - r)).sum(-1)], -1)
    centre = (cell + shift / total[:, None]) * (LANDMARK_SIDE / HEATMAP_SIDE)
    return np.where((peak >= _REFINE_PEAK)[:, None], centre, xy), peak


# P(error < 2 % of the person's height), fitted by logistic regression on 400 frames of one man in four views against
# reprojected triangulation: bias, weight of the visibility logit (clipped to +-4), weight of the heatmap peak's logit.
_SCORE_WEIGHTS = (-0.577, 0.220, 0.683)


def keypoint_score(visibility_logit: np.ndarray, presence_logit: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Return scores ``(K)`` of landmarks: the chance that one is right to 2 % of the person's height, and present."""
    bias, by_visibility, by_peak = _SCORE_WEIGHTS
    p = np.clip(peak, 0.02, 0.98)
    right = sigmoid(bias + by_visibility * np.clip(visibility_logit, -4, 4) + by_peak * np.log(p / (1 - p)))
    return right * sigmoid(presence_logit)


def face_visibility(joints_camera: np.ndarray) -> np.ndarray:
    """Return how far nose, eyes and ears ``(5)`` in [0, 1] are on the camera's side of the head.

    ``joints_camera (17,3)`` m are COCO-17 in axes parallel to the camera's (+Z away from it). The network says that a
    face is visible on people seen from behind too; the head's orientation in its own 3D output knows better.
    """
    nose, left_ear, right_ear = joints_camera[0], joints_camera[3], joints_camera[4]
    forward = _unit(nose - (left_ear + right_ear) / 2)
    left = _unit(left_ear - right_ear)
    normals = np.stack([forward, forward + 0.5 * left, forward - 0.5 * left, left, -left])
    towards = -normals[:, 2] / np.linalg.norm(normals, axis=-1).clip(1e-6)
    # A feature is lost when its surface turns some 20 degrees past the profile; noise of the 3D output blurs the edge.
    return sigmoid((towards + 0.35) / 0.1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def coco17_scores(
    visibility_logit: np.ndarray, presence_logit: np.ndarray, peak: np.ndarray, joints_camera: np.ndarray
) -> np.ndarray:
    """Return COCO-17 scores ``(17)`` from logits and peaks ``(17)`` and, for the face, ``joints_camera (17,3)`` m."""
    score = keypoint_score(visibility_logit, presence_logit, peak)
    face = slice(COCO17.index("nose"), COCO17.index("right_ear") + 1)
    score[face] *= face_visibility(joints_camera)
    return score
