"""How far each frame of a person may be believed: a calibrated score, and flags that say in words what is against it.

The score is the probability that the body is within 15 cm of the truth, its place in the site included. It comes from a
logistic model of a few signs, each of which can only lower it; ``tools/fit_trust.py`` makes the model's numbers for the
weights of the lifter. A frame's answer needs no more than ``CONTEXT_S`` of its neighbours, so a long track may be
assessed in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from mocap_video.calib.geometry import project
from mocap_video.errors import ArtifactError
from mocap_video.pipeline import measures
from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.types import Calibration, Person

NEAR_M = 0.15
"""A body is right where its keypoints are, on average, no farther than this from the truth."""

EVEN = 0.5
"""Below this score a body is more likely wrong than right."""

DOUBTFUL = 0.75
"""Circumstances, such as hidden feet, are flagged below this score: above it the rest of the picture tells enough."""

CONTEXT_S = 1.5
"""What comes more than this before or after a frame does not change its answer."""

FORMAT = "mocap-video trust 1"
TERMS = ("expected", "reach", "slant", "keypoints", "feet", "outside", "misfit", "residual", "size", "off_ground",
         "unseen", "short")  # fmt: skip
"""What the model may weigh; see ``terms_of``."""


@dataclass(frozen=True)
class Flag:
    """A reason to doubt a frame: a ``sentence`` for reports, a ``word`` for the label in the overlay."""

    sentence: str
    word: str


FLAGS: Mapping[str, Flag] = {
    "bridged": Flag("not seen in this frame: filled in from before and after", "bridged"),
    "fast": Flag("moves faster than people do: the place jumps", "jumps"),
    "feet_hidden": Flag("feet out of frame or hidden: distance from body size only", "no feet"),
    "few_keypoints": Flag("few keypoints found: most of the body is guessed", "few points"),
    "disagrees": Flag("the body does not lie over the keypoints: a wrong pose, or two people mixed up", "misfit"),
    "off_ground": Flag("stays over or under the ground for longer than a jump: the place is wrong", "off ground"),
    "odd_size": Flag("taller or shorter than adults are: a child, or on a step and so somewhere else", "odd size"),
    "unsure": Flag("more likely than not over 15 cm off: place and pose are rough", "unsure"),
    "cut_off": Flag("cut off by the image border: what is outside is guessed", "cut off"),
    "far": Flag("small in the image: few pixels tell the pose", "far"),
    "short": Flag("seen for less than half a second: too short to be sure", "short"),
}
"""By id, the strongest first."""

_SURE_SCORE = 0.2
_FEW_KEYPOINTS = 8
_ANKLE_SCORE = 0.1
_CUT_SHARE = 0.2
_MISFIT_M = 0.12
_FLOAT_M, _SUNK_M = 0.20, 0.08
_FAR_PX = 40.0
_SHORTEST_M, _TALLEST_M = 1.5, 2.0
_SHORT_S = 0.5
_FAST_M_S = 8.0

_SMOOTH_S = 0.25
_ANKLE_S = 0.5
_JUMP_S = 0.4
_STATURE_M = 1.7
_STATURE_OF_BONES = 1.15
"""Stature of our body over the length of thigh, shank and spine up to the head."""

_ANKLES = COCO17.pair("ankle")
_LIMBS = [f"{side}_{part}" for part in ("elbow", "wrist", "knee", "ankle") for side in ("left", "right")]
_COCO_LIMBS, _SMPL_LIMBS = [COCO17.index(name) for name in _LIMBS], [SMPL24.index(name) for name in _LIMBS]
_BONES = [("hip", "knee"), ("knee", "ankle")]
_LEGS = [(SMPL24.index(f"{side}_{a}"), SMPL24.index(f"{side}_{b}")) for side in ("left", "right") for a, b in _BONES]
_SPINE = [SMPL24.index(name) for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")]


@dataclass(frozen=True)
class Signs:
    """What tells how good a frame is; all ``(T)``. What flickers is a mean over half a second.

    ``expected_m``: median error to expect of the lifted joints; ``reach_m``: from the camera to the root; ``slant``:
    that over the camera's height, large where the view runs along the ground; ``stature_px``: of someone who stands
    there; ``keypoints``: how many are sure; ``ankle_score``: the best within half a second; ``outside``: share of the
    joints beyond the image's border; ``misfit_m``: from the body's limbs to their keypoints, at the person's distance;
    ``residual_m``: from the body to the lifted joints; ``stature_m`` of the body; ``lift_m``, ``sink_m``: how far the
    lowest joint stays over, or under, an ankle's height for longer than a jump (0: it does not); ``unseen_s``: time to
    the nearest frame in which anything was seen; ``duration_s`` of the track, no more than ``CONTEXT_S``;
    ``speed_m_s`` along the ground.
    """

    expected_m: np.ndarray
    reach_m: np.ndarray
    slant: np.ndarray
    stature_px: np.ndarray
    keypoints: np.ndarray
    ankle_score: np.ndarray
    outside: np.ndarray
    misfit_m: np.ndarray
    residual_m: np.ndarray
    stature_m: np.ndarray
    lift_m: np.ndarray
    sink_m: np.ndarray
    unseen_s: np.ndarray
    duration_s: np.ndarray
    speed_m_s: np.ndarray


@dataclass(frozen=True)
class Trust:
    """``score (T)`` 0..1; ``flags (T,F)`` bool, a column for each of ``FLAGS`` in its order."""

    score: np.ndarray
    flags: np.ndarray

    def ids(self, row: int) -> list[str]:
        """Return the ids of the flags of frame ``row``, the strongest first."""
        return [name for name, raised in zip(FLAGS, self.flags[row], strict=True) if raised]

    def shares(self) -> dict[str, float]:
        """Return for each flag that occurs the share of the frames that have it."""
        share = self.flags.mean(0) if len(self.flags) else np.zeros(len(FLAGS))
        return {name: float(value) for name, value in zip(FLAGS, share, strict=True) if value > 0}


@dataclass(frozen=True)
class TrustModel:
    """Logarithm of the odds that a frame is right: ``bias`` less the sum of ``weights`` (none negative) by the terms of
    their names (``terms_of``).
    """

    bias: float
    weights: Mapping[str, float]

    def score(self, terms: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the probability ``(T)`` that a frame is right."""
        against = sum(weight * terms[name] for name, weight in self.weights.items())
        return 1 / (1 + np.exp(-(self.bias - against)))


@cache
def load_model(path: Path | None = None) -> TrustModel:
    """Return the model in ``path``, by default that of the shipped lifter; ``ArtifactError`` for any other file."""
    path = path or Path(str(resources.files("mocap_video.lifter") / "assets" / "trust.json"))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        weights = {str(name): float(value) for name, value in content["weights"].items()}
        if content["format"] != FORMAT or set(weights) - set(TERMS) or min(weights.values(), default=0.0) < 0:
            raise ValueError(f"its weights must be of {', '.join(TERMS)}, none negative")
        return TrustModel(float(content["bias"]), weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: expected a {FORMAT}: {error}; make it with tools/fit_trust.py") from error


def assess(person: Person, calibration: Calibration) -> Trust:
    """Return how far the frames of a COCO-17 ``person`` may be believed.

    Of a piece of a track only the frames that have ``CONTEXT_S`` of it on either side, or its end, are answered as in
    the whole.
    """
    signs = signs_of(person, calibration)
    score = load_model().score(terms_of(signs))
    score = np.where(signs.unseen_s > CONTEXT_S, 0.0, score)  # so long after the last sight nothing vouches for it
    return Trust(score, _flags(signs, score))


def signs_of(person: Person, calibration: Calibration) -> Signs:
    """Return the signs of the frames of ``person``."""
    keypoints, motion = person.keypoints, person.motion
    camera, ground, time_s = calibration.camera, calibration.ground, keypoints.time_s
    root = COCO17.root_of(motion.joints)
    reach = np.maximum(np.linalg.norm(root - camera.center_world, axis=-1), 0.1)
    pixels, valid = (part.numpy() for part in project(torch.as_tensor(motion.joints), camera))
    inside = valid & ((pixels >= -0.5) & (pixels < np.array(camera.size) - 0.5)).all(-1)
    over_ankle = ground.height_of(motion.joints).min(-1) - COCO17.stance.ankle_m

    def smooth(values: np.ndarray) -> np.ndarray:
        return _window_mean(values, time_s, _SMOOTH_S)

    def steady(values: np.ndarray) -> np.ndarray:
        return np.maximum(-window_max(-values, time_s, _JUMP_S), 0.0)

    return Signs(
        expected_m=smooth(np.median(motion.spread, -1)),
        reach_m=reach,
        slant=reach / max(float(ground.height_of(camera.center_world)), 0.1),
        stature_px=float(camera.K[0, 0]) * _STATURE_M / reach,
        keypoints=smooth((keypoints.score >= _SURE_SCORE).sum(-1)),
        ankle_score=window_max(keypoints.score[:, _ANKLES].max(-1), time_s, _ANKLE_S),
        outside=smooth(1 - inside.mean(-1)),
        misfit_m=smooth(_misfit_px(person, calibration) / float(camera.K[0, 0]) * reach),
        residual_m=smooth(person.body.residual),
        stature_m=_stature_m(person.body.joints),
        lift_m=steady(over_ankle),
        sink_m=steady(-over_ankle),
        unseen_s=_unseen_s(keypoints.seen, time_s),
        duration_s=np.full(len(time_s), min(float(time_s[-1] - time_s[0]), CONTEXT_S)),
        speed_m_s=np.nan_to_num(measures.ground_speed(root, time_s, ground)),
    )


def terms_of(signs: Signs) -> dict[str, np.ndarray]:
    """Return what the model weighs ``(T)``, by the names of ``TERMS``: 0 or more, larger where things are worse."""
    return {
        "expected": np.log(np.clip(signs.expected_m, 0.05, 2.0) / 0.05),
        "reach": np.log(np.clip(signs.reach_m, 1.0, 50.0)),
        "slant": np.log(np.clip(signs.slant, 1.0, 15.0)),
        "keypoints": 1 - np.clip(signs.keypoints, 0, len(COCO17)) / len(COCO17),
        "feet": 1 - np.clip(signs.ankle_score / 0.5, 0, 1),
        "outside": signs.outside,
        "misfit": np.log(np.clip(signs.misfit_m, 0.01, 0.5) / 0.01),
        "residual": np.log(np.clip(signs.residual_m, 0.02, 1.0) / 0.02),
        "size": np.clip(np.abs(np.log(np.clip(signs.stature_m, 0.5, 4.0) / _STATURE_M)) - 0.05, 0, 0.3) / 0.1,
        "off_ground": np.clip(signs.lift_m + signs.sink_m, 0, 0.5) / 0.1,
        "unseen": np.clip(signs.unseen_s, 0, 1.0),
        "short": 1 - np.clip(signs.duration_s / CONTEXT_S, 0, 1),
    }


def _flags(signs: Signs, score: np.ndarray) -> np.ndarray:
    """Which of ``FLAGS`` hold ``(T,F)`` bool."""
    doubtful = score < DOUBTFUL
    raised = {
        "bridged": signs.unseen_s > 0,
        "fast": signs.speed_m_s > _FAST_M_S,
        "feet_hidden": doubtful & (signs.ankle_score < _ANKLE_SCORE),
        "few_keypoints": signs.keypoints < _FEW_KEYPOINTS,
        "disagrees": signs.misfit_m > _MISFIT_M,
        "off_ground": (signs.lift_m > _FLOAT_M) | (signs.sink_m > _SUNK_M),
        "odd_size": (signs.stature_m < _SHORTEST_M) | (signs.stature_m > _TALLEST_M),
        "unsure": score < EVEN,
        "cut_off": doubtful & (signs.outside > _CUT_SHARE),
        "far": doubtful & (signs.stature_px < _FAR_PX),
        "short": signs.duration_s < _SHORT_S,
    }
    return np.stack([raised[name] for name in FLAGS], 1)


def _misfit_px(person: Person, calibration: Calibration) -> np.ndarray:
    """Mean distance ``(T)`` px of the body's elbows, wrists, knees and ankles from their keypoints; 0 without any."""
    joints = torch.as_tensor(person.body.joints[:, _SMPL_LIMBS])
    pixels, valid = (part.numpy() for part in project(joints, calibration.camera))
    weight = np.where(valid, person.keypoints.score[:, _COCO_LIMBS], 0.0)
    away = np.linalg.norm(pixels - person.keypoints.xy[:, _COCO_LIMBS], axis=-1)
    return np.where(weight > 0, away * weight, 0.0).sum(-1) / np.maximum(weight.sum(-1), 1e-6)


def _stature_m(joints: np.ndarray) -> np.ndarray:
    """Stature ``(T)`` m of a body with ``joints (T,24,3)``, from bones that no pose bends."""
    legs = sum(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in _LEGS)
    spine = np.linalg.norm(np.diff(joints[:, _SPINE], axis=1), axis=-1).sum(-1)
    return _STATURE_OF_BONES * (legs / 2 + spine)


def _unseen_s(seen: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Time ``(T)`` s from each frame to the nearest that is ``seen (T)``."""
    known = time_s[seen]
    if not len(known):
        return np.full(len(time_s), np.inf)
    after = np.searchsorted(known, time_s).clip(0, len(known) - 1)
    return np.minimum(np.abs(known[after] - time_s), np.abs(known[(after - 1).clip(0)] - time_s))


def _window(time_s: np.ndarray, half_s: float) -> tuple[np.ndarray, np.ndarray]:
    """First frame ``(T)`` of the window of ``half_s`` to either side of each frame, and the one after its last."""
    first = np.searchsorted(time_s, time_s - half_s - 1e-6, "left")
    return first, np.searchsorted(time_s, time_s + half_s + 1e-6, "right")


def _window_mean(values: np.ndarray, time_s: np.ndarray, half_s: float) -> np.ndarray:
    first, stop = _window(time_s, half_s)
    total = np.concatenate([[0.0], np.cumsum(values)])
    return (total[stop] - total[first]) / (stop - first)


def window_max(values: np.ndarray, time_s: np.ndarray, half_s: float) -> np.ndarray:
    """Return the largest of ``values (T)`` within ``half_s`` of each frame."""
    first, stop = _window(time_s, half_s)
    largest = values.copy()
    for step in range(int((stop - first).max(initial=0))):  # one frame of every window at a time
        largest = np.maximum(largest, values[np.minimum(first + step, stop - 1)])
    return largest
