"""Box detectors: what the network is shown, and its boxes in px of the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mocap_video.detectors.boxes import BoxDetector, InputForm
from mocap_video.detectors.runtime import Runtime
from synth.backends import RTMDET_TINY, random_dfine_model, random_rtdetr_model, random_rtmdet

PLAIN = InputForm(64, keep_aspect=True, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), blue_first=False)
STRETCHED = InputForm(64, keep_aspect=False, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), blue_first=True)


class Answers(torch.nn.Module):
    """Gives the same boxes for every image and keeps what it was shown."""

    def __init__(self, *boxes: list[float]) -> None:
        super().__init__()
        self.boxes = torch.tensor(boxes).reshape(-1, 5)
        self.shown = torch.zeros(0)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        self.shown = pixels
        return [self.boxes] * len(pixels)


def test_a_box_of_a_letterboxed_picture_returns_to_its_pixels() -> None:
    """A picture of 128 x 96 px is shown at half its size; edges at 0 are half a pixel before the first centre."""
    network = Answers([10, 20, 30, 40, 0.9], [0, 0, 64, 48, 0.8], [1, 1, 5, 5, 0.1])
    found = BoxDetector(network, PLAIN, Runtime(), threshold=0.5).detect(np.zeros((96, 128, 3), np.uint8))
    np.testing.assert_allclose(found.box_xyxy, [[19.5, 39.5, 59.5, 79.5], [-0.5, -0.5, 127.5, 95.5]])
    np.testing.assert_allclose(found.score, [0.9, 0.8])
    assert np.isnan(found.region).all()
    assert network.shown.shape == (1, 3, 64, 64)
    assert (network.shown[0, :, :48] == 0).all()
    assert (network.shown[0, :, 48:] == 114).all()


def test_a_stretched_picture_returns_by_both_scales_and_its_colours_are_turned() -> None:
    network = Answers([0, 32, 64, 64, 0.9])
    rgb = np.full((100, 200, 3), (255, 0, 51), np.uint8)
    found = BoxDetector(network, STRETCHED, Runtime(), threshold=0.5).detect(rgb)
    np.testing.assert_allclose(found.box_xyxy, [[-0.5, 49.5, 199.5, 99.5]])
    np.testing.assert_allclose(network.shown[0, :, 5, 5], [0.2, 0, 1], atol=1e-6)


def test_a_box_does_not_leave_the_picture() -> None:
    found = BoxDetector(Answers([-9, -9, 99, 99, 0.9]), PLAIN, Runtime(), threshold=0.5).detect(
        np.zeros((96, 128, 3), np.uint8)
    )
    np.testing.assert_allclose(found.box_xyxy, [[-0.5, -0.5, 127.5, 95.5]])


def test_rtmdet_finds_what_mmdets_own_pipeline_finds() -> None:
    mmdet = pytest.importorskip("mmdet")
    network = random_rtmdet(threshold=0.0)
    from mmcv.transforms import Compose  # pyright: ignore[reportMissingImports]

    from mocap_video.detectors.openmmlab.models import read_config
    from mocap_video.detectors.openmmlab.rtmdet import FORM

    assert mmdet.__version__
    rgb = np.random.default_rng(0).integers(0, 256, (240, 400, 3), np.uint8)
    model: Any = network.model
    for level in model.bbox_head.rtm_cls:  # opinions that differ from place to place
        level.weight.data[0] = 1e4 * torch.randn(level.weight[0].shape)
    found = BoxDetector(network, FORM, Runtime(), threshold=0.0).detect(rgb)
    config = read_config("mmdet", "rtmdet", RTMDET_TINY)
    steps = [step for step in config.test_pipeline if step.type not in ("LoadImageFromFile", "LoadAnnotations")]
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmdet"):
        shown = Compose(steps)({"img": rgb[..., ::-1].copy(), "img_id": 0, "img_path": "", "ori_shape": (240, 400),
                                "img_shape": (240, 400)})  # fmt: skip
    assert isinstance(shown, dict)
    theirs = model.test_step({"inputs": [shown["inputs"]], "data_samples": [shown["data_samples"]]})[0].pred_instances
    people = theirs[theirs.labels == 0]
    assert float(people.scores[0] - people.scores[20]) > 0.01
    np.testing.assert_allclose(found.score[:20], people.scores[:20], atol=0.01)
    np.testing.assert_allclose(found.box_xyxy[:20] + 0.5, people.bboxes[:20], atol=0.5)  # px


@pytest.mark.parametrize("random_model", [random_rtdetr_model, random_dfine_model])
def test_the_best_query_comes_first_and_lies_in_the_picture(random_model: Callable[[], torch.nn.Module]) -> None:
    from mocap_video.detectors.hf.detr import FORM, Detr

    rgb = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    found = BoxDetector(Detr(random_model()), FORM, Runtime(), threshold=1e-6).detect(rgb)
    assert len(found) > 5
    assert (np.diff(found.score) <= 0).all()
    assert (found.box_xyxy >= -0.5).all()
    assert (found.box_xyxy <= [159.5, 89.5, 159.5, 89.5]).all()
