"""The lifted joints as markers, for programs of biomechanics: named as Pose2Sim names them, +Y up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap_video.pipeline.formats.axes import R_yup_from_site
from mocap_video.pipeline.formats.base import Take
from mocap_video.pipeline.formats.rate import SteadyFrames, steady_frames
from mocap_video.skeletons import COCO17

_SIDES = {"left": "L", "right": "R"}
_MIDDLES = {"Hip": "hip", "Neck": "shoulder"}
"""Markers that Pose2Sim's COCO_17 model adds: the middle between both of a part."""


@dataclass(frozen=True)
class Markers:
    """``names (M)`` and ``places (N,M,3)`` m in the exported frame at ``frames``."""

    names: tuple[str, ...]
    places: np.ndarray
    frames: SteadyFrames


def markers_of(take: Take) -> Markers:
    """Return COCO-17 of ``take`` as lifted, then Hip and Neck, at a constant rate."""
    record = take.record
    joints = record.joints_world @ R_yup_from_site(take.up).T
    pairs = [COCO17.pair(part) for part in _MIDDLES.values()]
    places = np.concatenate([joints, *(joints[:, pair].mean(1, keepdims=True) for pair in pairs)], 1)
    frames = steady_frames(record.time_s, record.mocap_framerate)
    names = (*map(_marker_name, COCO17.names), *_MIDDLES)
    return Markers(names, frames.values(places), frames)


def _marker_name(joint: str) -> str:
    """Return ``LAnkle`` for ``left_ankle``."""
    side, _, part = joint.partition("_")
    return f"{_SIDES[side]}{part.capitalize()}" if part else joint.capitalize()
