"""Few-step sampling with triangulation guidance (paper 3.4; DDIM, Song et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mocap_video.lifter.ablation import pose_problem
from mocap_video.lifter.diffusion import ddim_step, motion_noise, sampling_steps
from mocap_video.lifter.guidance import triangulate_views
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.regression import regress, regressed_joints
from mocap_video.lifter.representation import encode, noise_in_views
from mocap_video.lifter.views import Scene, mirrored_joints, mirrored_scene
from mocap_video.skeletons import Skeleton


@torch.no_grad()
def sample(
    model: Denoiser,
    scene: Scene,
    skeleton: Skeleton,
    *,
    steps: int,
    copies: int = 1,
    mirror: bool = False,
    guided: bool = True,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    merge: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Draw ``copies`` motions for every window of ``scene``: ``(B*copies,T,J,3)`` m in the canonical frame, a window's
    copies one after another.

    Geometry, conditions and pointmaps are worked out once a window, and once more with ``mirror``: the latter half of
    the copies then see the scene in a mirror and are mirrored back, so that what the network does otherwise for left
    than for right cancels in the mean.

    ``noise (B*copies,T,J+1,4)`` is the solid noise to start from, drawn from ``generator`` if None. ``merge``
    sees the triangulated joints ``(B*n,T,J,3)`` of n copies at every step and returns them with overlapping windows
    made one. ``guided`` False leaves the views to themselves until the last step, which alone is triangulated.
    """
    if noise is None:
        time_s = scene.seen.time_s.repeat_interleave(copies, 0)
        noise = motion_noise(time_s, len(skeleton) + 1, generator)
    turned = copies // 2 if mirror else 0
    parts = noise.unflatten(0, (-1, copies)).split([copies - turned, turned], 1)
    options = {"steps": steps, "guided": guided, "generator": generator, "merge": merge}
    joints = [_sample(model, scene, skeleton, parts[0].flatten(0, 1), **options)]
    if turned:
        other = _sample(model, mirrored_scene(scene), skeleton, parts[1].flatten(0, 1), **options)
        joints.append(mirrored_joints(other, skeleton))
    return torch.cat([part.unflatten(0, (len(scene.seen.xy), -1)) for part in joints], 1).flatten(0, 1)


def _sample(
    model: Denoiser,
    scene: Scene,
    skeleton: Skeleton,
    noise: Tensor,
    *,
    steps: int,
    guided: bool,
    generator: torch.Generator | None,
    merge: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """Draw as many motions ``(B*n,T,J,3)`` m as there is ``noise (B*n,T,J+1,4)``, n for every window of ``scene``."""
    copies = len(noise) // len(scene.seen.xy)
    problem = pose_problem(scene, model.config.ablation, generator)
    memory = model.encode_pointmaps(problem.conditions)
    if model.config.ablation.direct:
        joints = regressed_joints(regress(model, problem, memory), problem).repeat_interleave(copies, 0)
        return joints if merge is None else merge(joints)
    problem, memory = problem.repeat(copies), memory.repeat_interleave(copies, 0)
    scene, white = problem.scene, problem.white
    x = noise_in_views(noise, scene, white)
    joints = torch.empty(0)
    schedule = sampling_steps(steps)
    for step, following in zip(schedule, [*schedule[1:], None], strict=True):
        now = torch.full((len(x),), step, device=x.device)
        predicted = model(x, now, problem.conditions, memory)
        if guided or following is None:
            joints = triangulate_views(predicted, scene, white)
            joints = joints if merge is None else merge(joints)
        if following is not None:
            consistent = encode(joints, scene, white, skeleton) if guided else predicted
            x = ddim_step(x, consistent, now, torch.full_like(now, following))
    return joints
