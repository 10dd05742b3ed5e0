"""How the body shows each keypoint set.

The body has 47 points: SMPL's 24 joints, COCO-17 and 6 points of the soles. COCO-17 and SMPL-24 are among them; a
point of any other set is a mixture of them whose weights sum to one, so it moves with the body as they do. A new set is
a ``Skeleton`` and a row here for each of its joints: docs/keypoint_sets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

from mocap_video.errors import ConfigError
from mocap_video.lifter.body import SOLES, BodyModel, Posed
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, H36M17, SMPL24, Skeleton

BODY_POINTS = (
    *(f"joint/{name}" for name in SMPL24.names),
    *(f"coco/{name}" for name in COCO17.names),
    *(f"sole/{name}" for name in SOLES),
)
"""Names of the body's points, in order."""

Mixture = Mapping[str, float]

_H36M: dict[str, Mixture] = {
    "pelvis": {"joint/left_hip": 0.5, "joint/right_hip": 0.5},
    "spine": {"joint/spine2": 0.8, "joint/spine3": 0.2},
    "thorax": {"joint/neck": 0.5, "joint/left_shoulder": 0.25, "joint/right_shoulder": 0.25},
    "nose": {"coco/nose": 1.0},
    # the crown: 15 cm over the head's joint, along the short way from there to the ears
    "head": {"joint/head": -5.17, "coco/left_ear": 3.285, "coco/right_ear": 3.285, "coco/nose": -0.4},
    **{f"{side}_{part}": {f"joint/{side}_{part}": 1.0}
       for side in ("left", "right") for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")},
}  # fmt: skip
MIXTURES: dict[str, Mapping[str, Mixture]] = {H36M17.name: _H36M}
"""Per keypoint set that the body does not have by itself: each joint's weights of ``BODY_POINTS``."""


def pose_fit(body: BodyModel, betas: np.ndarray, rotvec: np.ndarray, transl: np.ndarray) -> Posed:
    """Return ``body`` as a fit has it: ``betas (10)``, ``rotvec (T,24,3)`` rad and ``transl (T,3)`` m."""
    shape, turns, place = (torch.as_tensor(value, dtype=body.v_template.dtype) for value in (betas, rotvec, transl))
    return body.pose(shape, matrix_from_rotvec(turns), place)


def keypoints(posed: Posed, skeleton: Skeleton) -> Tensor:
    """Return the points ``(...,J,3)`` m of ``skeleton`` on a posed body, in its frame."""
    return mixed(posed.joints, posed.coco, posed.soles, skeleton, dim=-2)


def mixed(joints: Tensor, coco: Tensor, soles: Tensor, skeleton: Skeleton, *, dim: int) -> Tensor:
    """Return for ``skeleton`` what is given for the body's ``joints``, ``coco`` and ``soles`` along ``dim`` (negative).

    For anything linear in the points: places, or how places change with the pose.
    """
    if skeleton is SMPL24:
        return joints
    if skeleton is COCO17:
        return coco
    points = torch.cat([joints, coco, soles], dim)
    weights = mixing_matrix(skeleton).to(points)
    return (points.movedim(dim, -1) @ weights.mT).movedim(-1, dim)


@cache
def mixing_matrix(skeleton: Skeleton) -> Tensor:
    """Return ``(J,47)``: weights of ``BODY_POINTS`` for each joint of a set in ``MIXTURES``; rows sum to one.

    Raises ``ConfigError`` for a set or a joint without a mixture, and for one that does not sum to one.
    """
    rows = MIXTURES.get(skeleton.name)
    if rows is None:
        raise ConfigError(f"keypoint set {skeleton.name}: the body does not know how to show it; add it to MIXTURES")
    weights = torch.zeros(len(skeleton), len(BODY_POINTS), dtype=torch.float64)
    for row, name in enumerate(skeleton.names):
        for point, weight in rows.get(name, {}).items():
            weights[row, BODY_POINTS.index(point)] = weight
        if abs(float(weights[row].sum()) - 1) > 1e-6:
            raise ConfigError(f"keypoint set {skeleton.name}: {name}: expected weights that sum to 1")
    return weights
