"""People by a network that looks at whole images and answers with boxes (RTMDet, RT-DETR and their kin)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mocap_video.detectors.base import Detections, check_image, no_regions
from mocap_video.detectors.runtime import Runtime

_GREY = 114
"""What fills a letterboxed image, as in training."""


@dataclass(frozen=True)
class InputForm:
    """What a network is shown: a square of ``side`` px, filled out with grey where ``keep_aspect``, or stretched.

    ``mean`` and ``std`` are of pixels from 0 to 255, in the network's own order of colours: red first, unless
    ``blue_first``.
    """

    side: int
    keep_aspect: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    blue_first: bool


class BoxDetector:
    """``PersonDetector`` about a network from ``(N,3,side,side)`` to N tensors ``(M,5)``: boxes of people and scores.

    The network's boxes are xyxy in px of its input counted from its left and upper edge, best first.
    """

    # The smallest is four strides of 8 px in an input of 640 px. Taken from the design of these networks, not measured.
    size_range = (0.05, 1.0)

    def __init__(self, network: torch.nn.Module, form: InputForm, runtime: Runtime, threshold: float) -> None:
        self._network = runtime.prepare(network)
        self._form = form
        self._runtime = runtime
        self._threshold = threshold

    def detect(self, rgb: np.ndarray) -> Detections:
        """See ``PersonDetector.detect``."""
        return self.detect_all([rgb])[0]

    def detect_all(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """See ``PersonDetector.detect_all``: all images go through the network as one batch."""
        for rgb in images:
            check_image(rgb)
        if not images:
            return []
        shown = [self._shown(rgb) for rgb in images]
        with torch.inference_mode():
            pixels = self._runtime.pixels(np.stack([image for image, _ in shown]), self._form.mean, self._form.std)
            answers = [boxes.double().cpu().numpy() for boxes in self._network(pixels)]
        parts = zip(images, (size for _, size in shown), answers, strict=True)
        return [self._detections(*part) for part in parts]

    def _shown(self, rgb: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Return ``(side,side,3)`` uint8 as the network wants it, and the (W, H) px that the image fills in it."""
        height, width = rgb.shape[:2]
        side = self._form.side
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale))) if self._form.keep_aspect else (side, side)
        canvas = np.full((side, side, 3), _GREY, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
        return (np.ascontiguousarray(canvas[..., ::-1]) if self._form.blue_first else canvas), size

    def _detections(self, rgb: np.ndarray, size: tuple[int, int], answer: np.ndarray) -> Detections:
        height, width = rgb.shape[:2]
        kept = answer[answer[:, 4] >= self._threshold]
        scale = np.array([width / size[0], height / size[1]] * 2)
        box = np.clip(kept[:, :4] * scale, 0, [width, height] * 2) - 0.5  # from edges to pixel centres
        return Detections(box, np.clip(kept[:, 4], 0, 1), no_regions(len(kept)))
