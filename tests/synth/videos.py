"""Makers of small test videos, whole and broken, through PyAV.

Every frame says its own number (``picture``, ``number_of``), so a test can tell which frame it got.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FINE = Fraction(1, 90_000)
_BITS = 8
# what turns a picture stored by an upright camera by so many degrees clockwise: a, b, c, d of the display matrix
_TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def picture(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Return ``(H,W,3)`` uint8: ``number`` in black and white bars over the upper half; below, the left half is red."""
    width, height = size
    rgb = np.full((height, width, 3), 128, np.uint8)
    edges = np.linspace(0, width, _BITS + 1).astype(int)
    for bit in range(_BITS):
        rgb[: height // 2, edges[bit] : edges[bit + 1]] = 255 if number >> bit & 1 else 0
    rgb[height // 2 :, : width // 2] = (200, 30, 30)
    return rgb


def number_of(rgb: np.ndarray) -> int:
    """Return the number that ``picture`` wrote into ``rgb (H,W,3)``."""
    height, width = rgb.shape[:2]
    centers = ((np.arange(_BITS) + 0.5) * width / _BITS).astype(int)
    bits = rgb[height // 4, centers].mean(-1) > 128
    return int((bits * (1 << np.arange(_BITS))).sum())


def make_video(
    path: Path,
    count: int = 12,
    *,
    size: tuple[int, int] = (64, 48),
    times_s: Sequence[float] | None = None,
    rate: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation_deg: int = 0,
    frames: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write ``count`` numbered frames at ``rate``, or at ``times_s``; the container follows the suffix of ``path``.

    ``frames``, each ``(H,W,3)`` uint8 of ``size``, stand in for the numbered ones. ``rotation_deg``: the pictures are
    stored as a camera turned by that angle stores them, and the mp4's metadata asks the player to turn them
    clockwise by it.
    """
    times = np.arange(count) / rate if times_s is None else np.asarray(times_s, float)
    movflags = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=movflags) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, VideoStream)
        stored = size[::-1] if rotation_deg in (90, 270) else size
        stream.width, stream.height = stored
        stream.pix_fmt = pix_fmt
        base = Fraction(1, rate) if times_s is None else FINE
        stream.codec_context.time_base = base
        for number, time_s in enumerate(times):
            shown = picture(number, size) if frames is None else frames[number]
            rgb = np.ascontiguousarray(np.rot90(shown, rotation_deg // 90))
            frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(time_s / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation_deg:
        _write_display_matrix(path, _TURNS[rotation_deg])
    return path


def make_audio(path: Path) -> Path:
    """Write half a second of silence and no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        for start in range(0, 22_050, 1024):
            frame = AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_without_frames(path: Path) -> Path:
    """Write a video stream's header and not one frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path


def make_truncated(path: Path) -> Path:
    """Write an mp4 whose index stands at the end, and cut the end off: a recording that was killed."""
    whole = make_video(path.with_suffix(".mov"), 30)  # no faststart
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[: content.find(b"moov")])
    return path


def make_cut(path: Path, count: int = 60, size: tuple[int, int] = (64, 48)) -> Path:
    """Write an mp4 with its index first and half of its frames missing."""
    content = make_video(path, count, size=size, options={"g": "10"}).read_bytes()
    data = content.find(b"mdat")
    path.write_bytes(content[: (data + len(content)) // 2])
    return path


def make_corrupt(path: Path, count: int = 60) -> Path:
    """Write an mp4 of which some packets in the middle are noise."""
    content = bytearray(make_video(path, count, options={"g": "10"}).read_bytes())
    data = content.find(b"mdat")
    start = (data + len(content)) // 2
    noise = np.random.default_rng(0).integers(0, 256, (len(content) - data) // 10, dtype=np.uint8)
    content[start : start + len(noise)] = noise.tobytes()
    path.write_bytes(bytes(content))
    return path


def _write_display_matrix(path: Path, turn: tuple[int, int, int, int]) -> None:
    content = bytearray(path.read_bytes())
    header = content.find(b"tkhd")
    if content[header + 4] != 0:
        raise ValueError(f"{path}: expected a version 0 track header")
    a, b, c, d = (value * 65536 for value in turn)
    struct.pack_into(">9i", content, header + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
