"""Decoded pictures as arrays: colours and orientation, settled once at the border."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from mocap_video.types import Yuv420

logger = logging.getLogger(__name__)

_HD_LINES = 720
_MATRIX_OF_SPACE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes upright: transposed first, then mirrored along x and y."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn that makes the stored picture upright; a mirror, if there is one, comes on top."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def size_of(self, picture: VideoFrame) -> tuple[int, int]:
        """Return (W, H) px of ``picture`` once it is upright."""
        return (picture.height, picture.width) if self.transpose else (picture.width, picture.height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return ``image (H,W)`` or ``(H,W,C)`` upright."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


def orientation_of(picture: VideoFrame, path: Path) -> Orientation:
    """Read the display matrix: a stored point (x, y) is shown at (a x + c y, b x + d y)."""
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
    across, along = max(abs(b), abs(c)), max(abs(a), abs(d))
    if min(across, along) > 0.02 * max(across, along):
        logger.warning("%s: the rotation in its metadata is no multiple of 90 degrees; the nearest is applied", path)
    if across > along:
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)


def rgb_of(picture: VideoFrame, orientation: Orientation) -> np.ndarray:
    """Return the picture upright, (H,W,3) uint8 RGB. An unlabelled one is taken as players take it: BT.709 for HD."""
    rgb = picture.reformat(
        format="rgb24",
        src_colorspace=_matrix_of(picture),
        src_color_range=picture.color_range,
        dst_color_range=ColorRange.JPEG,
    )
    return orientation.apply(rgb.to_ndarray())


def yuv420_of(picture: VideoFrame, orientation: Orientation) -> Yuv420:
    """Return the picture upright; nothing is converted where it is stored like that already."""
    # unlabelled, this format is of limited range; named, it is seen to be the same
    unlabelled = ColorRange.MPEG if picture.format.name == "yuv420p" else ColorRange.UNSPECIFIED
    same = picture.reformat(
        format="yuv420p",
        src_colorspace=_matrix_of(picture),
        src_color_range=picture.color_range or unlabelled,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )
    upright = Yuv420.empty(orientation.size_of(picture))
    for plane, stored in zip(upright.planes, same.planes, strict=True):
        rows = np.frombuffer(memoryview(stored), np.uint8).reshape(stored.height, stored.line_size)[:, : stored.width]
        image = orientation.apply(rows)
        missing = [(0, whole - part) for whole, part in zip(plane.shape, image.shape, strict=True)]
        plane[...] = np.pad(image, missing, mode="edge") if image.shape != plane.shape else image
    return upright


def _matrix_of(picture: VideoFrame) -> Colorspace:
    guess = Colorspace.ITU709 if picture.height >= _HD_LINES else Colorspace.ITU601
    return _MATRIX_OF_SPACE.get(picture.colorspace, guess)
