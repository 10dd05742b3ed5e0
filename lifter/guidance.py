"""Triangulation guidance (paper 3.4): the predicted views and the observation become one 3D motion."""

from __future__ import annotations

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.representation import Whitening, decode
from mocap_video.lifter.views import VIEWS, Scene

_OBSERVED_STD_M = 0.02
_UNSURE_STD_M = 0.15
_PREDICTED_STD_M = 0.06


def triangulate_views(x0: Tensor, scene: Scene, white: Whitening) -> Tensor:
    """Return joints ``(B,T,J,3)`` m in the canonical frame of predicted ``x0 (B,V,T,J+2,2)``.

    V0 is replaced by the observation where there is one and weighs by its confidence; other views are predictions of
    equal weight. Weighted linear triangulation; its weights are inverse standard deviations in metres.
    """
    xy, _ = decode(x0, white)
    score = scene.rig.score0
    observed = score > 0
    xy0 = torch.where(observed[..., None], scene.rig.xy0, xy[:, 0])
    std0 = _OBSERVED_STD_M + (1 - score) * _UNSURE_STD_M
    weight0 = torch.where(observed, 1 / std0, torch.full_like(score, 1 / _PREDICTED_STD_M))
    views = torch.cat([xy0[:, None], xy[:, 1:]], 1).transpose(0, 1)
    weight = torch.full_like(views[..., 0], 1 / _PREDICTED_STD_M)
    weight = torch.cat([weight0[None], weight[1:VIEWS]], 0)
    R, t = (value.transpose(0, 1)[:, :, None, None] for value in (scene.rig.R, scene.rig.t))
    return geometry.triangulate(views, R, t, weight)


def observation_gain(score: Tensor) -> Tensor:
    """Share ``(...)`` of a joint's place across V0's ray that the observation decides; 0 where unseen."""
    observed = (_OBSERVED_STD_M + (1 - score) * _UNSURE_STD_M) ** -2
    predicted = (VIEWS - 1) / 2 * _PREDICTED_STD_M**-2
    return torch.where(score > 0, observed / (observed + predicted), torch.zeros_like(score))
