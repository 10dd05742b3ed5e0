"""Keypoints by a network that looks at one upright crop a person and answers with heatmaps (ViTPose and its kin).

Crops follow Huang et al., The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation,
2020: the centres of the first and last pixels of crop and heatmap lie on the borders of the region.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from mocap_video.detectors.base import OUTSIDE_FACTOR, Poses, check_image, no_regions, outside
from mocap_video.detectors.heatmaps import (
    BOX_MARGIN,
    decode,
    keypoint_scores,
    mirrored_back,
    person_presence,
)
from mocap_video.detectors.runtime import Runtime

CROP_SIZE = (192, 256)
"""(W, H) px of the network's input."""

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""Of ImageNet's pixels, RGB, 0 to 255: what the backbones are trained on."""


class TopDownEstimator:
    """``KeypointEstimator`` about a network from crops ``(N,3,256,192)`` to heatmaps ``(N,17,h,w)``.

    ``flip_test`` averages with the mirrored crop, at twice the cost. ``batch`` crops go through the network at a time.
    """

    def __init__(self, network: torch.nn.Module, runtime: Runtime, *, flip_test: bool = False, batch: int = 16) -> None:
        self._network = runtime.prepare(network)
        self._runtime = runtime
        self._flip_test = flip_test
        self._batch = batch

    def estimate(self, rgb: np.ndarray, boxes: np.ndarray, regions: np.ndarray | None = None) -> Poses:  # noqa: ARG002
        """See ``KeypointEstimator.estimate``; regions are not used: the crops stand upright about the boxes."""
        return self.estimate_all([rgb], [boxes])[0]

    def estimate_all(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Poses]:
        """Return ``estimate`` of each image and its boxes, with the crops of all of them in common batches."""
        for rgb in images:
            check_image(rgb)
        counts = [len(of_image) for of_image in boxes]
        frames = crop_frames(np.concatenate([np.zeros((0, 4)), *boxes]))
        sources = np.repeat(np.arange(len(images)), counts)
        cells, peak, size = self._look([images[i] for i in sources.tolist()], frames)
        xy = frames[:, None, :2] + cells / (np.array(size) - 1) * (frames[:, None, 2:] - frames[:, None, :2])
        score = keypoint_scores(peak, size[1]).double().numpy()
        presence = person_presence(peak).double().numpy()
        ends = np.cumsum(counts)[:-1]
        parts = zip(images, np.split(xy, ends), np.split(score, ends), np.split(presence, ends), strict=True)
        return [_poses(*part) for part in parts]

    def _look(self, images: list[np.ndarray], frames: np.ndarray) -> tuple[np.ndarray, torch.Tensor, tuple[int, int]]:
        """Return positions ``(N,17,2)`` in heatmap cells, peaks ``(N,17)``, and the heatmaps' (W, H)."""
        places, peaks, size = [np.zeros((0, 17, 2))], [torch.zeros(0, 17)], CROP_SIZE
        for start in range(0, len(images), self._batch):
            part = slice(start, start + self._batch)
            crops = np.stack([crop(rgb, frame) for rgb, frame in zip(images[part], frames[part], strict=True)])
            heatmaps = self._heatmaps(crops)
            cells, peak = decode(heatmaps)
            places.append(cells.double().cpu().numpy())
            peaks.append(peak.cpu())
            size = (heatmaps.shape[-1], heatmaps.shape[-2])
        return np.concatenate(places), torch.cat(peaks), size

    def _heatmaps(self, crops: np.ndarray) -> torch.Tensor:
        """Return the network's float32 answer ``(N,17,h,w)`` to ``crops (N,256,192,3)`` uint8 RGB."""
        with torch.inference_mode():
            pixels = self._runtime.pixels(crops, MEAN, STD)
            heatmaps = self._network(pixels).float()
            if self._flip_test:
                heatmaps = (heatmaps + mirrored_back(self._network(pixels.flip(-1)).float())) / 2
        return heatmaps


def crop_frames(boxes: np.ndarray) -> np.ndarray:
    """Return the regions ``(N,4)`` px xyxy to look at for ``boxes (N,4)``: wider, in the proportion of the crop."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    width, height = CROP_SIZE
    tall = np.maximum(side[:, 1], side[:, 0] * height / width)
    half = BOX_MARGIN / 2 * np.stack([tall * width / height, tall], -1)
    return np.concatenate([centre - half, centre + half], -1)


def crop(rgb: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return ``frame (4)`` px xyxy of ``rgb`` as ``(256,192,3)`` uint8; black outside the image."""
    step = (frame[2:] - frame[:2]) / (np.array(CROP_SIZE) - 1)
    image_from_crop = np.concatenate([np.diag(step), frame[:2, None]], 1)
    return cv2.warpAffine(rgb, image_from_crop, CROP_SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _poses(rgb: np.ndarray, xy: np.ndarray, score: np.ndarray, presence: np.ndarray) -> Poses:
    score = np.where(outside(xy, rgb), OUTSIDE_FACTOR * score, score)
    return Poses(xy, score, presence, no_regions(len(xy)))
