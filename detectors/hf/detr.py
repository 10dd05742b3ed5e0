"""RT-DETR, RT-DETRv2 and D-FINE of transformers as networks from images to boxes of people.

Zhao et al., DETRs Beat YOLOs on Real-time Object Detection, 2023; Peng et al., D-FINE, 2024.
"""

from __future__ import annotations

from typing import Any

import torch

from mocap_video.detectors.boxes import InputForm
from mocap_video.detectors.hf.models import load_model

FORM = InputForm(640, keep_aspect=False, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), blue_first=False)
"""What these networks are trained on: the image stretched to a square, colours from 0 to 1."""

_PERSON = 0


class Detr(torch.nn.Module):
    """A model for object detection whose answer is one box and the logits of all classes a query."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return boxes ``(M,5)``, see ``BoxDetector``, for each of the RGB images ``(N,3,640,640)`` in [0, 1]."""
        answer = self.model(pixel_values=pixels)
        score, order = answer.logits[..., _PERSON].float().sigmoid().sort(-1, descending=True)
        centre, size = answer.pred_boxes.float().split(2, -1)
        height, width = pixels.shape[-2:]
        corners = torch.cat([centre - size / 2, centre + size / 2], -1) * pixels.new_tensor(
            [width, height, width, height], dtype=torch.float32
        )
        corners = corners.gather(1, order[..., None].expand(-1, -1, 4))
        return list(torch.cat([corners, score[..., None]], -1))


def load_detr(weights: str) -> tuple[Detr, tuple[str, ...]]:
    """Return the network of the list's entry ``weights``, such as rtdetr-r50-hf, and the SHA-256 of its files."""
    model, digests = load_model("AutoModelForObjectDetection", weights)
    return Detr(model), digests
