"""What the lifter can be trained without, to see what each part gives (the paper's table 3 in kind).

The choice travels with the network's configuration, so weights say how they want to be used, and lifting, evaluation
and training ask here alone. The default is the product; everything else is for tables.
"""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.conditions import Conditions, build_conditions
from mocap_video.lifter.representation import Whitening, whitening
from mocap_video.lifter.views import AIM_HEIGHT_M, VIEWS, Anchor, Rig, Scene, look_at
from mocap_video.skeletons import Skeleton

_NO_ANCHOR_SLANT_M, _NO_ANCHOR_SIGMA_M = 6.0, 4.0
_RIG_HEIGHT_M = (1.0, 3.0)
_RIG_DISTANCE_M = (3.5, 9.0)
_SAMPLED_UNIT_M, _SAMPLED_LIMIT = 3.0, 4.0


@dataclass(frozen=True)
class Ablation:
    """What differs from the product.

    ``pointmaps``: ``none``, or the ground ``sampled`` under each keypoint's ray instead of a map of it. ``rig``:
    virtual cameras at ``random`` places around the subject, instead of by rule. ``anchor`` False: the root is taken to
    be 6 m along its ray in every frame. ``decoupled`` False: joints stand in the image as they are, without a box,
    offset and scale of their own. ``confidence`` False: a keypoint is seen or not, and all seen ones count the same.
    ``direct``: the network regresses the 3D joints from the conditions, without diffusion or other views.
    """

    pointmaps: Literal["whole", "sampled", "none"] = "whole"
    rig: Literal["rule", "random"] = "rule"
    anchor: bool = True
    decoupled: bool = True
    confidence: bool = True
    direct: bool = False

    @property
    def keypoint_features(self) -> int:
        """Numbers that the network is told of each keypoint and frame."""
        return 6 if self.pointmaps == "sampled" else 3


PRODUCT = Ablation()


@dataclass(frozen=True)
class Problem:
    """A batch of windows as the network meets it: geometry, the scales of the representation, and the conditions."""

    scene: Scene
    white: Whitening
    conditions: Conditions

    def repeat(self, copies: int) -> Problem:
        """Return every window ``copies`` times, one after another."""
        if copies == 1:
            return self
        return Problem(*(_repeated(part, copies) for part in (self.scene, self.white, self.conditions)))


def _repeated(part: Any, copies: int) -> Any:
    """Return a dataclass with all tensors in it repeated along the batch."""
    if isinstance(part, Tensor):
        return part.repeat_interleave(copies, 0)
    if isinstance(part, Skeleton) or not is_dataclass(part):
        return part
    return replace(part, **{name: _repeated(value, copies) for name, value in vars(part).items()})  # type: ignore[type-var]


def pose_problem(scene: Scene, ablation: Ablation, generator: torch.Generator | None = None) -> Problem:
    """Return the problem of ``scene`` for a network of ``ablation``; a random rig is drawn from ``generator``."""
    if ablation == PRODUCT:
        white = whitening(scene)
        return Problem(scene, white, build_conditions(scene, white))
    if not ablation.anchor:
        scene = _without_anchor(scene)
    if ablation.rig == "random":
        scene = replace(scene, rig=_random_rig(scene, generator))
    if not ablation.confidence:
        scene = replace(scene, rig=replace(scene.rig, score0=(scene.rig.score0 > 0).to(scene.rig.score0.dtype)))
    white = replace(whitening(scene), decoupled=ablation.decoupled)
    return Problem(scene, white, _altered(build_conditions(scene, white), scene, ablation))


def _without_anchor(scene: Scene) -> Scene:
    """Put the root 6 m along its ray, and the rig about where that is."""
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)
    ray = torch.nn.functional.normalize(scene.anchor.point - origin[:, None], dim=-1)
    anchor = Anchor(
        point=origin[:, None] + _NO_ANCHOR_SLANT_M * ray,
        slant=torch.full_like(scene.anchor.slant, _NO_ANCHOR_SLANT_M),
        sigma=torch.full_like(scene.anchor.sigma, _NO_ANCHOR_SIGMA_M),
        cues=torch.zeros_like(scene.anchor.cues),
        cue_valid=torch.zeros_like(scene.anchor.cue_valid),
    )
    weight = scene.seen.valid.to(ray.dtype)[..., None]
    center = (anchor.point * weight).sum(1) / weight.sum(1).clamp_min(1)
    center[:, 1] = AIM_HEIGHT_M
    turns = torch.arange(1, VIEWS, device=ray.device) * (torch.pi / 2)
    around = torch.stack([turns, torch.full_like(turns, 6.0), torch.full_like(turns, 1.6)], -1)
    return replace(scene, anchor=anchor, rig=_rig(scene, center, around.expand(len(center), -1, -1)))


def _random_rig(scene: Scene, generator: torch.Generator | None) -> Rig:
    """Draw virtual cameras at any azimuth, 3.5 to 9 m away, 1 to 3 m high."""
    center = scene.rig.center
    draw = torch.rand(3, len(center), VIEWS - 1, generator=generator, device=center.device)
    turns = 2 * torch.pi * draw[0]
    distance, height = (
        low + (high - low) * part for (low, high), part in zip((_RIG_DISTANCE_M, _RIG_HEIGHT_M), draw[1:], strict=True)
    )
    return _rig(scene, center, torch.stack([turns, distance, height], -1))


def _rig(scene: Scene, center: Tensor, around: Tensor) -> Rig:
    """Return a rig that looks at ``center (B,3)`` m; ``around (B,V-1,3)``: the virtual cameras' azimuth (rad) from V0,
    distance and height (m).
    """
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)
    back, side = _about(origin, center)
    turns, distance, height = around.unbind(-1)
    out = torch.cos(turns)[..., None] * back[:, None] + torch.sin(turns)[..., None] * side[:, None]
    ground = center[:, None, [0, 2]] + distance[..., None] * out
    virtual = torch.stack([ground[..., 0], height, ground[..., 1]], -1)
    R, t = look_at(torch.cat([origin[:, None], virtual], 1), center[:, None].expand(-1, VIEWS, -1))
    directions = torch.nn.functional.normalize(scene.rig.rays, dim=-1)
    in_v0 = (R[:, 0, None, None] @ directions[..., None])[..., 0]
    score = scene.rig.score0 * (in_v0[..., 2] > 0.05)
    depth = in_v0[..., 2:].clamp_min(0.05)
    xy0 = torch.where(score[..., None] > 0, in_v0[..., :2] / depth, torch.zeros_like(in_v0[..., :2]))
    return Rig(R, t, center, directions / depth, xy0, score)


def _about(origin: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal unit vectors ``(B,2)`` (x, z): from ``center`` back to V0, and a quarter turn on."""
    back = torch.nn.functional.normalize((origin - center)[:, [0, 2]], dim=-1)
    return back, torch.stack([back[:, 1], -back[:, 0]], -1)


def _altered(conditions: Conditions, scene: Scene, ablation: Ablation) -> Conditions:
    cameras, keypoints, maps = conditions.cameras, conditions.keypoints, conditions.pointmaps
    if ablation.rig == "random":
        places = geometry.camera_center(scene.rig.R, scene.rig.t) - scene.rig.center[:, None]
        back, side = _about(places[:, 0], torch.zeros_like(scene.rig.center))
        flat = places[..., [0, 2]]
        azimuth = torch.atan2((flat * side[:, None]).sum(-1), (flat * back[:, None]).sum(-1))
        cameras = torch.cat([cameras[..., :-2], torch.sin(azimuth)[..., None], torch.cos(azimuth)[..., None]], -1)
    if ablation.pointmaps != "whole":
        maps = torch.zeros_like(maps)
    if ablation.pointmaps == "sampled":
        keypoints = torch.cat([keypoints, _ground_under(scene)], -1)
    return replace(conditions, cameras=cameras, keypoints=keypoints, pointmaps=maps)


def _ground_under(scene: Scene) -> Tensor:
    """Where each keypoint's ray meets the ground ``(B,T,J,3)``: away from V0 and to its right of the anchor, m / 3, and
    whether it does.
    """
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)
    rays = scene.rig.rays
    known = (scene.rig.score0 > 0) & (rays[..., 1] < -0.02)
    reach = origin[:, None, None, 1] / (-rays[..., 1]).clamp_min(0.02)
    hit = (origin[:, None, None] + rays * reach[..., None] - scene.anchor.point[:, :, None])[..., [0, 2]]
    back, side = _about(origin, scene.rig.center)
    along = torch.stack([-(hit * back[:, None, None]).sum(-1), (hit * side[:, None, None]).sum(-1)], -1)
    along = (along / _SAMPLED_UNIT_M).clamp(-_SAMPLED_LIMIT, _SAMPLED_LIMIT)
    return torch.cat([along * known[..., None], known[..., None].to(rays.dtype)], -1)
