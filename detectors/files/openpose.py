"""OpenPose's folders of one JSON file a frame, which Pose2Sim and Sports2D write as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mocap_video.detectors.files.base import NOBODY, Row, Sightings, Source, format_errors, read_json, sightings_of
from mocap_video.detectors.files.layouts import coco17_points, layout_names
from mocap_video.errors import KeypointsError

_NUMBER = re.compile(r"(\d+)(?:_keypoints)?\.json$")


class OpenPoseFolder:
    """Files such as ``clip_000000000012_keypoints.json`` with ``people`` and their ``pose_keypoints_2d``.

    Pose2Sim leaves out ``_keypoints``, as Sports2D did when it wrote json. The frame is the number at the end of the
    name. Joint sets are told by their length: COCO-18, BODY_25, HALPE_26, COCO-17, BlazePose, whole body.
    ``person_id`` is kept where it is one. A person of NaN alone, who is not seen in that frame, is left out.
    """

    expects = "a folder of OpenPose json files, one a frame, with people and pose_keypoints_2d"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        if not source.path.is_dir():
            return False
        first = next(_files(source.path), None)
        content = read_json(first) if first else None
        return (isinstance(content, dict) and "people" in content) or bool(first is None and _cameras(source.path))

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        files = {_frame_of(path): path for path in _files(source.path)}
        if not files and (cameras := _cameras(source.path)):
            raise KeypointsError(
                f"{source.path}: expected the json folder of one camera, got those of several or their parent: "
                f"{', '.join(cameras)}. Give one of them, with the calibration of that camera."
            )
        if not files:
            raise KeypointsError(f"{source.path}: expected {self.expects}; got none whose name ends in a number.")
        rows = [row for frame, path in sorted(files.items()) for row in self._rows(path, frame, layout)]
        return sightings_of(source.path, rows, list(files))

    def _rows(self, path: Path, frame: int, layout: str | None) -> Iterator[Row]:
        content = read_json(path)
        with format_errors(path, "OpenPose's people with pose_keypoints_2d"):
            for person in content["people"]:
                numbers = np.array(person["pose_keypoints_2d"], float)
                if np.isfinite(numbers).any():
                    points = numbers.reshape(-1, 3)
                    yield Row(frame, _identity(person), coco17_points(points, layout_names(len(points), layout)))


def _identity(person: dict[str, object]) -> int:
    given = person.get("person_id", NOBODY)
    return int(np.ravel(given)[0]) if np.size(given) else NOBODY  # type: ignore[arg-type]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*.json")) if _NUMBER.search(path.name))


def _cameras(folder: Path) -> list[str]:
    """Return the names of the folders in ``folder`` that hold a camera's files, as in the ``pose`` of Pose2Sim."""
    return sorted(path.name for path in folder.glob("*_json") if path.is_dir())


def _frame_of(path: Path) -> int:
    match = _NUMBER.search(path.name)
    assert match is not None
    return int(match[1])
