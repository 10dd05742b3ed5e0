"""The default front end: BlazePose's detector and heavy landmark network on LiteRT, shipped with the package."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mocap_video.detectors import blazepose
from mocap_video.detectors.base import OUTSIDE_FACTOR, Detections, Poses, check_image, no_regions, outside
from mocap_video.errors import MissingExtra

_SECOND_PASS_PRESENCE = 0.3


class LiteRTNetwork:
    """One network with a single input, run on the CPU; ``run`` gives the outputs by name."""

    def __init__(self, content: bytes, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtra(
                f"ai-edge-litert cannot be imported ({error}). Install it with: pip install ai-edge-litert"
            ) from error
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        (given,) = self._interpreter.get_input_details()
        self.input_shape: tuple[int, ...] = tuple(given["shape"].tolist())
        self._input = given["index"]
        self._outputs = {out["name"]: out["index"] for out in self._interpreter.get_output_details()}

    def run(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs for ``values`` of ``input_shape``, float32, without their batch axis."""
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


class BlazePoseDetector:
    """``PersonDetector``: finds faces-with-bodies that are large in the image (see ``size_range``)."""

    # Recall 0.82 at 0.25 of the input's side, 0.96 at 0.3, 0.95 at 0.9, 0.85 at 1.0 (two crops each of 40 real frames).
    size_range = (0.3, 0.9)

    def __init__(self, network: LiteRTNetwork, threshold: float) -> None:
        self._network = network
        self._threshold = threshold
        self._anchors = blazepose.detector_anchors()

    def detect(self, rgb: np.ndarray) -> Detections:
        """See ``PersonDetector.detect``."""
        check_image(rgb)
        height, width = rgb.shape[:2]
        side = blazepose.DETECTOR_SIDE
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        canvas = np.zeros((1, side, side, 3), np.uint8)
        canvas[0, top : top + size[1], left : left + size[0]] = image
        out = self._network.run(canvas.astype(np.float32) / 127.5 - 1)
        found = blazepose.decode_detector(out["Identity"], out["Identity_1"][:, 0], self._anchors, self._threshold)
        to_image = np.array([width / size[0], height / size[1]])
        points = (found.points * side - [left, top]) * to_image - 0.5
        region = blazepose.region_from_points(points[:, 0], points[:, 1])
        kept = np.isfinite(region).all(-1)
        return Detections(blazepose.box_from_region(region[kept]), found.score[kept], region[kept])

    def detect_all(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """See ``PersonDetector.detect_all``: LiteRT takes one image at a time."""
        return [self.detect(rgb) for rgb in images]


class BlazePoseEstimator:
    """``KeypointEstimator``: one crop, one network run a person; two where only a box is known."""

    def __init__(self, network: LiteRTNetwork) -> None:
        self._network = network

    def estimate(self, rgb: np.ndarray, boxes: np.ndarray, regions: np.ndarray | None = None) -> Poses:
        """See ``KeypointEstimator.estimate``."""
        check_image(rgb)
        given = no_regions(len(boxes)) if regions is None else regions
        upright = blazepose.region_from_box(boxes)
        poses = [
            self._estimate_in_region(rgb, region) if np.isfinite(region).all() else self._estimate_in_box(rgb, box)
            for region, box in zip(given, upright, strict=True)
        ]
        return Poses.concatenate([_EMPTY, *poses])

    def _estimate_in_box(self, rgb: np.ndarray, upright: np.ndarray) -> Poses:
        """Run twice: the first run's own region is tighter and turned with the body."""
        first = self._estimate_in_region(rgb, upright)
        if first.presence[0] < _SECOND_PASS_PRESENCE or np.isnan(first.region).any():
            return first
        second = self._estimate_in_region(rgb, first.region[0])
        return second if second.presence[0] >= first.presence[0] - _SECOND_PASS_PRESENCE else first

    def _estimate_in_region(self, rgb: np.ndarray, region: np.ndarray) -> Poses:
        out = self._network.run(blazepose.crop(rgb, region))
        landmarks = out["Identity"].reshape(blazepose.LANDMARKS, 5).astype(float)
        coco = blazepose.COCO17_FROM_BLAZEPOSE
        rows = np.concatenate([coco, [blazepose.BODY_CENTRE, blazepose.BODY_EDGE]])
        in_crop, peak = blazepose.refine(landmarks[rows, :2], out["Identity_3"][..., rows])
        to_image = blazepose.image_from_crop(region)
        xy = in_crop @ to_image[:, :2].T + to_image[:, 2]
        joints_camera = out["Identity_4"].reshape(blazepose.LANDMARKS, 3)[coco]
        score = blazepose.coco17_scores(landmarks[coco, 3], landmarks[coco, 4], peak[: len(coco)], joints_camera)
        score[outside(xy[: len(coco)], rgb)] *= OUTSIDE_FACTOR
        presence = float(np.clip(out["Identity_1"][0], 0, 1))
        return Poses(
            xy=xy[None, : len(coco)],
            score=(score * presence)[None],
            presence=np.array([presence]),
            region=blazepose.region_from_points(xy[-2], xy[-1])[None],
        )


_EMPTY = Poses(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), no_regions(0))
