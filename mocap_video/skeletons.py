"""Keypoint sets: names, order, limbs and left/right pairs. A new set is a new ``Skeleton`` value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stance:
    """How an adult shows a keypoint set, m: what geometry knows of a person before any learning.

    ``root_m``: height of the root over the ground of someone who stands; ``over_root_m (J)``: heights of an upright
    person's joints over the root, arms hanging; ``ankle_m``: height of an ankle over its planted sole; ``thigh_m`` from
    hip to knee, ``shank_m`` from knee to ankle, ``torso_m`` from the root to the middle of the shoulders.
    """

    root_m: float
    over_root_m: tuple[float, ...]
    ankle_m: float
    thigh_m: float
    shank_m: float
    torso_m: float


@dataclass(frozen=True)
class Skeleton:
    """A keypoint set. It names hips, knees, ankles and shoulders of both sides; the rest is free.

    ``names`` fixes the order of every ``(..., J, ...)`` array of this set. ``root`` lists the joints whose mean is the
    root: the mid-hip of COCO-17, the pelvis of SMPL-24. ``limbs`` are pairs to draw. ``flip[j]`` is the joint that
    ``j`` becomes in a mirror. ``sigma`` is the COCO keypoint constant per joint, in units of the person's scale.
    ``stance`` says where the joints of someone who stands are.
    """

    name: str
    names: tuple[str, ...]
    root: tuple[int, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    sigma: tuple[float, ...]
    stance: Stance

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the position of joint ``name``; ``ValueError`` if the set lacks it."""
        return self.names.index(name)

    def pair(self, part: str) -> list[int]:
        """Return the positions of the left and the right ``part``, such as ``ankle``."""
        return [self.index(f"left_{part}"), self.index(f"right_{part}")]

    def root_of(self, joints: np.ndarray) -> np.ndarray:
        """Return the root ``(..., C)`` of ``joints (..., J, C)``, in the same units and frame."""
        return joints[..., list(self.root), :].mean(axis=-2)


def _flip(names: tuple[str, ...]) -> tuple[int, ...]:
    swap = {"left": "right", "right": "left"}
    out: list[int] = []
    for name in names:
        side, _, rest = name.partition("_")
        out.append(names.index(f"{swap[side]}_{rest}") if side in swap else names.index(name))
    return tuple(out)


_COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO17 = Skeleton(
    name="coco17",
    names=_COCO_NAMES,
    root=(11, 12),
    limbs=(
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12),
        (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    flip=_flip(_COCO_NAMES),
    sigma=(.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089),
    stance=Stance(
        root_m=0.88,
        over_root_m=(.66, .70, .70, .68, .68, .50, .50, .22, .22, 0.0, 0.0, 0.0, 0.0, -.40, -.40, -.77, -.77),
        ankle_m=0.09, thigh_m=0.40, shank_m=0.39, torso_m=0.50,
    ),
)  # fmt: skip

_SMPL_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
SMPL24 = Skeleton(
    name="smpl24",
    names=_SMPL_NAMES,
    root=(0,),
    limbs=tuple((parent, joint) for joint, parent in enumerate(SMPL_PARENTS) if parent >= 0),
    flip=_flip(_SMPL_NAMES),
    sigma=(.107, .107, .107, .107, .087, .087, .107, .089, .089, .107, .089, .089, .079, .079, .079, .035, .079, .079,
           .072, .072, .062, .062, .062, .062),
    stance=Stance(
        root_m=0.91,
        over_root_m=(0.0, -.01, -.01, .08, -.40, -.40, .23, -.82, -.82, .36, -.88, -.88, .54, .47, .47, .64, .45, .45,
                     .20, .20, -.03, -.03, -.13, -.13),
        ankle_m=0.076, thigh_m=0.38, shank_m=0.43, torso_m=0.45,
    ),
)  # fmt: skip

_H36M_NAMES = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax",
    "nose", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
H36M17 = Skeleton(
    name="h36m17",
    names=_H36M_NAMES,
    root=(0,),
    limbs=(
        (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11), (11, 12), (12, 13),
        (8, 14), (14, 15), (15, 16),
    ),
    flip=_flip(_H36M_NAMES),
    sigma=(.107, .107, .087, .089, .107, .087, .089, .107, .079, .026, .035, .079, .072, .062, .079, .072, .062),
    stance=Stance(
        root_m=0.90,
        over_root_m=(0.0, 0.0, -.39, -.81, 0.0, -.39, -.81, .25, .51, .65, .80, .46, .21, -.02, .46, .21, -.02),
        ankle_m=0.076, thigh_m=0.38, shank_m=0.43, torso_m=0.46,
    ),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, SMPL24, H36M17)}
