"""Faces made unrecognisable, on the pictures as they are stored and before anything is drawn over them.

A head is a circle found from a person's 2D keypoints in every frame of the track, whichever way the head is turned.
What is in it is replaced by a few mean values, so nothing finer than a third of the circle is left to restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import maximum_filter1d

from mocap_video.skeletons import COCO17
from mocap_video.types import Keypoints2D, StoredFrame, Yuv420

HEAD_RADIUS_M = 0.19
"""Of a circle about the middle of eyes, ears and nose that holds the face from ear to ear and from chin to hair."""

_PER_REACH = 2.0
"""Radius per distance from the middle of the face's points to the farthest of them."""

_NECK_M = 0.23
"""From the middle of the shoulders to that of the head, where no point of the face was found."""

_UNSEEN = 1.3
"""How much larger the circle is where its place was inferred."""

_WINDOW_S = 1.0
"""A head's size is the largest within this time: a single limb, foreshortened, looks too short but hardly too long."""

_LINGER_S = 0.5
"""A face is hidden this long before a track begins and after it ends: detection may come late."""

REACH_S = 2.0
"""What comes more than this before or after a frame does not change where faces are hidden in it."""

_CELLS = 3
"""Mean values across a head."""

_FACE = tuple(COCO17.index(name) for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"))
_SHOULDERS, _HIPS = COCO17.pair("shoulder"), COCO17.pair("hip")
_KNEES, _ANKLES, _ELBOWS, _WRISTS = (COCO17.pair(part) for part in ("knee", "ankle", "elbow", "wrist"))
_SHOULDERS_M, _UPPER_ARM_M, _FOREARM_M = 0.34, 0.27, 0.24


@dataclass(frozen=True)
class Heads:
    """One person's head over time: ``centre (T,2)`` and ``radius (T)`` px of the original image at ``time_s (T)`` s."""

    time_s: np.ndarray
    centre: np.ndarray
    radius: np.ndarray

    def at(self, time_s: float) -> tuple[np.ndarray, float] | None:
        """Return centre ``(2)`` and radius px at ``time_s``; None before and after the person is there."""
        if not self.time_s[0] - _LINGER_S <= time_s <= self.time_s[-1] + _LINGER_S:
            return None
        centre = np.array([np.interp(time_s, self.time_s, self.centre[:, axis]) for axis in (0, 1)])
        return centre, float(np.interp(time_s, self.time_s, self.radius))


def heads_of(keypoints: Keypoints2D) -> Heads | None:
    """Return the head of a COCO-17 person in every frame; None where no frame shows any of it, or the shoulders.

    It lies at the points of the face that were found, else over the shoulders; frames that show neither take it from
    their neighbours. Its size comes from the longest of limbs and torso, in their usual lengths, and from the spread of
    the face's own points.
    """
    time_s = keypoints.time_s
    xy = np.where(keypoints.score[..., None] > 0, keypoints.xy, np.nan)
    scale = _px_per_metre(xy)
    known = np.isfinite(scale)
    scale = np.interp(time_s, time_s[known], scale[known]) if known.any() else np.zeros(len(time_s))
    scale = _largest_nearby(scale, time_s)
    face = xy[:, _FACE]
    seen = np.asarray(np.isfinite(face[..., 0]).any(1))
    centre = np.where(seen[:, None], _mean(face), _over_shoulders(xy, scale))
    reach = np.nan_to_num(np.linalg.norm(face - centre[:, None], axis=-1)).max(1)
    radius = np.maximum(HEAD_RADIUS_M * scale, _PER_REACH * reach) * np.where(seen, 1.0, _UNSEEN)
    placed = np.isfinite(centre[:, 0])
    if not placed.any():
        return None
    for axis in (0, 1):
        centre[:, axis] = np.interp(time_s, time_s[placed], centre[placed, axis])
    return Heads(time_s, centre, radius)


def hide_faces(frames: Iterable[StoredFrame], people: Sequence[Keypoints2D]) -> Iterator[StoredFrame]:
    """Yield ``frames`` with the face of each of ``people`` made unrecognisable, in place."""
    everyone = [heads for heads in map(heads_of, people) if heads is not None]
    for frame in frames:
        for heads in everyone:
            found = heads.at(frame.time_s)
            if found is not None:
                blur_circle(frame.picture, *found)
        yield frame


def blur_circle(picture: Yuv420, centre: np.ndarray, radius: float) -> None:
    """Replace what lies within ``radius`` px of ``centre (2)`` px by ``_CELLS`` x ``_CELLS`` means, in place."""
    for plane, cell in zip(picture.planes, (1, 2, 2), strict=True):
        _blur_plane(plane, (centre + 0.5) / cell - 0.5, radius / cell)


def _blur_plane(plane: np.ndarray, centre: np.ndarray, radius: float) -> None:
    height, width = plane.shape
    left, top = np.maximum(np.floor(centre - radius).astype(int), 0)
    right, foot = np.minimum(np.ceil(centre + radius).astype(int) + 1, [width, height])
    if left >= right or top >= foot:
        return
    part = plane[top:foot, left:right]
    wide, tall = (max(1, round(_CELLS * side / (2 * radius))) for side in (right - left, foot - top))
    few = cv2.resize(part, (wide, tall), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(few, (right - left, foot - top), interpolation=cv2.INTER_LINEAR)
    x, y = np.arange(left, right) - centre[0], np.arange(top, foot) - centre[1]
    inside = x**2 + y[:, None] ** 2 <= radius**2
    part[inside] = smooth[inside]


def _px_per_metre(xy: np.ndarray) -> np.ndarray:
    """Return the size of people ``(T)`` px/m whose joints are at ``xy (T,17,2)``; NaN where no length is seen."""
    stance = COCO17.stance
    lengths = [_between(_mean(xy[:, _SHOULDERS]), _mean(xy[:, _HIPS])) / stance.torso_m]
    lengths += [_between(*xy[:, _SHOULDERS].swapaxes(0, 1)) / _SHOULDERS_M]
    for start, end, metres in (
        (_HIPS, _KNEES, stance.thigh_m),
        (_KNEES, _ANKLES, stance.shank_m),
        (_SHOULDERS, _ELBOWS, _UPPER_ARM_M),
        (_ELBOWS, _WRISTS, _FOREARM_M),
    ):
        lengths += [_between(xy[:, a], xy[:, b]) / metres for a, b in zip(start, end, strict=True)]
    found = np.sort(np.nan_to_num(np.stack(lengths)), axis=0)
    largest = np.where(found[-3] > 0, found[-2], found[-1])  # of three or more one may be a keypoint gone astray
    return np.where(largest > 0, largest, np.nan)


def _over_shoulders(xy: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return where the head is ``(T,2)`` px: up from the shoulders, along the torso where that is seen."""
    shoulders = _mean(xy[:, _SHOULDERS])
    up = shoulders - _mean(xy[:, _HIPS])
    length = np.linalg.norm(up, axis=-1)
    clear = length > 0.25 * scale * COCO17.stance.torso_m
    up = np.where(clear[:, None], up / np.where(clear, length, 1.0)[:, None], [0.0, -1.0])
    return shoulders + _NECK_M * scale[:, None] * up


def _largest_nearby(values: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return values
    frames = max(1, round(_WINDOW_S / float(np.median(np.diff(time_s)))))
    return maximum_filter1d(values, frames, mode="nearest")


def _mean(points: np.ndarray) -> np.ndarray:
    """Return the mean ``(T,2)`` of those of ``points (T,K,2)`` that are known; NaN where none is."""
    known = np.isfinite(points[..., :1])
    count = known.sum(1)
    return np.where(count > 0, np.nan_to_num(points).sum(1) / np.maximum(count, 1), np.nan)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)
