"""Motion as the network sees it: local pose, offset and scale per view (paper 3.1, eq. 2), whitened.

A view's box is the image of a square of 1 m half side that stands at the root's depth, facing the camera. The local
pose is each joint in units of that box, so it does not change when the person walks; the offset says where the box is
and the scale how large. All three are taken about what geometry alone says (the anchor, and the flat pose on the
upright plane through it) and divided by its uncertainty, which is large along V0's rays and small across them. Zero is
thus the flat pose, and all tokens have comparable size whatever the camera. Written ``x (B,V,T,J+2,2)``: J local
tokens, then offset, then scale (both components of scale are equal, as in the paper's square boxes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mocap_video.calib import geometry
from mocap_video.lifter.views import Scene, flat_joints
from mocap_video.skeletons import Skeleton

_ROOT_LATERAL_STD_M = 0.05
_SURE_STD_M, _UNSURE_STD_M, _UNSEEN_STD_M = 0.04, 0.12, 0.25
_JOINT_DEPTH_STD_M = 0.20
_NEAREST_M = 0.3
_DECODE_LIMIT = 1.0
"""Bound on the log depth ratio when decoding, against wild early samples."""


@dataclass(frozen=True)
class Whitening:
    """Mean and scales per view.

    ``xy (B,V,T,2)`` normalised and ``depth (B,V,T)`` m: the anchor's projection; ``flat (B,V,T,J,2)`` m: the flat pose
    in the box at the root's depth; ``root_std (B,V,T,3)`` and ``joint_std (B,V,T,J,3)`` m: standard deviations along
    the view's right, down and forward axes; ``ray (B,T,3)``: V0's unit ray to the root; ``sigma (B,T)`` m along it;
    ``lateral (B,T,J)`` m: of the joints across their rays, by their confidence. ``decoupled`` False (an ablation): the
    local tokens hold the joints' places in the image, and offset and scale stay zero.
    """

    xy: Tensor
    depth: Tensor
    flat: Tensor
    root_std: Tensor
    joint_std: Tensor
    ray: Tensor
    sigma: Tensor
    lateral: Tensor
    decoupled: bool = True

    @property
    def image_std(self) -> Tensor:
        """Standard deviation ``(B,V,T,J,2)`` m of a joint's place in the image, its own and the root's together."""
        return torch.sqrt(self.joint_std[..., :2] ** 2 + self.root_std[..., None, :2] ** 2)


def whitening(scene: Scene) -> Whitening:
    """Return the whitening of ``scene``."""
    rig, anchor = scene.rig, scene.anchor
    R, t = rig.R[:, :, None], rig.t[:, :, None]
    xy, depth = geometry.project_normalized(anchor.point[:, None], R, t)
    depth = depth.clamp_min(_NEAREST_M)
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)
    ray = torch.nn.functional.normalize(anchor.point - origin[:, None], dim=-1)
    along = (R @ ray[:, None, :, :, None])[..., 0]
    flat_xy, _ = geometry.project_normalized(flat_joints(scene)[:, None], R[..., None, :, :], t[..., None, :])
    flat = (flat_xy - xy[..., None, :]) * depth[..., None, None]
    root_std = torch.sqrt((along * anchor.sigma[:, None, :, None]) ** 2 + _ROOT_LATERAL_STD_M**2)
    score = rig.score0
    lateral = torch.where(score > 0, _UNSURE_STD_M + (_SURE_STD_M - _UNSURE_STD_M) * score, _UNSEEN_STD_M)
    joint_std = torch.sqrt((along * _JOINT_DEPTH_STD_M)[..., None, :] ** 2 + lateral[:, None, ..., None] ** 2)
    return Whitening(xy, depth, flat, root_std, joint_std, ray, anchor.sigma, lateral)


def encode(joints: Tensor, scene: Scene, white: Whitening, skeleton: Skeleton) -> Tensor:
    """Return ``x (B,V,T,J+2,2)`` of ``joints (B,T,J,3)`` m in the canonical frame."""
    root = joints[..., list(skeleton.root), :].mean(-2, keepdim=True)
    points = torch.cat([joints, root], -2)[:, None]
    R, t = scene.rig.R[:, :, None, None], scene.rig.t[:, :, None, None]
    xy, depth = geometry.project_normalized(points, R, t)
    if not white.decoupled:
        about = (xy[..., :-1, :] - white.xy[..., None, :]) * white.depth[..., None, None]
        return F.pad((about - white.flat) / white.image_std, (0, 0, 0, 2))
    root_xy, root_depth = xy[..., -1, :], depth[..., -1].clamp_min(_NEAREST_M)
    boxed = (xy[..., :-1, :] - root_xy[..., None, :]) * root_depth[..., None, None]
    local = (boxed - white.flat) / white.joint_std[..., :2]
    offset = (root_xy - white.xy) * white.depth[..., None] / white.root_std[..., :2]
    scale = torch.log(white.depth / root_depth) * white.depth / white.root_std[..., 2]
    return torch.cat([local, offset[..., None, :], scale[..., None, None].expand(*scale.shape, 1, 2)], -2)


def decode(x: Tensor, white: Whitening) -> tuple[Tensor, Tensor]:
    """Return normalised ``xy (B,V,T,J,2)`` and the root's depth ``(B,V,T)`` m of ``x (B,V,T,J+2,2)``."""
    if not white.decoupled:
        about = white.flat + x[..., :-2, :] * white.image_std
        return white.xy[..., None, :] + about / white.depth[..., None, None], white.depth
    log_ratio = x[..., -1, :].mean(-1) * white.root_std[..., 2] / white.depth
    depth = white.depth * torch.exp(-log_ratio.clamp(-_DECODE_LIMIT, _DECODE_LIMIT))
    root = white.xy + x[..., -2, :] * white.root_std[..., :2] / white.depth[..., None]
    boxed = white.flat + x[..., :-2, :] * white.joint_std[..., :2]
    return root[..., None, :] + boxed / depth[..., None, None], depth


def noise_in_views(solid: Tensor, scene: Scene, white: Whitening) -> Tensor:
    """Return unit noise ``(B,V,T,J+2,2)`` for the network's motion: the views of 3D noise ``solid (B,T,J+1,4)``.

    Three components are a small displacement in every direction, the fourth a large one along V0's ray: the shape of
    what geometry leaves open (method 5 asks for 3D noise seen by all views). The last of the J + 1 points is the root:
    its sideways part disturbs the offset, its depth the scale.
    """
    joints = white.lateral[..., None] * solid[:, :, :-1, :3]
    joints = joints + _JOINT_DEPTH_STD_M * solid[:, :, :-1, 3:] * white.ray[:, :, None]
    root = _ROOT_LATERAL_STD_M * solid[:, :, -1:, :3]
    root = root + white.sigma[..., None, None] * solid[:, :, -1:, 3:] * white.ray[:, :, None]
    turned = (scene.rig.R[:, :, None, None] @ torch.cat([joints, root], 2)[:, None, ..., None])[..., 0]
    if not white.decoupled:
        return F.pad((turned[..., :-1, :2] + turned[..., -1:, :2]) / white.image_std, (0, 0, 0, 2))
    local = turned[..., :-1, :2] / white.joint_std[..., :2]
    about = turned[..., -1, :] / white.root_std
    return torch.cat([local, about[..., None, :2], about[..., None, 2:].expand(*about.shape[:-1], 1, 2)], -2)
