"""Keypoint sets: names, order, limbs and left/right pairs. A new set is a new ``Skeleton`` value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """A keypoint set.

    ``names`` fixes the order of every ``(..., J, ...)`` array of this set. ``root`` lists the joints whose mean is the
    root: the mid-hip of COCO-17, the pelvis of SMPL-24. ``limbs`` are pairs to draw. ``flip[j]`` is the joint that
    ``j`` becomes in a mirror. ``sigma`` is the COCO keypoint constant per joint, in units of the person's scale.
    """

    name: str
    names: tuple[str, ...]
    root: tuple[int, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    sigma: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the position of joint ``name``; ``ValueError`` if the set lacks it."""
        return self.names.index(name)

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
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, SMPL24)}
