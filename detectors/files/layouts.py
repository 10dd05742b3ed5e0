"""The order of joints in other people's files, and the way from there to COCO-17."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from mocap_video.detectors.blazepose import COCO17_FROM_BLAZEPOSE
from mocap_video.skeletons import COCO17

_OPENPOSE_BODY = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_OPENPOSE_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")
_RIGHT_LEG, _LEFT_LEG = (tuple(f"{side}_{joint}" for joint in ("hip", "knee", "ankle")) for side in ("right", "left"))
_OTHER = ("",)
_BLAZEPOSE = dict(zip(COCO17_FROM_BLAZEPOSE.tolist(), COCO17.names, strict=True))

LAYOUTS: dict[str, tuple[str, ...]] = {
    "coco17": COCO17.names,
    "coco18": (*_OPENPOSE_BODY, *_RIGHT_LEG, *_LEFT_LEG, *_OPENPOSE_HEAD),
    "body25": (*_OPENPOSE_BODY, "mid_hip", *_RIGHT_LEG, *_LEFT_LEG, *_OPENPOSE_HEAD, *_OTHER * 6),
    "body25b": (*COCO17.names, *_OTHER * 8),
    "halpe26": (*COCO17.names, *_OTHER * 9),
    "blazepose33": tuple(_BLAZEPOSE.get(place, "") for place in range(33)),
    "wholebody133": (*COCO17.names, *_OTHER * 116),
    "halpe136": (*COCO17.names, *_OTHER * 119),
}
"""Joint sets by name; "" are joints that COCO-17 has no use for."""

_BY_COUNT = {len(names): name for name, names in LAYOUTS.items() if name != "body25b"}
_SIDED = re.compile(r"(l|left|r|right)_?(eye|ear|shoulder|elbow|wrist|hip|knee|ankle)")


def layout_names(count: int, layout: str | None) -> tuple[str, ...]:
    """Return the names of ``count`` joints of ``layout``, or of the set of that size; ``ValueError`` if none is."""
    chosen = layout or _BY_COUNT.get(count)
    if chosen is None:
        sets = ", ".join(f"{len(names)} ({name})" for name, names in LAYOUTS.items())
        raise ValueError(f"{count} keypoints a person, of sets with {sets}")
    if chosen not in LAYOUTS or len(LAYOUTS[chosen]) != count:
        raise ValueError(f"{count} keypoints a person, which is not --skeleton {chosen}")
    return LAYOUTS[chosen]


def plain_name(name: str) -> str:
    """Return ``name`` as COCO-17 would write it: "R-Shoulder", "RShoulder", "right shoulder" are "right_shoulder"."""
    plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    match = _SIDED.fullmatch(plain)
    return f"{'left' if match[1][0] == 'l' else 'right'}_{match[2]}" if match else plain


def coco17_points(points: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return ``(17,3)`` of ``points (J,3)`` whose joints have ``names``; what is missing there is NaN, NaN, 0.

    ``ValueError`` where the names hold neither hips nor shoulders: such a set is no body.
    """
    place = {plain_name(name): index for index, name in reversed(list(enumerate(names)))}
    if "left_hip" not in place or "left_shoulder" not in place:
        raise ValueError(f"no hips or shoulders among the keypoints {', '.join(filter(None, names))}")
    rows = np.array([place.get(name, -1) for name in COCO17.names])
    return np.where(rows[:, None] >= 0, points[rows], [np.nan, np.nan, 0.0])
