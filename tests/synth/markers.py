"""A person of coloured markers, and networks that see nothing else: what perfect backends would say of known places.

The networks stand where a backend's own would, take the same pixels and answer in the same form, so that everything
about them is tested to a fraction of a pixel: crop, colour, flip, decoding, scaling. A backend's own network, of random
weights, runs beside them and must agree in shape.
"""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
import torch

from mocap_video.detectors.boxes import InputForm
from mocap_video.detectors.heatmaps import SIGMA
from mocap_video.detectors.topdown import CROP_SIZE, MEAN, STD
from mocap_video.skeletons import COCO17

HEATMAP_SIZE = (48, 64)
RADIUS = 11.0
PEAK = 0.97
# A person 600 px tall who faces the camera, px from the feet's middle; the left side is at the right.
PERSON = np.array([
    [0, -540], [26, -575], [-26, -575], [55, -545], [-55, -545], [95, -470], [-95, -470], [140, -380], [-140, -380],
    [120, -290], [-120, -290], [62, -270], [-62, -270], [66, -140], [-66, -140], [64, -10], [-64, -10],
], float)  # fmt: skip
_PAIR = [min(j, COCO17.flip[j]) for j in range(len(COCO17))]
_OWN = sorted(set(_PAIR))
_COLOURS = 255 * np.array([colorsys.hsv_to_rgb(k / len(_OWN), 1, 1) for k in range(len(_OWN))])
_REACH = 60.0
_LARGEST_SPREAD = 0.06
_LEAST_MASS = 2.0
_LEAST_COLOURS = 5


def draw_markers(rgb: np.ndarray, xy: np.ndarray, radius: float = RADIUS) -> None:
    """Draw discs of ``radius`` px at ``xy (17,2)`` px into ``rgb (H,W,3)``, with soft edges, so between pixels too."""
    reach = int(radius) + 2
    for joint, (x, y) in enumerate(xy):
        left, top = (max(0, round(float(v)) - reach) for v in (x, y))
        patch = rgb[top : max(top, round(float(y)) + reach), left : max(left, round(float(x)) + reach)]
        rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
        cover = np.clip(radius + 0.5 - np.hypot(columns + left - x, rows + top - y), 0, 1)[..., None]
        patch[:] = np.round((1 - cover) * patch + cover * _COLOURS[_OWN.index(_PAIR[joint])])


@cache
def marked_picture(size: tuple[int, int] = (1280, 1000), feet: tuple[float, float] = (602.3, 870.6)) -> np.ndarray:
    """Return a grey picture of ``size`` (W, H) with ``PERSON`` standing at ``feet`` px."""
    rgb = np.full((size[1], size[0], 3), 118, np.uint8)
    draw_markers(rgb, PERSON + feet)
    return rgb


def _weights(rgb: torch.Tensor) -> torch.Tensor:
    """Return how much each pixel of ``rgb (N,3,H,W)``, 0 to 255, has each marker colour: ``(N,9,H,W)`` in [0, 1]."""
    colours = torch.tensor(_COLOURS, dtype=torch.float32).view(1, -1, 3, 1, 1)
    return (1 - (rgb[:, None] - colours).norm(dim=2) / _REACH).clamp_min(0)


class MarkerKeypoints(torch.nn.Module):
    """From crops to heatmaps with a Gaussian at each marker; of a pair the left one is the one farther right."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        rgb = pixels.float() * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
        weights = _weights(rgb)
        joints = [self._one(weights[:, _OWN.index(_PAIR[j])], j) for j in range(len(COCO17))]
        return torch.stack(joints, 1) + 0 * self.network(pixels)

    def _one(self, weight: torch.Tensor, joint: int) -> torch.Tensor:
        """Return the heatmaps ``(N,64,48)`` of ``joint`` from the ``weight (N,256,192)`` of its colour."""
        width, height = CROP_SIZE
        x, y = torch.arange(width), torch.arange(height)[:, None]
        if joint != COCO17.flip[joint]:
            middle = (weight * x).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)
            is_left = COCO17.names[joint].startswith("left")
            weight = weight * ((x > middle[:, None, None]) if is_left else (x < middle[:, None, None]))
        mass = weight.sum((1, 2)).clamp_min(1e-6)
        cx, cy = (weight * x).sum((1, 2)) / mass, (weight * y).sum((1, 2)) / mass
        off = (x - cx[:, None, None]) ** 2 + (y - cy[:, None, None]) ** 2
        compact = ((weight * off).sum((1, 2)) / mass).sqrt() < _LARGEST_SPREAD * height
        peak = torch.where(compact, PEAK * (mass / _LEAST_MASS).clamp_max(1), 0.0)
        columns, rows = HEATMAP_SIZE
        u = torch.arange(columns) - cx[:, None, None] * (columns - 1) / (width - 1)
        v = torch.arange(rows)[:, None] - cy[:, None, None] * (rows - 1) / (height - 1)
        return peak[:, None, None] * torch.exp(-(u**2 + v**2) / (2 * SIGMA**2))


class MarkerBoxes(torch.nn.Module):
    """From images to the box about all markers, where enough colours are there."""

    def __init__(self, network: torch.nn.Module, form: InputForm) -> None:
        super().__init__()
        self.network, self.form = network, form

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        form = self.form
        values = pixels.float() * torch.tensor(form.std).view(1, 3, 1, 1) + torch.tensor(form.mean).view(1, 3, 1, 1)
        weights = _weights(values.flip(1) if form.blue_first else values)
        own = self.network(pixels)
        return [torch.cat([self._box(each), others]) for each, others in zip(weights, own, strict=True)]

    def _box(self, weights: torch.Tensor) -> torch.Tensor:
        if int((weights.sum((1, 2)) > _LEAST_MASS).sum()) < _LEAST_COLOURS:
            return torch.zeros(0, 5)
        rows, columns = torch.nonzero(weights.amax(0) > 0.2, as_tuple=True)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, torch.tensor(0.9)]
        return torch.stack([edge.float() for edge in edges])[None]
