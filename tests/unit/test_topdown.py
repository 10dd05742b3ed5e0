"""Top-down keypoints: from a place in the picture, through crop, network and heatmap, back to that place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mocap_video.detectors.heatmaps import SIGMA
from mocap_video.detectors.runtime import Runtime
from mocap_video.detectors.topdown import CROP_SIZE, MEAN, STD, TopDownEstimator, crop, crop_frames
from synth.markers import PERSON, MarkerKeypoints, marked_picture


class Blind(torch.nn.Module):
    """Looks at nothing: heatmaps of zeros."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(pixels), 17, 64, 48)


class Fixed(torch.nn.Module):
    """Answers with a Gaussian at the same cell of every map, whatever it is shown."""

    def __init__(self, cell: tuple[float, float]) -> None:
        super().__init__()
        u, v = torch.arange(48) - cell[0], torch.arange(64)[:, None] - cell[1]
        self.map = 0.9 * torch.exp(-(u**2 + v**2) / (2 * SIGMA**2))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.map.expand(len(pixels), 17, 64, 48)


class Shares(torch.nn.Module):
    """Notes how many crops it is given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.counts.append(len(pixels))
        return pixels.mean((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 17, 64, 48)


@settings(max_examples=20)
@given(st.floats(8, 39), st.floats(8, 55), st.floats(20, 300), st.floats(20, 300), st.floats(-50, 400))
def test_a_cell_lies_where_its_crop_pixel_came_from(u: float, v: float, width: float, height: float, x: float) -> None:
    """The corner cells show the region's corners, so a cell's place in the picture is linear between them."""
    box = np.array([[x, 30.0, x + width, 30 + height]])
    poses = TopDownEstimator(Fixed((u, v)), Runtime()).estimate(np.zeros((300, 500, 3), np.uint8), box)
    tall = max(height, width * 4 / 3)
    left, top = x + width / 2 - 0.625 * tall * 3 / 4, 30 + height / 2 - 0.625 * tall
    expected = [left + u / 47 * 1.25 * tall * 3 / 4, top + v / 63 * 1.25 * tall]
    np.testing.assert_allclose(poses.xy[0], np.tile(expected, (17, 1)), atol=1e-3 * tall)  # px


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("feet", [(602.3, 870.6), (431.75, 640.25)])
def test_markers_come_back_between_pixels(feet: tuple[float, float], flip_test: bool) -> None:
    truth = PERSON + feet
    box = np.array([[*(truth.min(0) - 20.5), *(truth.max(0) + 17.25)]])
    estimator = TopDownEstimator(MarkerKeypoints(Blind()), Runtime(), flip_test=flip_test)
    poses = estimator.estimate(marked_picture(feet=feet), box)
    assert np.abs(poses.xy[0] - truth).max() < 0.5  # px of the picture; a heatmap cell is 12 px
    assert np.abs((poses.xy[0] - truth).mean(0)).max() < 0.2
    assert poses.score.min() > 0.9


def test_people_of_several_pictures_share_batches_and_keep_their_order() -> None:
    pictures = [np.full((50, 60, 3), value, np.uint8) for value in (10, 90, 170)]
    boxes = [np.tile([5.0, 5, 40, 40], (count, 1)) for count in (3, 0, 4)]
    network = Shares()
    together = TopDownEstimator(network, Runtime(), batch=5).estimate_all(pictures, boxes)
    assert network.counts == [5, 2]
    assert [len(poses) for poses in together] == [3, 0, 4]
    for poses, rgb, of_image in zip(together, pictures, boxes, strict=True):
        alone = TopDownEstimator(Shares(), Runtime()).estimate(rgb, of_image)
        np.testing.assert_allclose(poses.xy, alone.xy)
        np.testing.assert_allclose(poses.presence, alone.presence, atol=1e-6)


def test_the_network_is_shown_normalised_rgb() -> None:
    shown: list[torch.Tensor] = []

    class Notes(Blind):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            shown.append(pixels)
            return super().forward(pixels)

    colour = (200, 100, 50)
    rgb, box = np.full((99, 99, 3), colour, np.uint8), np.array([[40.0, 40, 60, 60]])
    TopDownEstimator(Notes(), Runtime()).estimate(rgb, box)
    expected = (np.array(colour) - MEAN) / STD
    np.testing.assert_allclose(shown[0][0, :, 128, 96], expected, atol=1e-5)
    assert shown[0].shape == (1, 3, 256, 192)


def test_the_crop_is_mmposes() -> None:
    pytest.importorskip("mmpose")
    from mocap_video.detectors.openmmlab.shims import load_openmmlab

    load_openmmlab()
    from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine  # pyright: ignore[reportMissingImports]

    rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    for box in ([30.0, 40, 120, 260], [-50, 100, 300, 180], [350, 200, 460, 330]):
        results = {"img": rgb, "bbox": np.array([box], np.float32)}
        placed = GetBBoxCenterScale().transform(results)
        assert placed is not None
        theirs = TopdownAffine(CROP_SIZE, use_udp=True).transform(placed)
        assert theirs is not None
        ours = crop(rgb, crop_frames(np.array([box]))[0])
        off = np.abs(theirs["img"].astype(int) - ours)
        assert np.percentile(off, 99) <= 8  # grey levels of noise: cv2 steps by a 32nd of a pixel


def test_bf16_agrees_with_fp32_to_its_three_digits() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 17, 4, stride=4), torch.nn.Sigmoid())
    rgb, box = marked_picture(), np.array([[400.0, 270, 800, 890]])
    scores = [TopDownEstimator(network, Runtime(precision=p)).estimate(rgb, box).presence for p in ("fp32", "bf16")]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.01)
    assert scores[0] != scores[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 17, 4, stride=4)
    rgb, box = marked_picture(), np.array([[400.0, 270, 800, 890]])
    cpu, cuda = (TopDownEstimator(network, Runtime(device)).estimate(rgb, box) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cpu.presence, cuda.presence, atol=1e-2)
