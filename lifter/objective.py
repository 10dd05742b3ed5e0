"""What training minimises: the error of the predicted clean motion, squared while small, linear beyond (Huber).

Method 5 asks for plain mean squares; far cameras with lost anchors then outweigh all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mocap_video.lifter.ablation import Problem, pose_problem
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.diffusion import add_noise, motion_noise, training_steps
from mocap_video.lifter.guidance import triangulate_views
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.regression import regress, regression_target
from mocap_video.lifter.representation import encode, noise_in_views
from mocap_video.lifter.views import VIEWS, build_scene
from mocap_video.skeletons import Skeleton

TARGET_LIMIT = 6.0
"""Targets are bounded to this many standard deviations: a lost anchor must not outweigh a batch."""

HUBER_DELTA = 0.5
"""Where the error turns linear, in standard deviations."""

_WEIGHT = {"local": 1.0, "offset": 4.0, "scale": 2.0, "root": 1.0}
"""Weight of a token's error; the root's tokens are 2 of J + 2, yet move every joint."""

_PLACE_UNIT_M, _POSE_UNIT_M = 0.10, 0.05
"""Errors in space are counted in these units: of the joints where they are, and about their root."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What stage 2 is asked for. ``last_share`` of the windows are noised to the last step, which alone decides when
    lifting takes a single one; the rest are spread over all steps. ``joints``: weight of the errors in space of the
    triangulated views, in metres, beside those of the views' tokens.
    """

    last_share: float = 0.0
    joints: float = 0.0


def lifting_losses(
    model: Denoiser,
    sample: Sample,
    skeleton: Skeleton,
    *,
    multi_view: bool,
    generator: torch.Generator | None = None,
    objective: ObjectiveConfig | None = None,
) -> dict[str, Tensor]:
    """Return the losses (scalars, whitened units squared) of one batch: ``local``, ``offset``, ``scale``, ``joints``.

    Stage 1 (``multi_view`` False) learns one random view of each window from noise, cameras and ground alone; stage 2
    learns all views together, given V0's keypoints, by what ``objective`` asks for.
    """
    objective = objective or ObjectiveConfig()
    ablation, device = model.config.ablation, sample.joints.device
    with torch.no_grad(), torch.autocast(device.type, enabled=False):  # geometry needs all 32 bits
        problem = pose_problem(build_scene(sample.seen, skeleton), ablation, generator)
    if ablation.direct:
        return _regression_losses(model, problem, sample.joints, skeleton)
    scene, white, conditions = problem.scene, problem.white, problem.conditions
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        x0 = encode(sample.joints, scene, white, skeleton).clamp(-TARGET_LIMIT, TARGET_LIMIT)
        step = training_steps(len(x0), device, generator, objective.last_share if multi_view else 0.0)
        solid = motion_noise(sample.seen.time_s, len(skeleton) + 1, generator)
        noisy = add_noise(x0, noise_in_views(solid, scene, white), step)
        views = None
        if not multi_view:
            views = torch.randint(VIEWS, (len(x0), 1), generator=generator, device=device)
            pick = views[:, :, None, None, None].expand(-1, 1, *x0.shape[2:])
            x0, noisy = x0.gather(1, pick), noisy.gather(1, pick)
    memory = model.encode_pointmaps(conditions)
    predicted = model(noisy, step, conditions, memory, views, observed=multi_view)
    valid = conditions.valid[:, None, :, None, None].to(x0.dtype)
    error = huber(predicted - x0) * valid
    frames = valid.sum() * x0.shape[1] * 2
    losses = {
        "loss_local": _WEIGHT["local"] * error[..., :-2, :].sum() / (frames * (x0.shape[3] - 2)),
        "loss_offset": _WEIGHT["offset"] * error[..., -2, :].sum() / frames / 4,
        "loss_scale": _WEIGHT["scale"] * error[..., -1, :].sum() / frames / 4,
    }
    if multi_view and objective.joints > 0:
        with torch.autocast(device.type, enabled=False):
            joints = triangulate_views(predicted.float(), scene, white)
            losses["loss_joints"] = objective.joints * _error_in_space(joints, sample, skeleton)
    return losses


def _error_in_space(joints: Tensor, sample: Sample, skeleton: Skeleton) -> Tensor:
    """Return the mean error of ``joints (B,T,J,3)`` m, of their places and about their root together, in our units."""
    about, truth = (
        points - points[..., list(skeleton.root), :].mean(-2, keepdim=True) for points in (joints, sample.joints)
    )
    valid = sample.seen.valid[:, :, None, None].to(joints.dtype)
    error = huber((joints - sample.joints) / _PLACE_UNIT_M) + huber((about - truth) / _POSE_UNIT_M)
    return (error * valid).sum() / (valid.sum() * len(skeleton) * 3)


def huber(error: Tensor) -> Tensor:
    """Return the square of ``error`` while it is small, growing linearly beyond ``HUBER_DELTA``."""
    return 2 * F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=HUBER_DELTA)


def _regression_losses(model: Denoiser, problem: Problem, joints: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """Losses of the plain regressor: ``local`` of the joints about their root, ``root`` of its place."""
    with torch.no_grad(), torch.autocast(joints.device.type, enabled=False):
        target = regression_target(joints, problem, skeleton).clamp(-TARGET_LIMIT, TARGET_LIMIT)
    output = regress(model, problem, model.encode_pointmaps(problem.conditions))
    valid = problem.conditions.valid[:, :, None, None].to(target.dtype)
    error = huber(output - target) * valid
    values = valid.sum() * 3
    return {
        "loss_local": _WEIGHT["local"] * error[:, :, :-1].sum() / (values * len(skeleton)),
        "loss_root": _WEIGHT["root"] * error[:, :, -1].sum() / values,
    }
