"""People lifted from another keypoint set, as results hold them: by COCO-17.

A point that both sets name lies as far from the body's as it was lifted from the body's; what the other set lacks, such
as SMPL's face, is the body's own. In the image only points that both name are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.keypoints import keypoints as points_of
from mocap_video.lifter.keypoints import pose_fit
from mocap_video.pipeline.cast import Cast
from mocap_video.skeletons import COCO17, SKELETONS, Skeleton
from mocap_video.stretches import ByPiece
from mocap_video.types import BodyFit, Keypoints2D, Motion3D

_OF_THE_FACE = ("nose", "head", "neck")
"""Whose spread the face has, the first that a set names."""


def as_coco17(people: Cast, body: BodyModel) -> Cast:
    """Return ``people``, of any set that names hips, shoulders and limbs, in COCO-17; they wear ``body``."""
    return replace(
        people, keypoints=_Keypoints(people.keypoints), motions=_Motions(people.motions, people.bodies, body)
    )


def coco_keypoints(keypoints: Keypoints2D) -> Keypoints2D:
    """Return ``keypoints`` with COCO-17's points: those that their set names, the others missing."""
    ours, theirs = _shared(SKELETONS[keypoints.skeleton])
    xy = np.full((len(keypoints.frames), len(COCO17), 2), np.nan)
    score = np.zeros(xy.shape[:2])
    xy[:, ours], score[:, ours] = keypoints.xy[:, theirs], keypoints.score[:, theirs]
    return replace(keypoints, skeleton=COCO17.name, xy=xy, score=score)


def coco_motion(motion: Motion3D, fit: BodyFit, body: BodyModel) -> Motion3D:
    """Return ``motion`` with COCO-17's joints, given the ``fit`` of ``body`` to it."""
    skeleton = SKELETONS[motion.skeleton]
    ours, theirs = _shared(skeleton)
    turns = np.concatenate([fit.global_orient[:, None], fit.body_pose], 1)
    posed = pose_fit(body, fit.betas, turns, fit.transl)
    joints, own = posed.coco.double().numpy(), points_of(posed, skeleton).double().numpy()
    joints[:, ours] += motion.joints[:, theirs] - own[:, theirs]
    face = next(skeleton.index(name) for name in _OF_THE_FACE if name in skeleton.names)
    spread = np.repeat(motion.spread[:, face, None], len(COCO17), 1)
    spread[:, ours] = motion.spread[:, theirs]
    return replace(motion, skeleton=COCO17.name, joints=joints, spread=spread)


def _shared(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Return where the points that both sets name are in COCO-17 and in ``skeleton``."""
    names = [name for name in COCO17.names if name in skeleton.names]
    return [COCO17.index(name) for name in names], [skeleton.index(name) for name in names]


@dataclass(frozen=True)
class _Keypoints:
    """The keypoints of a recording in COCO-17, a piece at a time when asked for."""

    given: ByPiece[Keypoints2D]

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, piece: int) -> Sequence[Keypoints2D]:
        return [coco_keypoints(person) for person in self.given[piece]]


@dataclass(frozen=True)
class _Motions:
    """The motions of a recording in COCO-17, a piece at a time when asked for."""

    given: ByPiece[Motion3D]
    bodies: ByPiece[BodyFit]
    body: BodyModel

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, piece: int) -> Sequence[Motion3D]:
        fits = {fit.person: fit for fit in self.bodies[piece]}
        return [coco_motion(motion, fits[motion.person], self.body) for motion in self.given[piece]]
