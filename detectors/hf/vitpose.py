"""ViTPose of transformers as a network from crops to heatmaps (Xu et al., ViTPose, 2022)."""

from __future__ import annotations

from typing import Any

import torch

from mocap_video.detectors.hf.models import load_model


class ViTPoseHF(torch.nn.Module):
    """A ``VitPoseForPoseEstimation`` with 17 keypoints."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return heatmaps ``(N,17,64,48)`` of normalised RGB crops ``(N,3,256,192)``."""
        return self.model(pixel_values=pixels).heatmaps


def load_vitpose(weights: str) -> tuple[ViTPoseHF, tuple[str, ...]]:
    """Return the network of the list's entry ``weights``, such as vitpose-b-hf, and the SHA-256 of its files."""
    model, digests = load_model("VitPoseForPoseEstimation", weights)
    return ViTPoseHF(model), digests
