"""The stand-ins that let OpenMMLab run: those that compute, compute the right thing."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("mmpose")

from mocap_video.detectors.openmmlab import shims


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    sides = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp_min(0)
    common = float(sides.prod())
    return common / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - common)


@pytest.mark.parametrize("seed", range(5))
def test_nms_keeps_the_best_of_what_overlaps_and_nothing_else(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner, size = torch.rand(60, 2, generator=generator) * 50, torch.rand(60, 2, generator=generator) * 40 + 1
    boxes, scores = torch.cat([corner, corner + size], -1), torch.rand(60, generator=generator)
    kept = shims.nms(boxes, scores, 0.5).tolist()
    assert (scores[kept].diff() <= 0).all()
    for row in range(60):
        better = [other for other in kept if scores[other] > scores[row]]
        hidden = any(overlap(boxes[row], boxes[other]) > 0.5 for other in better)
        assert (row in kept) != hidden


def test_nms_of_nothing_is_nothing() -> None:
    assert shims.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


def test_nms_counts_pixels_where_it_is_told_to() -> None:
    """Boxes of 10 px that share 5: intersection over union is 1/3 by edges, 6/16 by pixels."""
    boxes = torch.tensor([[0.0, 0, 10, 0], [5, 0, 15, 0]])
    assert len(shims.nms(boxes, torch.tensor([0.9, 0.8]), 0.36, offset=1)) == 1
    assert len(shims.nms(boxes, torch.tensor([0.9, 0.8]), 0.38, offset=1)) == 2


def test_operators_that_are_not_there_say_so_when_called() -> None:
    operators = shims._CompiledOperators()
    with pytest.raises(NotImplementedError, match="roi_align_forward"):
        operators.roi_align_forward()


def test_what_the_adapters_assume_of_the_configs_holds() -> None:
    """Colours, sizes and heatmaps that topdown.py and rtmdet.py have as constants."""
    from mocap_video.detectors import heatmaps, topdown
    from mocap_video.detectors.openmmlab.models import read_config
    from mocap_video.detectors.openmmlab.rtmdet import FORM
    from mocap_video.detectors.weights import known_weights

    for name, weights in known_weights().items():
        if name.endswith("-hf"):
            continue
        if name.startswith("vitpose"):
            config = read_config("mmpose", "body_2d_keypoint/topdown_heatmap/coco", weights.model)
            shown = config.model.data_preprocessor
            assert (tuple(shown.mean), tuple(shown.std), shown.bgr_to_rgb) == (topdown.MEAN, topdown.STD, True)
            assert (config.codec.type, config.codec.input_size, config.codec.sigma) == (
                "UDPHeatmap", topdown.CROP_SIZE, heatmaps.SIGMA)  # fmt: skip
        elif name.startswith("rtmdet"):
            shown = read_config("mmdet", "rtmdet", weights.model).model.data_preprocessor
            assert (tuple(shown.mean), tuple(shown.std), shown.bgr_to_rgb) == (FORM.mean, FORM.std, not FORM.blue_first)
