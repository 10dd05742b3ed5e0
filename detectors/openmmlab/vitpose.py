"""ViTPose of mmpose as a network from crops to heatmaps (Xu et al., ViTPose, 2022)."""

from __future__ import annotations

from typing import Any

import torch

from mocap_video.detectors.openmmlab.models import build, load_weights, read_config
from mocap_video.detectors.weights import weights_named

_FOLDER = "body_2d_keypoint/topdown_heatmap/coco"


class ViTPose(torch.nn.Module):
    """mmpose's model ``name``, such as ``td-hm_ViTPose-base_8xb64-210e_coco-256x192``, with random weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.model: Any = build("mmpose", read_config("mmpose", _FOLDER, name))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return heatmaps ``(N,17,64,48)`` of normalised RGB crops ``(N,3,256,192)``."""
        return self.model.head(self.model.backbone(pixels))


def load_vitpose(weights: str) -> tuple[ViTPose, tuple[str, ...]]:
    """Return the network of the list's entry ``weights``, such as vitpose-b, and the SHA-256 of its file."""
    network = ViTPose(weights_named(weights).model)
    return network, load_weights(network.model, weights)
