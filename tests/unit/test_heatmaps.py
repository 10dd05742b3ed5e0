"""Heatmaps: a planted peak comes back to a fraction of a cell, and its height is an honest chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mocap_video.detectors.heatmaps import (
    BOX_MARGIN,
    SIGMA,
    TOLERANCE,
    decode,
    keypoint_scores,
    mirrored_back,
    person_presence,
)
from mocap_video.skeletons import COCO17

ROWS, COLUMNS = 64, 48


def gaussians(cells: np.ndarray, height: float = 1.0) -> torch.Tensor:
    """Return heatmaps ``(N,K,64,48)`` with a Gaussian at each of ``cells (N,K,2)``."""
    x, y = torch.tensor(cells, dtype=torch.float32).unbind(-1)
    u = torch.arange(COLUMNS) - x[..., None, None]
    v = torch.arange(ROWS)[:, None] - y[..., None, None]
    return height * torch.exp(-(u**2 + v**2) / (2 * SIGMA**2))


@settings(max_examples=30)
@given(
    st.floats(0, COLUMNS - 1), st.floats(0, ROWS - 1), st.floats(0.2, 1), st.floats(-0.02, 0.02)
)  # fmt: skip
def test_a_planted_peak_comes_back(x: float, y: float, height: float, level: float) -> None:
    inside = 6 < x < COLUMNS - 7 and 6 < y < ROWS - 7
    cells, peak = decode(gaussians(np.array([[[x, y]]]), height) + level)
    off = np.abs(cells[0, 0].numpy() - [x, y]).max()
    # The border cuts the blur off, and a level of 0.02 bends the logarithm.
    assert off < (0.8 if not inside else 0.2 if level else 0.01)  # cells; one is 2 % of the person's height
    assert float(peak) == pytest.approx(height, abs=0.05 if inside else 0.2)


def test_every_map_is_decoded_by_itself() -> None:
    places = np.random.default_rng(0).uniform(8, 39, (3, 17, 2))
    cells, _ = decode(gaussians(places))
    np.testing.assert_allclose(cells, places, atol=0.01)  # cells


@pytest.mark.parametrize("maps", [torch.zeros(1, 17, ROWS, COLUMNS), torch.full((1, 17, ROWS, COLUMNS), 0.7)])
def test_a_flat_map_gives_a_finite_place(maps: torch.Tensor) -> None:
    cells, _ = decode(maps)
    assert torch.isfinite(cells).all()


def test_noise_moves_a_place_by_a_cell_at_most() -> None:
    maps = torch.rand(4, 17, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) - 0.5
    cells, _ = decode(maps)
    largest = maps.flatten(-2).argmax(-1)
    whole = torch.stack([largest % COLUMNS, largest // COLUMNS], -1)
    assert float((cells - whole).abs().max()) <= 1.0


def test_maps_of_a_mirrored_crop_are_turned_and_renamed() -> None:
    places = np.random.default_rng(1).uniform(8, 39, (1, 17, 2))
    mirrored = places[:, list(COCO17.flip)] * [-1, 1] + [COLUMNS - 1, 0]
    torch.testing.assert_close(mirrored_back(gaussians(mirrored)), gaussians(places), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scatter", [0.3, 0.7, 1.0, 2.0, 4.0])
def test_the_score_is_the_share_that_is_right_when_the_truth_scatters(scatter: float) -> None:
    """The best map in the mean square is the mean of the targets; its peak must tell how often it is right."""
    truths = np.array([24.0, 32.0]) + np.random.default_rng(0).normal(0, scatter, (4000, 1, 2))
    mean = gaussians(truths).mean(0, keepdim=True)
    cells, peak = decode(mean)
    tolerance = TOLERANCE * (ROWS - 1) / BOX_MARGIN
    right = np.linalg.norm(truths[:, 0] - cells[0, 0].numpy(), axis=-1) < tolerance
    assert float(keypoint_scores(peak, ROWS)) == pytest.approx(right.mean(), abs=0.04)


def test_scores_grow_with_the_peak_and_stay_chances() -> None:
    scores = keypoint_scores(torch.linspace(-0.5, 1.5, 50)[None], ROWS)[0]
    assert (scores.diff() >= 0).all()
    assert float(scores[0]) == pytest.approx(0, abs=1e-6)
    assert 0.99 < float(scores[-1]) <= 1


def test_presence_does_not_ask_for_hidden_limbs() -> None:
    peak = torch.full((1, 17), 0.9)
    peak[0, 9:] = 0.05
    assert float(person_presence(peak)) == pytest.approx(0.9)
    assert float(person_presence(torch.full((1, 17), 0.1))) == pytest.approx(0.1)


def test_mmpose_decodes_the_same_places() -> None:
    pytest.importorskip("mmpose")
    from mocap_video.detectors.openmmlab.shims import load_openmmlab

    load_openmmlab()
    from mmpose.codecs import UDPHeatmap  # pyright: ignore[reportMissingImports]

    codec = UDPHeatmap(input_size=(192, 256), heatmap_size=(COLUMNS, ROWS), sigma=SIGMA)
    places = np.random.default_rng(2).uniform(6, 40, (17, 2))
    maps = codec.encode(places[None] * (np.array([191, 255]) / [COLUMNS - 1, ROWS - 1]))["heatmaps"]
    theirs, _ = codec.decode(maps)
    ours, _ = decode(torch.from_numpy(maps)[None])
    np.testing.assert_allclose(ours[0] / torch.tensor([COLUMNS - 1, ROWS - 1]) * torch.tensor([192, 256]),
                               theirs[0], atol=0.1)  # fmt: skip  # px of the crop
