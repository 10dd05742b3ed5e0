"""Pictures as stored: colours agree with those of the converter, and drawing on them with drawing on RGB."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from mocap_video.render.yuv import Layer, lay, yuv420_from_rgb
from mocap_video.types import Yuv420


def blocks(seed: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return ``(H,W,channels)`` uint8 of random colours, each over whole cells of 2 x 2 px."""
    cells = np.random.default_rng(seed).integers(0, 256, (size[1] // 2, size[0] // 2, channels), np.uint8)
    return cells.repeat(2, 0).repeat(2, 1)


def laid(before: np.ndarray, layer: Layer) -> np.ndarray:
    """Return ``before (H,W,3)`` with ``layer``, which lies inside it, laid over it in RGB."""
    (x, y), (height, width) = layer.corner, layer.rgba.shape[:2]
    out = before.astype(float)
    alpha = layer.rgba[..., 3:] / 255.0
    out[y : y + height, x : x + width] *= 1 - alpha
    out[y : y + height, x : x + width] += layer.rgba[..., :3]
    return np.rint(out).astype(np.uint8)


def test_colours_are_those_of_the_converter() -> None:
    rgb = blocks(1, (64, 48), 3)
    expected = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )
    luma, u, v = yuv420_from_rgb(rgb).planes
    whole = expected.to_ndarray()
    np.testing.assert_allclose(luma.astype(int), whole[:48].astype(int), atol=2)  # levels
    # the converter filters colour across cells: compared where that makes no difference
    flat = yuv420_from_rgb(np.full((8, 8, 3), (200, 30, 60), np.uint8))
    assert [int(plane[0, 0]) for plane in flat.planes] == pytest.approx([75, 124, 201], abs=1)  # levels, by BT.709
    assert u.shape == v.shape == (24, 32)


@pytest.mark.parametrize("corner", [(0, 0), (7, 4), (10, 3), (31, 21)])
def test_a_layer_lies_where_and_as_it_would_in_rgb(corner: tuple[int, int]) -> None:
    before = blocks(2, (64, 48), 3)
    rgba = blocks(3, (24, 20), 4)
    rgba[..., :3] = rgba[..., :3] * (rgba[..., 3:] / 255.0)
    layer = Layer(corner, rgba)
    picture = yuv420_from_rgb(before)
    lay(picture, layer)
    expected = yuv420_from_rgb(laid(before, layer))
    np.testing.assert_allclose(picture.planes[0].astype(int), expected.planes[0].astype(int), atol=2)  # levels
    if corner[0] % 2 == corner[1] % 2 == 0:  # elsewhere a cell's colour is covered in part: its average differs
        np.testing.assert_allclose(picture.data.astype(int), expected.data.astype(int), atol=2)  # levels


@pytest.mark.parametrize("corner", [(-10, -7), (60, 40), (-30, 5), (5, 61)])
def test_what_falls_outside_is_cut_off(corner: tuple[int, int]) -> None:
    picture = yuv420_from_rgb(np.full((48, 64, 3), 90, np.uint8))
    before = picture.data.copy()
    lay(picture, Layer(corner, np.full((20, 24, 4), 255, np.uint8)))
    x, y = corner
    rows, columns = np.mgrid[:48, :64]
    inside = (columns >= x) & (columns < x + 24) & (rows >= y) & (rows < y + 20)
    assert np.array_equal(picture.planes[0] != before[:48], inside)


def test_a_clear_layer_changes_nothing() -> None:
    picture = yuv420_from_rgb(blocks(4, (32, 32), 3))
    before = picture.data.copy()
    lay(picture, Layer((3, 5), np.zeros((9, 11, 4), np.uint8)))
    assert np.array_equal(picture.data, before)


def test_odd_sides_are_made_even() -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (49, 65, 3), np.uint8)
    luma = yuv420_from_rgb(rgb).planes[0]
    assert luma.shape == (50, 66)
    assert np.array_equal(luma[:, 65], luma[:, 64])
    assert np.array_equal(luma[49], luma[48])


def test_a_picture_of_another_make_is_refused() -> None:
    for data in (np.zeros((4, 4), np.uint8), np.zeros((6, 4), np.float32), np.zeros((6, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"Yuv420\.data: expected"):
            Yuv420(data)
