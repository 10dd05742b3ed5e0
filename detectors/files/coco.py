"""COCO's keypoint files, annotations and results, and AlphaPose's, which are results with names for images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mocap_video.detectors.files.base import NOBODY, Row, Sightings, Source, evenly, format_errors, sightings_of
from mocap_video.detectors.files.layouts import coco17_points, layout_names

_SCORE_OF_VISIBILITY = np.array([0.0, 0.5, 1.0])
"""COCO's flags: not labelled; labelled, hidden; labelled, seen."""

_IDENTITIES = ("track_id", "person_id", "instance_id", "idx")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


class CocoAnnotations:
    """An object with ``images`` and ``annotations``, as annotation tools write it.

    Frames are ``frame_id`` of the images, else the number at the end of ``file_name``, else their order by ``id``.
    Identity is ``track_id``, also under ``attributes``. The frame rate is ``fps`` of ``videos`` or ``info``.
    """

    expects = "COCO annotations: an object with images and annotations, each with keypoints x, y, visibility"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        return source.is_json and isinstance(source.content, dict) and "annotations" in source.content

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        with format_errors(source.path, self.expects):
            content = source.content
            frames = _frames_of_images(content["images"])
            names = {kind["id"]: kind["keypoints"] for kind in content.get("categories", []) if "keypoints" in kind}
            rows = [
                _row(frames[entry["image_id"]], entry, names.get(entry.get("category_id")), layout, flags=True)
                for entry in content["annotations"]
                if entry.get("keypoints")
            ]
            rate = _rate(content)
        return sightings_of(source.path, rows, list(frames.values()), rate)


class CocoResults:
    """A list of sightings with a number ``image_id`` and flat ``keypoints``: x, y, score."""

    expects = "COCO results: a list of objects with image_id, a number, and keypoints x, y, score"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        return isinstance(_image_of_first(source), int)

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        return _read_list(source, layout, self.expects)


class AlphaPose:
    """A list of sightings with a name as ``image_id``, ending in the frame's number, and flat ``keypoints``.

    Identity is ``idx``, which AlphaPose writes when it tracks.
    """

    expects = "AlphaPose results: a list of objects with image_id such as 12.jpg and keypoints x, y, score"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        return isinstance(_image_of_first(source), str)

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        return _read_list(source, layout, self.expects)


def _image_of_first(source: Source) -> object:
    content = source.content if source.is_json else None
    first = content[0] if isinstance(content, list) and content else None
    return first.get("image_id") if isinstance(first, dict) and "keypoints" in first else None


def _read_list(source: Source, layout: str | None, expects: str) -> Sightings:
    with format_errors(source.path, expects):
        frames = [_number_in(entry["image_id"]) for entry in source.content]
        rows = [
            _row(frame, entry, None, layout, flags=False) for frame, entry in zip(frames, source.content, strict=True)
        ]
    return sightings_of(source.path, rows, evenly(frames))


def _row(frame: int, entry: dict[str, Any], names: Sequence[str] | None, layout: str | None, *, flags: bool) -> Row:
    points = np.array(entry["keypoints"], float).reshape(-1, 3)
    if flags:
        points[:, 2] = _SCORE_OF_VISIBILITY[points[:, 2].astype(int)]
    known = names if names and not layout else layout_names(len(points), layout)
    return Row(frame, _identity(entry), coco17_points(points, known))


def _identity(entry: dict[str, Any]) -> int:
    for place in (entry, entry.get("attributes") or {}):
        for name in _IDENTITIES:
            if place.get(name) is not None:
                return int(np.ravel(place[name])[0])
    return NOBODY


def _frames_of_images(images: list[dict[str, Any]]) -> dict[Any, int]:
    """Return the frame of every image by the image's id."""
    if all("frame_id" in image for image in images):
        return {image["id"]: int(image["frame_id"]) for image in images}
    numbers = [_LAST_NUMBER.search(str(image.get("file_name", ""))) for image in images]
    found = [int(match[1]) for match in numbers if match]
    if len(set(found)) == len(images):
        return {image["id"]: number for image, number in zip(images, found, strict=True)}
    return {image["id"]: place for place, image in enumerate(sorted(images, key=lambda image: image["id"]))}


def _number_in(image: object) -> int:
    match = _LAST_NUMBER.search(str(image))
    if match is None:
        raise ValueError(f"image_id {image!r} without a frame number")
    return int(match[1])


def _rate(content: dict[str, Any]) -> float | None:
    """Return the frames a second that the file states, None where it states none or several."""
    stated = {float(part["fps"]) for part in (*content.get("videos", []), content.get("info") or {}) if part.get("fps")}
    return stated.pop() if len(stated) == 1 else None
