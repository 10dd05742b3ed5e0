"""Stage 1 on 2D alone: what one camera saw of people, nothing in 3D (method 7.9).

The observed view is learned as any other view: from noise, cameras and the ground. Only its own image counts, so depth
and the other views stay free. The keypoints are what is to be predicted; they are hidden from the conditions and from
the mean, which becomes an upright person at the anchor.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.ablation import pose_problem
from mocap_video.lifter.diffusion import add_noise, motion_noise, training_steps
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.objective import TARGET_LIMIT, huber
from mocap_video.lifter.representation import decode, encode, noise_in_views
from mocap_video.lifter.views import Observation, Scene, build_scene, flat_joints
from mocap_video.skeletons import Skeleton


def observed_losses(
    model: Denoiser, seen: Observation, skeleton: Skeleton, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Return the loss (a scalar, whitened units squared) of a batch of 2D tracks: ``observed``.

    The error is that of the predicted keypoints in the image, weighted by the confidence of those that were seen.
    """
    device = seen.xy.device
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        scene = build_scene(seen, skeleton)
        hidden = replace(scene, rig=replace(scene.rig, score0=torch.zeros_like(scene.rig.score0)))
        problem = pose_problem(hidden, model.config.ablation, generator)
        white = problem.white
        flat = _on_anchor_plane(scene, flat_joints(hidden))
        x0 = encode(flat, problem.scene, white, skeleton).clamp(-TARGET_LIMIT, TARGET_LIMIT)[:, :1]
        step = training_steps(len(x0), device, generator)
        solid = motion_noise(seen.time_s, len(skeleton) + 1, generator)
        noisy = add_noise(x0, noise_in_views(solid, problem.scene, white)[:, :1], step)
        first = torch.zeros(len(x0), 1, dtype=torch.int64, device=device)
        per_view = ("xy", "depth", "flat", "root_std", "joint_std")
        image = replace(white, **{name: getattr(white, name)[:, :1] for name in per_view})
        weight = scene.rig.score0 * seen.valid[..., None]
    memory = model.encode_pointmaps(problem.conditions)
    predicted = model(noisy, step, problem.conditions, memory, first, observed=False)
    with torch.autocast(device.type, enabled=False):
        xy, _ = decode(predicted.float(), image)
        error = (xy[:, 0] - problem.scene.rig.xy0) * image.depth[:, 0, :, None, None] / image.image_std[:, 0]
        loss = (huber(error).mean(-1) * weight).sum() / weight.sum().clamp_min(1)
    return {"loss_observed": loss}


def _on_anchor_plane(scene: Scene, upright: Tensor) -> Tensor:
    """Joints ``(B,T,J,3)`` m on their rays at the anchor's depth in V0; as in ``upright`` where they were not seen."""
    origin = geometry.camera_center(scene.seen.R, scene.seen.t)[:, None]
    depth = ((scene.anchor.point - origin) @ scene.rig.R[:, 0, 2, :, None])[..., 0]
    on_ray = origin[:, :, None] + scene.rig.rays * depth[..., None, None]
    return torch.where((scene.rig.score0 > 0)[..., None], on_ray, upright)
