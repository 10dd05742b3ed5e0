"""RTMDet of mmdet as a network from images to boxes of people (Lyu et al., RTMDet, 2022)."""

from __future__ import annotations

from typing import Any

import torch

from mocap_video.detectors.boxes import InputForm
from mocap_video.detectors.openmmlab.models import build, load_weights, read_config
from mocap_video.detectors.weights import weights_named

FORM = InputForm(640, keep_aspect=True, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), blue_first=True)
"""What RTMDet is trained on."""

_PERSON = 0


class RTMDet(torch.nn.Module):
    """mmdet's model ``name``, such as ``rtmdet_m_8xb32-300e_coco``, with random weights.

    ``threshold``: boxes below are dropped before those that overlap are, which costs most with many.
    """

    def __init__(self, name: str, threshold: float) -> None:
        super().__init__()
        config = read_config("mmdet", "rtmdet", name)
        config.model.test_cfg.score_thr = threshold
        self.model: Any = build("mmdet", config)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return boxes ``(M,5)``, see ``BoxDetector``, for each image ``(N,3,640,640)``, blue first."""
        scores, distances = self.model.bbox_head(self.model.extract_feat(pixels))
        # In 16 bits a coordinate of the image would be off by up to 2 px.
        scores, distances = [s.float() for s in scores], [d.float() for d in distances]
        size = tuple(pixels.shape[-2:])
        meta = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)}
        found = self.model.bbox_head.predict_by_feat(scores, distances, batch_img_metas=[meta] * len(pixels))
        people = [each[each.labels == _PERSON] for each in found]
        return [torch.cat([each.bboxes, each.scores[:, None]], -1) for each in people]


def load_rtmdet(weights: str, threshold: float) -> tuple[RTMDet, tuple[str, ...]]:
    """Return the network of the list's entry ``weights``, such as rtmdet-m, and the SHA-256 of its file."""
    network = RTMDet(weights_named(weights).model, threshold)
    return network, load_weights(network.model, weights)
