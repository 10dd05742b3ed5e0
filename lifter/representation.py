"""Motion as the network sees it: local pose, offset and scale per view (paper 3.1, eq. 2), whitened.

A view's box is the image of a square of ``2 BOX_M`` side that stands at the root's depth, facing the camera. The local
pose is each joint in units of that box, so it does not change when the person walks; the offset says where the box is
and the scale how large. Offset and scale are taken relative to the anchor's projection and divided by the anchor's own
uncertainty, so all tokens have comparable size whatever the camera. Written ``x (B,V,T,J+2,2)``: J local tokens, then
offset, then scale (both components of scale are equal, as in the paper's square boxes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.views import Scene
from mocap_video.skeletons import Skeleton

BOX_M = 1.0
_LOCAL_STD = 0.4
_LATERAL_STD_M = 0.05
_DECODE_LIMIT = 1.0
"""Bound on the log depth ratio when decoding, against wild early samples."""


@dataclass(frozen=True)
class Whitening:
    """Anchor and scales per view. ``xy (B,V,T,2)`` normalised; ``depth (B,V,T)`` m; ``std (B,V,T,3)`` m: standard
    deviation of the root about the anchor along the view's right, down and forward axes.
    """

    xy: Tensor
    depth: Tensor
    std: Tensor


def whitening(scene: Scene) -> Whitening:
    """Return the whitening of ``scene``."""
    rig, anchor = scene.rig, scene.anchor
    R, t = rig.R[:, :, None], rig.t[:, :, None]
    xy, depth = geometry.project_normalized(anchor.point[:, None], R, t)
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)
    ray = torch.nn.functional.normalize(anchor.point - origin[:, None], dim=-1)
    along = (R @ ray[:, None, :, :, None])[..., 0]
    variance = (along * anchor.sigma[:, None, :, None]) ** 2 + _LATERAL_STD_M**2
    return Whitening(xy, depth.clamp_min(0.3), variance.sqrt())


def encode(joints: Tensor, scene: Scene, white: Whitening, skeleton: Skeleton) -> Tensor:
    """Return ``x (B,V,T,J+2,2)`` of ``joints (B,T,J,3)`` m in the canonical frame."""
    root = joints[..., list(skeleton.root), :].mean(-2, keepdim=True)
    points = torch.cat([joints, root], -2)[:, None]
    R, t = scene.rig.R[:, :, None, None], scene.rig.t[:, :, None, None]
    xy, depth = geometry.project_normalized(points, R, t)
    root_xy, root_depth = xy[..., -1, :], depth[..., -1].clamp_min(0.3)
    local = (xy[..., :-1, :] - root_xy[..., None, :]) * (root_depth / (BOX_M * _LOCAL_STD))[..., None, None]
    offset = (root_xy - white.xy) * white.depth[..., None] / white.std[..., :2]
    scale = torch.log(white.depth / root_depth) * white.depth / white.std[..., 2]
    return torch.cat([local, offset[..., None, :], scale[..., None, None].expand(*scale.shape, 1, 2)], -2)


def decode(x: Tensor, white: Whitening) -> tuple[Tensor, Tensor]:
    """Return normalised ``xy (B,V,T,J,2)`` and the root's depth ``(B,V,T)`` m of ``x (B,V,T,J+2,2)``."""
    log_ratio = x[..., -1, :].mean(-1) * white.std[..., 2] / white.depth
    depth = white.depth * torch.exp(-log_ratio.clamp(-_DECODE_LIMIT, _DECODE_LIMIT))
    root = white.xy + x[..., -2, :] * white.std[..., :2] / white.depth[..., None]
    local = x[..., :-2, :] * (BOX_M * _LOCAL_STD / depth)[..., None, None]
    return root[..., None, :] + local, depth


def noise_in_views(solid: Tensor, scene: Scene) -> Tensor:
    """Return noise ``(B,V,T,J+2,2)`` for the network's motion: the views of 3D noise ``solid (B,T,J+1,3)`` (method 5).

    The last of the J + 1 points is the root's: its sideways part disturbs the offset, its depth the scale.
    """
    seen = (scene.rig.R[:, :, None, None] @ solid[:, None, ..., None])[..., 0]
    return torch.cat([seen[..., :2], seen[..., -1:, 2:].expand(*seen.shape[:-2], 1, 2)], -2)
