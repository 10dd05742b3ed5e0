"""What the network is told besides the noisy motion: V0's keypoints with confidence, geometry, cameras, pointmaps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.calib.ground import ground_pointmap, pitch_roll_height
from mocap_video.lifter.representation import Whitening
from mocap_video.lifter.views import VIEWS, Scene

POINTMAP_CELLS = 8
FRAME_FEATURES = 25
CAMERA_FEATURES = 6
_KEYPOINT_STD_M = 0.35
_POINTMAP_HALF_WIDTH_M = 2.5
_POINTMAP_RANGE_M = 120.0


@dataclass(frozen=True)
class Conditions:
    """Inputs of the network that do not change over the diffusion steps.

    ``keypoints (B,T,J,3)``: V0's keypoints about the root in m / 0.35, and score (all 0 where missing);
    ``frames (B,T,25)``: geometry per frame; ``cameras (B,V,6)``; ``pointmaps (B,V,H',W',4)``: ground points about the
    subject in m / 3 and a validity flag; ``time_s (B,T)`` from the window's start; ``valid (B,T)`` bool.
    """

    keypoints: Tensor
    frames: Tensor
    cameras: Tensor
    pointmaps: Tensor
    time_s: Tensor
    valid: Tensor


def build_conditions(scene: Scene, white: Whitening) -> Conditions:
    """Return the network's conditions for ``scene``."""
    seen, rig = scene.seen, scene.rig
    about_root = (rig.xy0 - white.xy[:, 0, :, None]) * white.depth[:, 0, :, None, None]
    score = rig.score0[..., None]
    keypoints = torch.cat([(about_root / _KEYPOINT_STD_M).clamp(-8, 8) * (score > 0), score], -1)
    return Conditions(
        keypoints=keypoints,
        frames=_frame_features(scene, white),
        cameras=_camera_features(scene, white),
        pointmaps=_pointmaps(scene, white),
        time_s=seen.time_s - seen.time_s[:, :1],
        valid=seen.valid,
    )


def _axes(scene: Scene) -> tuple[Tensor, Tensor]:
    """Horizontal unit vectors ``(B,1,3)``: away from V0 towards the subject, and to V0's right."""
    right = scene.rig.R[:, 0, 0]
    up = torch.zeros_like(right)
    up[:, 1] = 1.0
    return torch.linalg.cross(up, right)[:, None], right[:, None]


def _frame_features(scene: Scene, white: Whitening) -> Tensor:
    seen, anchor, rig = scene.seen, scene.anchor, scene.rig
    away, right = _axes(scene)
    origin = geometry.camera_center(seen.R, seen.t)[:, None]
    height = origin[..., 1].expand_as(anchor.slant)

    def horizontal(vectors: Tensor, unit: float) -> Tensor:
        return torch.stack([(vectors * away).sum(-1), (vectors * right).sum(-1)], -1) / unit

    features = [horizontal(anchor.point - rig.center[:, None], 2.0)]
    step = torch.diff(anchor.point, dim=1, append=anchor.point[:, -1:])
    gap = torch.diff(seen.time_s, dim=1, append=seen.time_s[:, -1:] + 1.0).clamp_min(1e-3)
    features.append(horizontal(step / gap[..., None], 2.0))
    ankles = scene.skeleton.pair("ankle")
    rays = rig.rays[:, :, ankles]
    down = (-rays[..., 1]).clamp_min(1e-3)
    reach = ((origin[..., 1:2] - scene.skeleton.stance.ankle_m) / down)[..., None]
    known = ((rig.score0[:, :, ankles] > 0) & (rays[..., 1] < -0.01)).to(rays.dtype)
    hits = origin[:, :, None] + rays * reach - anchor.point[:, :, None]
    unit = anchor.sigma[..., None, None].clamp_min(0.1) * 3
    for side in range(2):
        place = torch.stack([(hits[:, :, side] * away).sum(-1), (hits[:, :, side] * right).sum(-1)], -1)
        features += [(place / unit[..., 0]).clamp(-4, 4) * known[..., side, None], known[..., side, None]]
        features.append((place / 0.5).clamp(-4, 4) * known[..., side, None])
    features += [(anchor.cues / 0.15).clamp(-4, 4), anchor.cue_valid.to(rays.dtype)]
    ray = torch.nn.functional.normalize(anchor.point - origin, dim=-1)
    features.append(
        torch.stack(
            [
                torch.log(anchor.sigma / 0.2),
                torch.log(anchor.slant / 6.0),
                torch.log(height / 2.5),
                ray[..., 1],
                (white.root_std[:, 0, :, 2] / white.depth[:, 0]).clamp(0, 2) * 4,
            ],
            -1,
        )
    )
    return torch.cat(features, -1)


def _bounds(white: Whitening) -> Tensor:
    """Normalised half width ``(B,V)`` of the part of each view's ground that the network is shown."""
    return _POINTMAP_HALF_WIDTH_M / white.depth.mean(2).clamp_min(1.0)


def _camera_features(scene: Scene, white: Whitening) -> Tensor:
    """Pitch, roll, height of every view, the width of its image, and its azimuth from V0 (paper 3.3)."""
    angles = pitch_roll_height(scene.rig.R, scene.rig.t)
    azimuth = torch.arange(VIEWS, device=angles.device, dtype=angles.dtype) * (torch.pi / 2)
    turn = torch.stack([torch.sin(azimuth), torch.cos(azimuth)], -1).expand(*angles.shape[:2], 2)
    height = torch.log(angles[..., 2:].clamp_min(0.1) / 2.5)
    return torch.cat([angles[..., :2], height, torch.log(_bounds(white))[..., None], turn], -1)


def _pointmaps(scene: Scene, white: Whitening) -> Tensor:
    half = _bounds(white)
    bounds = torch.stack([-half, -half, half, half], -1)
    cells = (POINTMAP_CELLS, POINTMAP_CELLS)
    points = ground_pointmap(scene.rig.R, scene.rig.t, bounds, cells, _POINTMAP_RANGE_M)
    away, right = _axes(scene)
    about = points - scene.rig.center[:, None, None, None]
    valid = torch.isfinite(about).all(-1, keepdim=True)
    about = torch.where(valid, about, torch.zeros_like(about))
    axes = torch.stack([away[:, 0], right[:, 0]], 1)[:, None, None, None]
    flat = (axes @ about[..., None])[..., 0] / 3.0
    return torch.cat([flat.clamp(-6, 6), about[..., 1:2] * valid, valid.to(flat.dtype)], -1)
