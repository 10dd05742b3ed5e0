"""Few-step sampling with triangulation guidance (paper 3.4; DDIM, Song et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mocap_video.lifter.conditions import build_conditions
from mocap_video.lifter.diffusion import ddim_step, motion_noise, sampling_steps
from mocap_video.lifter.guidance import triangulate_views
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.representation import encode, noise_in_views, whitening
from mocap_video.lifter.views import Scene
from mocap_video.skeletons import Skeleton


@torch.no_grad()
def sample(
    model: Denoiser,
    scene: Scene,
    skeleton: Skeleton,
    *,
    steps: int,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    merge: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Draw one motion ``(B,T,J,3)`` m in the canonical frame for every window of ``scene``.

    ``noise (B,T,J+1,4)`` is the solid noise to start from, drawn from ``generator`` if None. ``merge`` sees the
    triangulated joints ``(B,T,J,3)`` at every step and returns them with overlapping windows made one.
    """
    white = whitening(scene)
    conditions = build_conditions(scene, white)
    memory = model.encode_pointmaps(conditions)
    if noise is None:
        noise = motion_noise(scene.seen.time_s, len(skeleton) + 1, generator)
    x = noise_in_views(noise, scene, white)
    joints = torch.empty(0)
    schedule = sampling_steps(steps)
    for step, following in zip(schedule, [*schedule[1:], None], strict=True):
        now = torch.full((len(x),), step, device=x.device)
        joints = triangulate_views(model(x, now, conditions, memory), scene, white)
        joints = joints if merge is None else merge(joints)
        if following is not None:
            consistent = encode(joints, scene, white, skeleton)
            x = ddim_step(x, consistent, now, torch.full_like(now, following))
    return joints
