"""Drawing on pictures as they are stored, so that what nothing is drawn on is neither converted nor touched."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.types import Yuv420

_LUMA_OF_RGB = np.array([0.2126, 0.7152, 0.0722])
"""BT.709."""

_SCALE = np.array([219.0, 224.0, 224.0])[:, None] / 255.0
_OFFSET = np.array([16.0, 128.0, 128.0])[:, None] / 255.0
_COLOUR_RANGE = 2.0 * (1.0 - _LUMA_OF_RGB[[2, 0]])
_WEIGHTS = np.stack([
    _LUMA_OF_RGB,
    (np.array([0.0, 0.0, 1.0]) - _LUMA_OF_RGB) / _COLOUR_RANGE[0],
    (np.array([1.0, 0.0, 0.0]) - _LUMA_OF_RGB) / _COLOUR_RANGE[1],
])  # fmt: skip

_YUV_FROM_RGBA = np.concatenate([_WEIGHTS * _SCALE, _OFFSET], 1).astype(np.float32)
"""(3,4): Y, U, V of RGB that is multiplied by its alpha are multiplied by it too, the offsets with them."""


@dataclass(frozen=True)
class Layer:
    """Something to lay over a picture: ``rgba (h,w,4)`` uint8, RGB multiplied by alpha, its top left pixel at
    ``corner`` (x, y) px.
    """

    corner: tuple[int, int]
    rgba: np.ndarray


def lay(picture: Yuv420, layer: Layer) -> None:
    """Lay ``layer`` over ``picture`` in place; what falls outside is cut off.

    A pixel where alpha is 0 keeps its value, another is within 2 levels of the exact sum.
    """
    (x, y), rgba = _on_whole_cells(layer, picture.size)
    if rgba.size == 0:
        return
    half = cv2.resize(rgba, (rgba.shape[1] // 2, rgba.shape[0] // 2), interpolation=cv2.INTER_AREA)
    colours = cv2.transform(half, _YUV_FROM_RGBA[1:])
    luma, *chroma = picture.planes
    _cover(luma, (x, y), cv2.transform(rgba, _YUV_FROM_RGBA[:1]), rgba[..., 3])
    for plane, drawn in zip(chroma, cv2.split(colours), strict=True):
        _cover(plane, (x // 2, y // 2), drawn, half[..., 3])


def yuv420_from_rgb(rgb: np.ndarray) -> Yuv420:
    """Return ``rgb (H,W,3)`` uint8 as a video stores it."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = Yuv420.empty((width, height))
    half = cv2.resize(rgb, (rgb.shape[1] // 2, rgb.shape[0] // 2), interpolation=cv2.INTER_AREA)
    matrix = _YUV_FROM_RGBA * np.array([1, 1, 1, 255], np.float32)  # opaque: the offsets in full
    luma, u, v = picture.planes
    luma[...] = cv2.transform(rgb, matrix)[..., 0]
    u[...], v[...] = cv2.split(cv2.transform(half, matrix[1:]))
    return picture


def _on_whole_cells(layer: Layer, size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Return corner and ``rgba (h,w,4)`` of the part of ``layer`` inside a picture of ``size`` (W, H) px, with a clear
    rim where that is needed to cover whole 2 x 2 cells, which share a colour.
    """
    (x, y), rgba = layer.corner, layer.rgba
    rgba = rgba[max(-y, 0) : max(size[1] - y, 0), max(-x, 0) : max(size[0] - x, 0)]
    x, y = max(x, 0), max(y, 0)
    if rgba.size == 0:
        return (x, y), rgba
    left, top = x % 2, y % 2
    right, foot = (left + rgba.shape[1]) % 2, (top + rgba.shape[0]) % 2
    if left or top or right or foot:
        rgba = np.pad(rgba, ((top, foot), (left, right), (0, 0)))
    return (x - left, y - top), rgba


def _cover(plane: np.ndarray, corner: tuple[int, int], drawn: np.ndarray, alpha: np.ndarray) -> None:
    """Lay ``drawn (h,w)``, multiplied by its ``alpha (h,w)``, over ``plane`` at ``corner`` px in place; all uint8."""
    x, y = corner
    part = plane[y : y + drawn.shape[0], x : x + drawn.shape[1]]
    part[...] = cv2.add(cv2.multiply(part, cv2.bitwise_not(alpha), scale=1 / 255), drawn)
