"""What the lifter is compared with besides the flat plane: a body fitted to the 2D from a mean pose, as SMPLify does.

SMPLify (Bogo et al. 2016) starts from a mean pose at a depth that the size of the body tells, and lets the keypoints,
a prior of poses and here also the ground, contacts and smoothness do the rest. It is the product's own fit, given
joints that carry no weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.fit import FitConfig, fit_body
from mocap_video.lifter.keypoints import keypoints as keypoints_of
from mocap_video.lifter.pose_prior import pose_prior
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.lifter.views import Scene
from mocap_video.types import BodyFit, Calibration, Keypoints2D, Motion3D

_UNINFORMED_M = 100.0
"""Standard deviation given to joints that are a mere start: the least keypoint outweighs them."""
_FACING_S = 0.3


def mean_pose(scene: Scene, body: BodyModel) -> Tensor:
    """Return the joints ``(B,T,J,3)`` m, canonical frame, of someone in the prior's mean pose at every anchor.

    The person faces V0, or turns the back to it where the left side is seen on the left.
    """
    skeleton, rig, anchor = scene.skeleton, scene.rig, scene.anchor
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)[:, None]
    rotvec = torch.zeros(24, 3, dtype=origin.dtype)
    rotvec[1:] = pose_prior(origin).mean
    posed = body.pose(torch.zeros(10, dtype=origin.dtype), matrix_from_rotvec(rotvec), torch.zeros(3))
    standing = keypoints_of(posed, skeleton).to(origin)
    standing = standing - standing[list(skeleton.root)].mean(0)
    hips, shoulders = skeleton.pair("hip"), skeleton.pair("shoulder")
    across = torch.zeros_like(anchor.slant)
    for left, right in (hips, shoulders):
        both = torch.minimum(rig.score0[..., left], rig.score0[..., right])
        across = across + both * (rig.xy0[..., left, 0] - rig.xy0[..., right, 0])
    gap = scene.seen.time_s[:, :, None] - scene.seen.time_s[:, None]
    across = (torch.exp(-0.5 * (gap / _FACING_S) ** 2) @ across[..., None])[..., 0]
    towards = torch.nn.functional.normalize((origin - anchor.point)[..., [0, 2]], dim=-1)
    front = torch.where(across[..., None] >= 0, towards, -towards)  # who faces V0 has the left side on its right
    x, z = front[..., 0, None], front[..., 1, None]
    turned = torch.stack(
        [
            z * standing[:, 0] + x * standing[:, 2],
            standing[:, 1].expand_as(z * standing[:, 0]),
            z * standing[:, 2] - x * standing[:, 0],
        ],
        -1,
    )
    return anchor.point[:, :, None] + turned


def fit_from_mean_pose(
    keypoints: Keypoints2D, start: np.ndarray, calibration: Calibration, body: BodyModel, config: FitConfig
) -> BodyFit:
    """Fit ``body`` to the 2D of one person alone, from the joints ``start (T,J,3)`` m, site world."""
    motion = Motion3D(
        person=keypoints.person,
        skeleton=keypoints.skeleton,
        frames=keypoints.frames,
        time_s=keypoints.time_s,
        joints=start,
        spread=np.full(start.shape[:2], _UNINFORMED_M),
    )
    return fit_body(keypoints, motion, calibration, body, replace(config, root_sd_m=_UNINFORMED_M))
