"""What geometry alone says before any learning: the subject-centred view, the anchor, and the virtual rig.

Everything happens in the canonical frame of ``calib.ground`` (+Y up, ground y = 0, V0's optical centre above the
origin). V0 is turned about its own centre to look at the subject: pixels, focal length, lens and roll are gone, and any
calibrated camera becomes the same problem. The *anchor* is a coarse root position per frame, from the ground under the
feet and the body's apparent size; the network works relative to it. Three virtual cameras stand around the subject's
own ground track, at 90, 180 and 270 degrees from V0 (method 7.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.skeletons import Skeleton

VIEWS = 4
AIM_HEIGHT_M = 0.9
"""Every view looks at the subject at this height over the ground."""

_VIRTUAL_HEIGHT_M = 1.6
_MIN_SLANT_M = 0.8
_MAX_SLANT_M = 80.0
_SMOOTHING_S = 0.12
_WIDE_SMOOTHING_S = 1.5
_FLAT_LIMIT_M = 1.3
_MIRROR = (-1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Observation:
    """2D keypoints of ``B`` windows seen by V0.

    ``xy (B,T,J,2)`` ideal normalised coordinates of the real camera (0 where missing); ``score (B,T,J)`` in [0, 1],
    0 where missing; ``time_s (B,T)``; ``valid (B,T)`` bool: False where a window is padded;
    ``R (B,3,3)``, ``t (B,3)`` m: V0 from canonical.
    """

    xy: Tensor
    score: Tensor
    time_s: Tensor
    valid: Tensor
    R: Tensor
    t: Tensor

    def select(self, index: Tensor | slice) -> Observation:
        """Return the windows at ``index``."""
        return Observation(*(value[index] for value in vars(self).values()))

    def to(self, device: torch.device) -> Observation:
        """Return the windows on ``device``."""
        return Observation(*(value.to(device) for value in vars(self).values()))

    def repeat(self, copies: int) -> Observation:
        """Return every window ``copies`` times, one after another."""
        return Observation(*(value.repeat_interleave(copies, 0) for value in vars(self).values()))


@dataclass(frozen=True)
class Anchor:
    """Coarse root position per frame. ``point (B,T,3)`` m canonical, on the root's ray; ``slant (B,T)`` m along it;
    ``sigma (B,T)`` m: its standard deviation along the ray; ``cues (B,T,3)``: log slant by the feet's ground, by
    apparent size and by a standing root's height, relative to the fused one; ``cue_valid (B,T,3)`` bool.
    """

    point: Tensor
    slant: Tensor
    sigma: Tensor
    cues: Tensor
    cue_valid: Tensor


@dataclass(frozen=True)
class Rig:
    """V0 turned to the subject and the virtual cameras: ``R (B,V,3,3)``, ``t (B,V,3)`` m from canonical; ``center
    (B,3)`` m the point they look at; ``rays (B,T,J,3)``: canonical directions of V0's keypoints, depth 1 in it;
    ``xy0 (B,T,J,2)``: the keypoints in the turned V0, normalised; ``score0 (B,T,J)``.
    """

    R: Tensor
    t: Tensor
    center: Tensor
    rays: Tensor
    xy0: Tensor
    score0: Tensor


@dataclass(frozen=True)
class Scene:
    """All that the geometry of a batch of windows says: observation, the keypoint set it is of, anchor and rig."""

    seen: Observation
    skeleton: Skeleton
    anchor: Anchor
    rig: Rig


def mirrored(seen: Observation, skeleton: Skeleton) -> Observation:
    """Return what V0 would see were the world mirrored in the canonical plane x = 0, on which it stands: left is right,
    and right left.
    """
    flip, sign = list(skeleton.flip), seen.t.new_tensor(_MIRROR)
    R = sign[:, None] * seen.R * sign
    return Observation(
        seen.xy[:, :, flip] * sign[:2], seen.score[:, :, flip], seen.time_s, seen.valid, R, seen.t * sign
    )


def mirrored_joints(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Return ``joints (...,J,3)`` m in the canonical frame as ``mirrored`` shows them, or back."""
    return joints[..., list(skeleton.flip), :] * joints.new_tensor(_MIRROR)


def build_scene(seen: Observation, skeleton: Skeleton) -> Scene:
    """Return the scene of ``seen``, keypoints of ``skeleton``; needs one keypoint with a positive score per window."""
    directions = torch.nn.functional.normalize(geometry.ray_directions(seen.xy, seen.R[:, None, None]), dim=-1)
    origin = geometry.camera_center(seen.R, seen.t)
    anchor = _anchor(seen, directions, origin, skeleton)
    return Scene(seen, skeleton, anchor, _rig(seen, directions, origin, anchor))


def mirrored_scene(scene: Scene) -> Scene:
    """Return what geometry says of the ``mirrored`` windows of ``scene``."""
    return build_scene(mirrored(scene.seen, scene.skeleton), scene.skeleton)


def _root_direction(seen: Observation, directions: Tensor, skeleton: Skeleton) -> Tensor:
    """Unit directions ``(B,T,3)`` of the root: by its joints where seen, else among what is seen, else nearby."""
    weight = seen.score.clone()
    weight[..., list(skeleton.root)] *= 1e3
    root = (directions * weight[..., None]).sum(2)
    seen_weight = (seen.score > 0).any(-1).to(root.dtype)
    root = torch.nn.functional.normalize(root, dim=-1) * seen_weight[..., None]
    near = _kernel(seen.time_s, 0.2) * seen_weight[:, None, :]
    filled = near @ root + 1e-6 * (_kernel(seen.time_s, 3.0) * seen_weight[:, None, :]) @ root
    return torch.nn.functional.normalize(torch.where(seen_weight[..., None] > 0, root, filled), dim=-1)


def _kernel(time_s: Tensor, sigma_s: float) -> Tensor:
    """Gaussian weights ``(B,T,T)`` between the frames' times."""
    gap = time_s[:, :, None] - time_s[:, None, :]
    return torch.exp(-0.5 * (gap / sigma_s) ** 2)


def _anchor(seen: Observation, directions: Tensor, origin: Tensor, skeleton: Skeleton) -> Anchor:
    height = origin[:, 1].clamp_min(0.3)[:, None]
    root = _root_direction(seen, directions, skeleton)
    flat = root[..., [0, 2]].norm(dim=-1).clamp_min(0.05)
    hit = _ankle_distance(seen, directions, height, skeleton)
    feet = hit / flat
    down = (-root[..., 1]).clamp_min(1e-3)
    over_root = height - skeleton.stance.root_m
    standing = over_root.clamp_min(1e-3) / down
    size = _size_distance(seen, directions, skeleton)
    slants = torch.stack([feet, size, standing], -1).clamp(_MIN_SLANT_M, _MAX_SLANT_M)
    relative = torch.stack(
        [
            torch.hypot(0.045 / height.expand_as(hit), 0.10 / hit.clamp_min(0.2)),
            torch.full_like(size, 0.12),
            (0.20 / over_root.clamp_min(0.05)).expand_as(standing),
        ],
        -1,
    )
    valid = torch.stack([torch.isfinite(hit), torch.isfinite(size), (down > 0.1) & (height > 1.2)], -1)
    slants = torch.where(valid, slants, torch.ones_like(slants))
    precision = torch.where(valid, relative.clamp_min(0.01) ** -2, torch.zeros_like(relative))
    log_slant = torch.log(slants)
    total = precision.sum(-1)
    fused = (precision * log_slant).sum(-1) / total.clamp_min(1e-6)
    total = total * seen.valid
    smooth = _kernel(seen.time_s, _SMOOTHING_S) + 1e-4 * _kernel(seen.time_s, _WIDE_SMOOTHING_S) + 1e-8
    weights = smooth * total[:, None, :]
    prior = 1e-6  # a window without any cue falls back to 5 m
    norm = weights.sum(-1) + prior
    log_slant_smooth = ((weights @ fused[..., None])[..., 0] + prior * 1.6) / norm
    slant = torch.exp(log_slant_smooth)
    support = (weights.sum(-1) / smooth.sum(-1)).clamp_min(1.0)
    sigma = (slant * support.rsqrt()).clamp(0.05, 5.0)
    cues = torch.where(valid, log_slant - log_slant_smooth[..., None], torch.zeros_like(log_slant))
    return Anchor(origin[:, None] + slant[..., None] * root, slant, sigma, cues, valid)


def _ankle_distance(seen: Observation, directions: Tensor, height: Tensor, skeleton: Skeleton) -> Tensor:
    """Horizontal distance ``(B,T)`` m at which the nearer ankle's ray is at ankle height; infinite where unknown."""
    pair = skeleton.pair("ankle")
    ankles = directions[:, :, pair]
    down = -ankles[..., 1]
    above = height[..., None] - skeleton.stance.ankle_m
    reach = above * ankles[..., [0, 2]].norm(dim=-1) / down.clamp_min(1e-4)
    known = (seen.score[:, :, pair] > 0) & (down > 0.01)
    return torch.where(known, reach, torch.inf).amin(-1)


def _size_distance(seen: Observation, directions: Tensor, skeleton: Skeleton) -> Tensor:
    """Distance ``(B,T)`` m of the body from the angles its least foreshortened bones span; infinite if unknown."""
    hips, knees, ankles, shoulders = (skeleton.pair(part) for part in ("hip", "knee", "ankle", "shoulder"))
    stance, root = skeleton.stance, list(skeleton.root)
    estimates = []
    for upper, lower, length in ((hips, knees, stance.thigh_m), (knees, ankles, stance.shank_m)):
        for first, second in zip(upper, lower, strict=True):
            angle = (directions[:, :, first] - directions[:, :, second]).norm(dim=-1)
            known = (seen.score[:, :, first] > 0) & (seen.score[:, :, second] > 0)
            estimates.append(torch.where(known, length / angle.clamp_min(1e-4), torch.inf))
    angle = (directions[:, :, shoulders].mean(2) - directions[:, :, root].mean(2)).norm(dim=-1)
    known = (seen.score[:, :, [*shoulders, *root]] > 0).all(-1)
    estimates.append(torch.where(known, stance.torso_m / angle.clamp_min(1e-4), torch.inf))
    return torch.stack(estimates, -1).amin(-1)


def flat_joints(scene: Scene) -> Tensor:
    """Joints ``(B,T,J,3)`` m in the canonical frame, each on its ray, on the upright plane through the anchor.

    The plane faces V0. Joints that were not seen stand where an upright person's would. This is the mean that the
    representation is taken about, so the network predicts what geometry leaves open.
    """
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)[:, None]
    to_anchor = scene.anchor.point - origin
    facing = torch.nn.functional.normalize(to_anchor[..., [0, 2]], dim=-1)[:, :, None]
    rays = torch.nn.functional.normalize(scene.rig.rays, dim=-1)
    along = (rays[..., [0, 2]] * facing).sum(-1)
    reach = (to_anchor[..., [0, 2]].norm(dim=-1)[..., None] / along.clamp_min(1e-3)).clamp(min=0.0)
    slant = scene.anchor.slant[..., None]
    reach = torch.maximum(torch.minimum(reach, slant + _FLAT_LIMIT_M), slant - _FLAT_LIMIT_M)
    on_ray = origin[:, :, None] + rays * reach[..., None]
    upright = torch.zeros_like(on_ray)
    upright[..., 1] = rays.new_tensor(scene.skeleton.stance.over_root_m)
    unseen = scene.anchor.point[:, :, None] + upright
    return torch.where((scene.rig.score0 > 0)[..., None], on_ray, unseen)


def look_at(center: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``R (...,3,3)``, ``t (...,3)`` m of an upright camera at ``center (...,3)`` that looks at ``target``."""
    forward = torch.nn.functional.normalize(target - center, dim=-1)
    up = torch.zeros_like(forward)
    up[..., 1] = 1.0
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    return R, -(R @ center[..., None])[..., 0]


def _rig(seen: Observation, directions: Tensor, origin: Tensor, anchor: Anchor) -> Rig:
    weight = seen.valid.to(origin.dtype)[..., None]
    mean = (anchor.point * weight).sum(1) / weight.sum(1).clamp_min(1)
    spread = ((anchor.point - mean[:, None]).norm(dim=-1) * weight[..., 0]).amax(1)
    out = (mean - origin)[:, [0, 2]]
    reach = out.norm(dim=-1, keepdim=True)
    ahead = torch.where(reach > 1e-3, out / reach.clamp_min(1e-3), torch.tensor([0.0, 1.0], device=out.device))
    ground = origin[:, [0, 2]] + ahead * reach.clamp_min(0.3)
    center = torch.stack([ground[:, 0], torch.full_like(ground[:, 0], AIM_HEIGHT_M), ground[:, 1]], -1)
    distance = (3.0 + 1.5 * spread).clamp_min(5.0)
    back = -ahead
    side = torch.stack([back[:, 1], -back[:, 0]], -1)
    places = [origin]
    for direction in (side, -back, -side):
        flat = center[:, [0, 2]] + distance[:, None] * direction
        places.append(torch.stack([flat[:, 0], torch.full_like(distance, _VIRTUAL_HEIGHT_M), flat[:, 1]], -1))
    R, t = look_at(torch.stack(places, 1), center[:, None].expand(-1, VIEWS, -1))
    in_v0 = (R[:, 0, None, None] @ directions[..., None])[..., 0]
    ahead_of_camera = in_v0[..., 2] > 0.05
    depth = in_v0[..., 2:].clamp_min(0.05)
    score = seen.score * ahead_of_camera
    xy0 = torch.where(score[..., None] > 0, in_v0[..., :2] / depth, torch.zeros_like(in_v0[..., :2]))
    return Rig(R, t, center, directions / depth, xy0, score)
