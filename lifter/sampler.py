"""Few-step sampling with triangulation guidance (paper 3.4; DDIM, Song et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap_video.lifter.conditions import build_conditions
from mocap_video.lifter.diffusion import ddim_step, sampling_steps
from mocap_video.lifter.guidance import triangulate_views
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.representation import encode, noise_like, whitening
from mocap_video.lifter.views import Scene
from mocap_video.skeletons import Skeleton


@torch.no_grad()
def sample(
    model: Denoiser,
    scene: Scene,
    skeleton: Skeleton,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one motion ``(B,T,J,3)`` m in the canonical frame for every window of ``scene``."""
    white = whitening(scene)
    conditions = build_conditions(scene, white)
    memory = model.encode_pointmaps(conditions)
    batch, frames = scene.seen.time_s.shape
    shape = (batch, scene.rig.R.shape[1], frames, len(skeleton) + 2, 2)
    x = noise_like(torch.empty(shape, device=scene.seen.xy.device), scene, generator)
    joints = torch.empty(0)
    schedule = sampling_steps(steps)
    for step, following in zip(schedule, [*schedule[1:], None], strict=True):
        now = torch.full((batch,), step, device=x.device)
        joints = triangulate_views(model(x, now, conditions, memory), scene, white)
        if following is not None:
            consistent = encode(joints, scene, white, skeleton)
            x = ddim_step(x, consistent, now, torch.full_like(now, following))
    return joints
