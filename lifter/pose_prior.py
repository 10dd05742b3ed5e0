"""What poses of the body are plausible: per joint a Gaussian and soft limits on the rotation vector.

Rotation vectors are relative to the parent in the T-pose (+Y up, faces +Z, +X is the body's left), so a left knee
bends about +X and a left elbow about -Y. Only left and central joints are in the table; right joints are mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.skeletons import SMPL24

LIMIT_SD_RAD = 0.05
"""How far past a limit costs as much as one standard deviation (rad)."""

_Axes = tuple[float, float, float]
_FREE: tuple[_Axes, _Axes] = ((-2.8, -2.8, -2.8), (2.8, 2.8, 2.8))


@dataclass(frozen=True)
class _Range:
    """Mean, standard deviation and limits of one joint's rotation vector (x, y, z), rad."""

    mean: _Axes
    sd: _Axes
    low: _Axes = _FREE[0]
    high: _Axes = _FREE[1]


_SPINE = _Range((0, 0, 0), (0.18, 0.10, 0.10), (-0.5, -0.4, -0.4), (0.7, 0.4, 0.4))
_TABLE = {
    "left_hip": _Range((-0.1, 0, 0.05), (0.6, 0.3, 0.25), (-2.6, -1.2, -0.8), (0.9, 1.2, 1.4)),
    "left_knee": _Range((0.25, 0, 0), (0.7, 0.12, 0.08), (-0.03, -0.3, -0.15), (2.7, 0.3, 0.15)),
    "left_ankle": _Range((0, 0, 0), (0.3, 0.15, 0.15), (-0.7, -0.5, -0.5), (1.0, 0.5, 0.5)),
    "left_foot": _Range((0, 0, 0), (0.2, 0.05, 0.05), (-1.0, -0.1, -0.1), (0.2, 0.1, 0.1)),
    "spine1": _SPINE,
    "spine2": _SPINE,
    "spine3": _SPINE,
    "neck": _Range((0, 0, 0), (0.25, 0.3, 0.2), (-0.9, -0.9, -0.7), (0.9, 0.9, 0.7)),
    "head": _Range((0, 0, 0), (0.2, 0.25, 0.15), (-0.7, -0.8, -0.5), (0.7, 0.8, 0.5)),
    "left_collar": _Range((0, 0, 0), (0.08, 0.15, 0.15), (-0.2, -0.5, -0.4), (0.2, 0.5, 0.7)),
    "left_shoulder": _Range((0, 0, -1.0), (0.6, 0.7, 0.7)),
    "left_elbow": _Range((0, -0.4, 0), (0.3, 0.7, 0.08), (-1.2, -2.7, -0.15), (1.2, 0.03, 0.15)),
    "left_wrist": _Range((0, 0, 0), (0.15, 0.15, 0.15)),
    "left_hand": _Range((0, 0, 0), (0.05, 0.05, 0.05)),
}


@dataclass(frozen=True)
class PosePrior:
    """``mean``, ``sd``, ``low``, ``high`` ``(23,3)`` rad: of every joint's rotation vector but the root's."""

    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor


def pose_prior(like: Tensor) -> PosePrior:
    """Return the prior with the dtype and device of ``like``."""
    rows = [_range_of(name) for name in SMPL24.names[1:]]
    fields = ([getattr(row, field) for row in rows] for field in ("mean", "sd", "low", "high"))
    return PosePrior(*(torch.tensor(field, dtype=like.dtype, device=like.device) for field in fields))


def _range_of(name: str) -> _Range:
    """Return the joint's range; a right joint is the left's mirrored in x = 0: (x, y, z) becomes (x, -y, -z)."""
    if not name.startswith("right_"):
        return _TABLE[name]
    left = _TABLE["left_" + name.removeprefix("right_")]
    (mx, my, mz), (lx, ly, lz), (hx, hy, hz) = left.mean, left.low, left.high
    return _Range((mx, -my, -mz), left.sd, (lx, -hy, -hz), (hx, -ly, -lz))
