"""Mending a track once it is whole: sides that were exchanged, joints that jumped, frames in which nobody was seen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from mocap_video.detectors.standing import pose_size
from mocap_video.detectors.tracking import TrackedPoses
from mocap_video.skeletons import COCO17
from mocap_video.types import Keypoints2D, PersonTrack, Track

_LIMB_GROUPS = (
    ("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle", "left_eye", "left_ear"),
    ("left_hip", "left_knee", "left_ankle"),
    ("left_shoulder", "left_elbow", "left_wrist"),
)
"""What a network exchanges together: the whole body, the legs, the arms. Only left joints named."""

_SWAPPED_COST = 2.0
"""Of every frame whose sides are taken to be exchanged."""

_SWITCH_COST = 2.0
_MAX_STEP = 6.0
_JITTER = 0.03
_LIMB_SPEED = 1.2
"""How limbs move in ordinary motion, in body sizes a second: legs that pass each other are no exchange."""

_SPEED_LIMIT = 8.0
"""Fastest that a joint moves, in body sizes a second (about 14 m/s)."""

_NOISE = 0.05
_LONGEST_SPIKE_S = 0.1

AHEAD_S = 5.0
"""So far beyond the end of a piece its sides are looked into, so that the choice at the end is the whole track's."""


def swap_sides(xy: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return ``xy (...,17,C)`` with the left joints of ``names`` and their right partners exchanged."""
    left = [COCO17.index(name) for name in names]
    right = [COCO17.flip[j] for j in left]
    out = xy.copy()
    out[..., left, :], out[..., right, :] = xy[..., right, :], xy[..., left, :]
    return out


def find_swaps(
    xy: np.ndarray, score: np.ndarray, time_s: np.ndarray, names: tuple[str, ...], known: int = 0
) -> np.ndarray:
    """Return in which frames ``(T)`` bool the left and right joints of ``names`` are exchanged.

    ``xy (T,17,2)`` px, ``score (T,17)``, ``time_s (T)``. Viterbi's path over exchanged and not: joints move little from
    frame to frame, and the network is seldom wrong, so a side that stays exchanged for most of a track is kept. In the
    first ``known`` frames the sides are known to be right.
    """
    joints = [COCO17.index(name) for name in names]
    joints += [COCO17.flip[j] for j in joints]
    states = np.stack([xy, swap_sides(xy, names)])[:, :, joints]
    weights = np.stack([score[..., None], swap_sides(score[..., None], names)])[:, :, joints, 0]
    scale = np.maximum(np.median(pose_size(xy)), 1.0)
    allowed = scale * (_JITTER + _LIMB_SPEED * np.diff(time_s))
    swapped, switch = np.array([0.0, _SWAPPED_COST]), _SWITCH_COST * (1 - np.eye(2))
    right = np.array([0.0, np.inf])
    total, choices = right if known else swapped, []
    for t in range(1, len(xy)):
        distance = np.linalg.norm(states[:, None, t] - states[None, :, t - 1], axis=-1) / allowed[t - 1]
        weight = np.sqrt(weights[:, None, t] * weights[None, :, t - 1])
        step = (weight * np.minimum(0.5 * distance**2, _MAX_STEP)).sum(-1) * (4 / len(joints))
        ways = total[None] + step + switch + (right if t < known else swapped)[:, None]
        choices.append(ways.argmin(1))
        total = ways.min(1)
    path = [int(total.argmin())]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return np.array(path[::-1], bool)


def unswap(poses: TrackedPoses, known: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return ``xy (T,17,2)`` px and ``score (T,17)`` with exchanged sides put right, but for ``known`` first frames."""
    xy, score = poses.xy.copy(), poses.score.copy()
    for names in _LIMB_GROUPS:
        frames = find_swaps(xy, score, poses.time_s, names, known)
        xy[frames] = swap_sides(xy[frames], names)
        score[frames] = swap_sides(score[frames, :, None], names)[..., 0]
    return xy, score


def find_jumps(xy: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return ``(T,17)`` bool: joints that leave and come back faster than a body can, within a tenth of a second.

    ``xy (T,17,2)`` px, ``time_s (T)``. Measured against the line between the frames before and after, so that a person
    who is fast, and one who is tracked at a low frame rate, are not touched.
    """
    jumped = np.zeros(xy.shape[:2], bool)
    if len(xy) < 3:
        return jumped
    size = np.maximum(np.median(pose_size(xy)), 1.0)
    before, after = time_s[1:-1] - time_s[:-2], time_s[2:] - time_s[1:-1]
    part = (before / (before + after))[:, None, None]
    between = (1 - part) * xy[:-2] + part * xy[2:]
    off = np.linalg.norm(xy[1:-1] - between, axis=-1)
    bridge = np.linalg.norm(xy[2:] - xy[:-2], axis=-1)
    reach = size * (_NOISE + _SPEED_LIMIT * np.minimum(before, after))[:, None]
    short = ((before + after) <= 2 * _LONGEST_SPIKE_S)[:, None]
    jumped[1:-1] = short & (off > reach) & (bridge < 0.5 * off)
    return jumped


@dataclass(frozen=True)
class Neighbours:
    """What a person did about a piece: ``before`` it the last poses, mended; ``after`` it the next, as they came."""

    before: TrackedPoses
    after: TrackedPoses


def person_track(
    poses: TrackedPoses, person: int, frames: np.ndarray, times: np.ndarray, about: Neighbours
) -> tuple[PersonTrack, TrackedPoses]:
    """Return the track of ``person`` over all frames of a piece in which the person is seen or bridged, and the last
    two poses, mended, for the next piece.

    ``frames (T)`` and ``times (T)`` s are those frames. Frames without the person have NaN keypoints with score 0, and
    a box interpolated from the frames about them, with score 0.
    """
    known, n = len(about.before), len(poses)
    whole = TrackedPoses.joined([about.before, poses, about.after])
    xy, score = unswap(whole, known)
    mended = dataclasses.replace(whole, xy=xy, score=score)
    jumped = find_jumps(xy, whole.time_s)
    xy, score = np.where(jumped[..., None], np.nan, xy), np.where(jumped, 0.0, score)
    here = slice(known, known + n)
    rows = np.searchsorted(frames, poses.frames)
    all_xy = np.full((len(frames), len(COCO17), 2), np.nan)
    all_score = np.zeros((len(frames), len(COCO17)))
    presence = np.zeros(len(frames))
    all_xy[rows], all_score[rows], presence[rows] = xy[here], score[here], poses.presence
    box = np.stack([np.interp(times, whole.time_s, side) for side in whole.box_xyxy.T], -1)
    keypoints = Keypoints2D(person, COCO17.name, frames, times, all_xy, all_score)
    return PersonTrack(Track(person, frames, box, presence), keypoints), mended.rows(slice(0, known + n)).rows(
        slice(-2, None)
    )
