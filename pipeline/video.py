"""The only decoder and encoder: frames with their true times in, H.264 that browsers play out.

Pixels are those stored in the file, turned upright by its rotation metadata; a pixel aspect ratio other than 1 is left
alone, as a calibration made from decoded images expects. A clip is never held in memory.

A packet that is flagged or found corrupt is left out; an H.264 decoder may still conceal damage inside a frame, and
frames that refer to a damaged one carry its traces until the next key frame.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from mocap_video.artifacts import atomic_write, storage_errors
from mocap_video.errors import ConfigError, VideoError
from mocap_video.pipeline.pictures import Orientation, orientation_of, rgb_of, yuv420_of
from mocap_video.pipeline.time_stamps import repair_times
from mocap_video.render.yuv import yuv420_from_rgb
from mocap_video.types import Frame, StoredFrame, VideoInfo, Yuv420

logger = logging.getLogger(__name__)

TIME_BASE = Fraction(1, 90_000)
# no B-frames: decoding order is display order, so an mp4 of variable rate states its duration right and scrubs well
_ENCODER_OPTIONS = {
    "preset": "superfast", "crf": "22", "profile": "high", "g": "60", "bf": "0",
    "x264-params": "me=dia:subme=0",  # a fixed camera: a fifth less time for 4 % more bytes
}  # fmt: skip
_BT709 = 1  # the number that stands for BT.709 as matrix, primaries and transfer function alike


_REORDER_S = 2.0
"""B-frames make packets come at most this much out of order (seconds); more means that the stamps are wrong."""

_TIME_TOLERANCE_S = 1e-6
"""A frame at 1.4999999 s is at 1.5 s: ticks and decimal seconds round differently."""

_HEAD_FRAMES = 16
"""So many frames are decoded to see whether the demuxer's time stamps are those of the decoded frames."""


def probe(path: Path) -> VideoInfo:
    """Return what the video says of itself. Time stamps come from the packets; only a few frames are decoded, unless
    the stamps prove unusable, which is logged. Raises ``VideoError`` for a file that holds no decodable video.
    """
    return Footage(path).info


def _tell(scan: _Scan) -> None:
    """Log what is amiss with a video."""
    path = scan.info.path
    if scan.absent:
        logger.warning(
            "%s: %d of %d frames cannot be read: the file is cut short or does not start with a key frame",
            path, scan.absent, scan.absent + len(scan.info),
        )  # fmt: skip
    if scan.repaired:
        logger.warning(
            "%s: the time stamps of %d frames were missing, repeated or out of order and have been repaired",
            path, scan.repaired,
        )  # fmt: skip


def read_tags(path: Path) -> dict[str, str]:
    """Return the metadata that the file carries, of the container and of its video stream, by key."""
    with _opened(Path(path)) as (container, stream):
        return {**stream.metadata, **container.metadata}


class Footage:
    """A video that was gone through once, so that its frames can be read from anywhere: a key frame before is found by
    seeking. Numbers and times are those of reading it from the start.

    Raises ``VideoError`` as ``probe`` does, and logs the same.
    """

    def __init__(self, path: Path) -> None:
        self._scan = _scan(Path(path))
        _tell(self._scan)

    @property
    def info(self) -> VideoInfo:
        """What the video says of itself."""
        return self._scan.info

    def part(self, start_s: float | None, end_s: float | None) -> tuple[int, int]:
        """Return the first frame with ``start_s <= time_s < end_s`` and the one after the last; ``ConfigError`` where
        there is none.
        """
        return _part(self._scan, start_s, end_s)

    def frames(self, first: int, stop: int) -> Iterator[Frame]:
        """Yield frames ``first`` to before ``stop`` in display order; those that cannot be decoded are left out."""
        pictures, orientation = _stream_pictures(self._scan, first, stop), self._scan.orientation
        return (Frame(index, time_s, rgb_of(picture, orientation)) for index, time_s, picture in pictures)

    def stored_frames(self, first: int, stop: int) -> Iterator[StoredFrame]:
        """Yield the same frames with their pictures as stored, for what draws on them only."""
        pictures, orientation = _stream_pictures(self._scan, first, stop), self._scan.orientation
        return (StoredFrame(index, time_s, yuv420_of(picture, orientation)) for index, time_s, picture in pictures)


def read_frames(path: Path, *, start_s: float | None = None, end_s: float | None = None) -> Iterator[Frame]:
    """Yield the frames with ``start_s <= time_s < end_s`` in display order, decoding from the key frame before.

    Errors of the file or the range are raised by the call itself. Frames that cannot be decoded are left out, and the
    end of the stream logs how many; ``Frame.index`` counts them all the same, so it always agrees with ``probe``.
    """
    scan = _scan(Path(path))
    pictures = _stream_pictures(scan, *_part(scan, start_s, end_s))
    return (Frame(index, time_s, rgb_of(picture, scan.orientation)) for index, time_s, picture in pictures)


def read_stored_frames(
    path: Path, *, start_s: float | None = None, end_s: float | None = None
) -> Iterator[StoredFrame]:
    """Yield the same frames as ``read_frames`` with their pictures as stored, for what draws on them only."""
    scan = _scan(Path(path))
    pictures = _stream_pictures(scan, *_part(scan, start_s, end_s))
    return (StoredFrame(index, time_s, yuv420_of(picture, scan.orientation)) for index, time_s, picture in pictures)


def read_picture(path: Path, time_s: float) -> np.ndarray:
    """Return the picture shown at ``time_s``, the last one where there are fewer, as ``(H,W,3)`` uint8 RGB.

    Seeks, without the scan that makes frame numbers exact: for one look into a long recording.
    """
    with _opened(path) as (container, stream):
        base = stream.time_base or TIME_BASE
        begin = stream.start_time or 0
        container.seek(begin + int(time_s / base), stream=stream)
        shown = None
        for picture in _decoded(container, stream, path):
            if shown is not None and picture.pts is not None and (picture.pts - begin) * base > time_s:
                break
            shown = picture
        if shown is None:
            raise VideoError(f"{path}: no picture can be decoded near {time_s:.2f} s. The file may be cut off.")
        return rgb_of(shown, orientation_of(shown, path))


def _part(scan: _Scan, start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """Return the first frame in the range of seconds and the one after its last."""
    path, time_s = scan.info.path, scan.info.time_s
    start, end = (0.0 if start_s is None else start_s), (np.inf if end_s is None else end_s)
    if not start < end:
        raise ConfigError(f"{path}: expected a start before the end, got start {start:g} s and end {end:g} s.")
    wanted = np.flatnonzero((time_s > start - _TIME_TOLERANCE_S) & (time_s < end - _TIME_TOLERANCE_S))
    if len(wanted) == 0:
        raise ConfigError(
            f"{path}: no frame from {start:g} s to {end:g} s: the video runs from 0 to {time_s[-1]:.3f} s. "
            "Choose --start and --end inside it."
        )
    return int(wanted[0]), int(wanted[-1]) + 1


def ticks_between(origin_s: float, time_s: float) -> int:
    """Return the time stamp of ``time_s`` s in a file that begins at ``origin_s`` s."""
    return round((time_s - origin_s) / TIME_BASE)


class VideoWriter:
    """Writes an H.264 High yuv420p faststart mp4 that appears under its name only when whole.

    ``size`` (W, H) px of the frames that will come; an odd side is padded by repeating the last column or row, so
    pixels keep their places. Times are those given to ``write``, from the first frame on, to 1/90000 s. Where that
    frame is not the first of all, ``origin_s`` is the time of the one that is: rounding is then that of one whole file.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, origin_s: float | None = None) -> None:
        if min(size) < 2:
            raise ValueError(f"VideoWriter.size: expected at least 2 x 2 px, got {size}")
        self._path = Path(path)
        self._size = size
        self._context = self._encoding()
        self._origin_s = origin_s
        self._first_pts: int | None = None
        self._last_pts = -1

    def __enter__(self) -> VideoWriter:
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def write(self, rgb: np.ndarray, time_s: float) -> None:
        """Append ``rgb (H,W,3)`` uint8, shown from ``time_s`` on (seconds, strictly increasing)."""
        width, height = self._size
        if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"VideoWriter.write: expected ({height}, {width}, 3) uint8, got {rgb.shape} {rgb.dtype}")
        self.write_stored(yuv420_from_rgb(rgb), time_s)

    def write_stored(self, picture: Yuv420, time_s: float) -> None:
        """Append ``picture``, its sides already even, shown from ``time_s`` on. It is not to be changed afterwards."""
        even = tuple(side + side % 2 for side in self._size)
        if picture.size != even:
            raise ValueError(f"VideoWriter.write_stored: expected a picture of {even} px, got {picture.size}")
        if self._origin_s is None:
            self._origin_s = time_s
        pts = ticks_between(self._origin_s, time_s)
        if self._first_pts is None:
            self._first_pts = pts
        pts -= self._first_pts
        if pts <= self._last_pts:
            raise ValueError(f"VideoWriter.write: expected a time after the last frame's, got {time_s} s")
        self._last_pts = pts
        frame = VideoFrame.from_numpy_buffer(picture.data, format="yuv420p")
        frame.pts, frame.time_base = pts, TIME_BASE
        with self._encoder_errors():
            self._container.mux(self._stream.encode(frame))

    @contextlib.contextmanager
    def _encoding(self) -> Iterator[None]:
        with atomic_write(self._path) as partial:
            with self._encoder_errors():
                self._container = av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"})
            try:
                self._stream = self._add_stream()
                yield
                self._finish()
            except BaseException:
                # the file is thrown away: what closing it says adds nothing to the error that is on its way
                with contextlib.suppress(av.error.FFmpegError):
                    self._container.close()
                raise

    def _add_stream(self) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=30, options=_ENCODER_OPTIONS)
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        encoder = stream.codec_context
        encoder.time_base = TIME_BASE
        encoder.color_primaries = encoder.color_trc = encoder.colorspace = _BT709
        encoder.color_range = ColorRange.MPEG
        return stream

    def _finish(self) -> None:
        if self._first_pts is None:
            raise VideoError(f"{self._path}: not written: no frame was given.")
        with self._encoder_errors():
            self._container.mux(self._stream.encode(None))
            self._container.close()

    @contextlib.contextmanager
    def _encoder_errors(self) -> Iterator[None]:
        with storage_errors(self._path):
            try:
                yield
            except av.error.FFmpegError as error:
                if isinstance(error, OSError):  # the disk's fault, not the encoder's
                    raise
                raise VideoError(f"{self._path}: the H.264 encoder failed ({error}).") from error


@dataclass(frozen=True)
class _Packets:
    """The video packets in file order, in ticks of ``time_base``; ``pts`` and ``dts`` (N) NaN where there is none."""

    pts: np.ndarray
    dts: np.ndarray
    key: np.ndarray
    time_base: Fraction
    rate: Fraction
    missing: int
    """Frames that the container's header promises beyond those that are there; 0 where it says nothing."""


@dataclass(frozen=True)
class _Scan:
    """A video's frames and how to find them again.

    ``pts (T)`` ticks in display order if every decoded frame can be told by its stamp, else None: then a frame is known
    by its count from the start. ``seek_to (K,2)`` pts and dts of the key frames, by pts. ``absent`` frames cannot be
    read, ``repaired`` frames had no usable stamp.
    """

    info: VideoInfo
    orientation: Orientation
    pts: np.ndarray | None
    seek_to: np.ndarray
    absent: int
    repaired: int


def _scan(path: Path) -> _Scan:
    with _opened(path) as (container, stream):
        packets = _read_packets(container, stream)
    with _opened(path) as (container, stream):
        head = list(itertools.islice(_decoded(container, stream, path), _HEAD_FRAMES))
    if not head:
        raise VideoError(
            f"{path}: expected at least one decodable frame, got none of {len(packets.pts)} packets. "
            "The recording is empty or damaged; export it again."
        )
    orientation = orientation_of(head[0], path)
    order = np.argsort(packets.pts, kind="stable")
    pts, repaired = packets.pts[order], 0
    head_pts = _stamps_of(head)
    if _stamps_hold(packets) and np.isin(head_pts, pts).all() and (np.diff(head_pts) > 0).all():
        # packets before the first frame that decodes (a recording cut without a key frame) are no part of the clip
        first = int(np.searchsorted(pts, head_pts[0]))
        pts = pts[first:].astype(np.int64)
        time_s = (pts - pts[0]) * float(packets.time_base)
    else:
        pts, first = None, 0
        time_s, repaired = _count_frames(path, packets)
    key = packets.key[order]
    return _Scan(
        info=VideoInfo(path, orientation.size_of(head[0]), packets.rate, time_s, orientation.rotation_deg),
        orientation=orientation,
        pts=pts,
        seek_to=np.stack([packets.pts[order][key], packets.dts[order][key]], -1),
        absent=packets.missing + first,
        repaired=repaired,
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open ``path`` and find its video; every way in which that fails is a ``VideoError`` that says which."""
    if path.is_dir():
        raise VideoError(f"{path}: expected a video file, got a folder. For a folder of clips use: mocap-video batch")
    if not path.exists():
        raise VideoError(f"{path}: no such file. Check the path.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: expected a video, got a file of zero bytes. Copy or export it again.")
    try:
        container = av.open(str(path.absolute()), "r", metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise VideoError(
            f"{path}: not a video, or a recording that was cut off before its index was written ({error.strerror}). "
            "If it is an mp4, copy it again in full or recover it with a repair tool."
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be opened ({error}).") from error
    with container:
        yield container, _video_stream(container, path)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    # a music file's cover picture is a video stream too
    streams = [s for s in container.streams.video if "attached_pic" not in str(s.disposition)]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        found = f"only {', '.join(kinds)}" if kinds else "no stream at all: the recording is empty"
        raise VideoError(f"{path}: expected a video stream, got {found}.")
    stream = streams[0]
    if getattr(stream, "codec_context", None) is None:
        raise VideoError(f"{path}: no decoder for this video's codec. Convert it to H.264, for example with ffmpeg.")
    return stream


def _read_packets(container: InputContainer, stream: VideoStream) -> _Packets:
    pts: list[float] = []
    dts: list[float] = []
    key: list[bool] = []
    outside = 0  # packets that an edit list hides
    with contextlib.suppress(av.error.FFmpegError):  # what is not read counts as missing below
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_discard:
                outside += 1
                continue
            if packet.is_corrupt:
                continue
            pts.append(np.nan if packet.pts is None else packet.pts)
            dts.append(np.nan if packet.dts is None else packet.dts)
            key.append(packet.is_keyframe)
    stamped = not np.isnan(pts).all()
    rates = (stream.average_rate, stream.guessed_rate) if stamped else (stream.guessed_rate, stream.average_rate)
    return _Packets(
        pts=np.array(pts, float),
        dts=np.array(dts, float),
        key=np.array(key, bool),
        time_base=stream.time_base or TIME_BASE,
        rate=next((Fraction(rate) for rate in rates if rate), Fraction(30)),
        missing=max(0, stream.frames - outside - len(pts)),
    )


def _stamps_hold(packets: _Packets) -> bool:
    """Whether every packet has a stamp of its own and the stamps run forward but for B-frames."""
    if len(packets.pts) == 0 or np.isnan(packets.pts).any() or len(np.unique(packets.pts)) < len(packets.pts):
        return False
    back = (np.maximum.accumulate(packets.pts) - packets.pts) * float(packets.time_base)
    return bool(back.max() < _REORDER_S)


def _stamps_of(pictures: Iterable[VideoFrame]) -> np.ndarray:
    return np.array([np.nan if picture.pts is None else picture.pts for picture in pictures], float)


def _count_frames(path: Path, packets: _Packets) -> tuple[np.ndarray, int]:
    """Decode everything to learn the order of the frames; return their times (T) s and how many needed repair."""
    logger.info("%s: time stamps are missing, repeated or out of order; decoding it once to count frames", path)
    with _opened(path) as (container, stream):
        given = _stamps_of(_decoded(container, stream, path)) * float(packets.time_base)
    time_s = repair_times(given, float(1 / packets.rate))
    time_s = time_s - time_s[0]
    kept = np.isclose(given - given[0], time_s, rtol=0, atol=1e-6)
    return time_s, int((~kept).sum())


def _decoded(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[VideoFrame]:
    """Yield the pictures that decode, in display order; the caller counts those that do not come."""
    stream.thread_type = "AUTO"
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            # a packet cut off by the file's end: its error would take whole frames down in a threaded decoder
            pictures = [] if packet.is_corrupt else packet.decode()
        except StopIteration:
            return
        except av.error.InvalidDataError as error:
            logger.debug("%s: a packet does not decode: %s", path, error)
            continue
        except av.error.FFmpegError as error:
            logger.warning("%s: reading stops early: %s", path, error)
            return
        yield from (picture for picture in pictures if not picture.is_corrupt)


def _decoded_from(scan: _Scan, first: int) -> Iterator[VideoFrame]:
    """Yield decoded pictures from one at or before frame ``first`` on."""
    path = scan.info.path
    if scan.pts is not None and first > 0:
        target = scan.pts[first]
        before = scan.seek_to[scan.seek_to[:, 0] <= target]
        # containers index by pts or by dts: whichever lands at or before the target is good
        for stamp in before[-1:].ravel():
            if not np.isfinite(stamp):
                continue
            with _opened(path) as (container, stream):
                with contextlib.suppress(av.error.FFmpegError):  # not seekable: decoded from the start below
                    container.seek(int(stamp), stream=stream)
                pictures = _decoded(container, stream, path)
                head = next(pictures, None)
                if head is not None and head.pts is not None and head.pts <= target:
                    yield head
                    yield from pictures
                    return
    with _opened(path) as (container, stream):
        yield from _decoded(container, stream, path)


def _index_of(stamp: int, pts: np.ndarray) -> int:
    """Return the place of ``stamp`` in ``pts (T)``, which increase; -1 where it is none of them."""
    place = int(np.searchsorted(pts, stamp))
    return place if place < len(pts) and pts[place] == stamp else -1


def _stream_pictures(scan: _Scan, first: int, stop: int) -> Iterator[tuple[int, float, VideoFrame]]:
    """Yield number, time in s and picture, as decoded, of the frames from ``first`` to before ``stop``."""
    path, time_s = scan.info.path, scan.info.time_s
    yielded, last = 0, first - 1
    for count, picture in enumerate(_decoded_from(scan, first)):
        index = count if scan.pts is None or picture.pts is None else _index_of(picture.pts, scan.pts)
        if index >= stop:
            break
        if index <= last:  # before the start, or a stamp that repeats
            continue
        size = scan.orientation.size_of(picture)
        if size != scan.info.size:
            raise VideoError(
                f"{path}: the picture's size changes at {time_s[index]:.2f} s: expected {scan.info.size}, "
                f"got {size}. One calibration holds for one size; split the recording there."
            )
        yield index, float(time_s[index]), picture
        yielded, last = yielded + 1, index
    wanted = stop - first + (scan.absent if stop == len(time_s) else 0)
    if yielded < wanted:
        logger.warning("%s: %d of %d frames were lost: cut off or corrupt", path, wanted - yielded, wanted)
