"""Encoded videos joined into one without encoding them again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from mocap_video.artifacts import atomic_write, storage_errors
from mocap_video.errors import VideoError
from mocap_video.pipeline.video import TIME_BASE, ticks_between


@dataclass(frozen=True)
class Segment:
    """A video of ``VideoWriter`` and the time ``first_s`` s of its first frame."""

    path: Path
    first_s: float


def join_videos(segments: Sequence[Segment], path: Path) -> None:
    """Write ``segments``, in the order of their times, to ``path`` as one H.264 faststart mp4, whole or not at all.

    Each must have been written with the first one's time as origin: then every frame has the very time stamp that it
    would have in a video written at once.
    """
    with atomic_write(path) as partial, storage_errors(path), contextlib.ExitStack() as stack:
        try:
            target = stack.enter_context(av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}))
            stream = None
            for segment in segments:
                shift = ticks_between(segments[0].first_s, segment.first_s)
                with av.open(str(segment.path.absolute())) as source:
                    stream = stream or _like(source, target)
                    _copy(source, target, stream, shift)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # the disk's fault
                raise
            raise VideoError(f"{path}: its segments cannot be joined ({error}).") from error


def _like(source: InputContainer, target: OutputContainer) -> VideoStream:
    stream = target.add_stream_from_template(source.streams.video[0])
    assert isinstance(stream, VideoStream)
    stream.time_base = TIME_BASE
    return stream


def _copy(source: InputContainer, target: OutputContainer, stream: VideoStream, shift: int) -> None:
    """Copy all packets of ``source``, ``shift`` ticks later. There are no B-frames, so they are in order."""
    for packet in source.demux(source.streams.video[0]):
        if packet.size == 0 or packet.pts is None:
            continue
        packet.dts = packet.pts = packet.pts + shift
        packet.stream = stream
        target.mux(packet)
