"""The plain regressor, a baseline: the denoiser's network asked once for 3D joints, without diffusion or other views.

It is of the same size and is told the same; V0's tokens alone answer. Its output ``(B,T,J+1,3)`` are the joints about
their root, then the root, both relative to what geometry says, along V0's right, down and forward axes, in standard
deviations: the same whitening as the denoiser's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mocap_video.lifter.ablation import Problem
from mocap_video.lifter.diffusion import STEPS
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.views import VIEWS, flat_joints
from mocap_video.skeletons import Skeleton


def regress(model: Denoiser, problem: Problem, memory: Tensor) -> Tensor:
    """Return the network's output ``(B,T,J+1,3)`` from the conditions alone; ``memory (B,V,M,C)`` of the pointmaps."""
    keypoints = problem.conditions.keypoints
    nothing = keypoints.new_zeros(len(keypoints), VIEWS, keypoints.shape[1], keypoints.shape[2] + 2, 2)
    last = torch.full((len(keypoints),), STEPS - 1, device=keypoints.device)
    tokens = model.tokens(nothing, last, problem.conditions, memory)
    return model.head(tokens[:, 0]).unflatten(-1, (-1, 3))


def regression_target(joints: Tensor, problem: Problem, skeleton: Skeleton) -> Tensor:
    """Return the output ``(B,T,J+1,3)`` that means ``joints (B,T,J,3)`` m in the canonical frame."""
    anchor = problem.scene.anchor.point[:, :, None]
    root = joints[..., list(skeleton.root), :].mean(-2, keepdim=True)
    about = (joints - root) - (flat_joints(problem.scene) - anchor)
    return torch.cat([about, root - anchor], 2) @ problem.scene.rig.R[:, None, 0].mT / _std(problem)


def regressed_joints(output: Tensor, problem: Problem) -> Tensor:
    """Return the joints ``(B,T,J,3)`` m in the canonical frame that ``output (B,T,J+1,3)`` means."""
    moved = output * _std(problem) @ problem.scene.rig.R[:, None, 0]
    return flat_joints(problem.scene) + moved[:, :, :-1] + moved[:, :, -1:]


def _std(problem: Problem) -> Tensor:
    return torch.cat([problem.white.joint_std[:, 0], problem.white.root_std[:, 0, :, None]], 2)
