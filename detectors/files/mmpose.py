"""MMPose's predictions: what its inferencer and its demo scripts write for a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mocap_video.detectors.files.base import NOBODY, Row, Sightings, Source, format_errors, sightings_of
from mocap_video.detectors.files.layouts import coco17_points, layout_names


class MMPosePredictions:
    """Frames with ``instances``, each with ``keypoints (J,2)`` and ``keypoint_scores (J)``.

    The frames are the whole file, or ``instance_info`` beside ``meta_info``, which names the joints.
    """

    expects = "MMPose predictions: frames with frame_id and instances, each with keypoints and keypoint_scores"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        if not source.is_json:
            return False
        content = source.content
        if isinstance(content, dict):
            return "instance_info" in content
        return (
            isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "instances" in content[0]
        )

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        content = source.content
        with format_errors(source.path, self.expects):
            names: Sequence[str] | None = None
            if isinstance(content, dict):
                names = _names(content.get("meta_info", {}))
                content = content["instance_info"]
            frames = [int(frame["frame_id"]) for frame in content]
            rows = [
                _row(number, instance, names, layout)
                for number, frame in zip(frames, content, strict=True)
                for instance in frame["instances"]
            ]
        return sightings_of(source.path, rows, frames)


def _names(meta: dict[str, Any]) -> list[str] | None:
    by_place = meta.get("keypoint_id2name")
    return [by_place[str(place)] for place in range(len(by_place))] if by_place else None


def _row(frame: int, instance: dict[str, Any], names: Sequence[str] | None, layout: str | None) -> Row:
    xy = np.array(instance["keypoints"], float)
    points = np.concatenate([xy, np.array(instance["keypoint_scores"], float)[:, None]], -1)
    known = names if names and not layout else layout_names(len(points), layout)
    return Row(frame, int(instance.get("track_id", NOBODY)), coco17_points(points, known))
