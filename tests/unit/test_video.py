"""Video in and out: true times, upright pictures, honest colours, and a clear error for what cannot be used."""

from __future__ import annotations

import itertools
import logging
import resource
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from mocap_video.errors import ConfigError, InputError, StorageError, VideoError
from mocap_video.pipeline.time_stamps import repair_times
from mocap_video.pipeline.video import Footage, VideoWriter, probe, read_frames, read_stored_frames
from mocap_video.render.yuv import yuv420_from_rgb
from synth import videos

UNEVEN_S = [0.0, 0.040, 0.053, 0.200, 0.2334, 0.5, 0.533, 1.1]


def _numbers(path: Path, **span: float) -> list[int]:
    return [videos.number_of(frame.rgb) for frame in read_frames(path, **span)]


# x264 reorders by two B-frames by default; AVI and raw H.264 carry no usable time stamps for them
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".h264"])
def test_demuxed_times_are_those_of_the_decoded_frames(tmp_path: Path, suffix: str) -> None:
    path = videos.make_video(tmp_path / f"clip{suffix}", 24)
    info = probe(path)
    frames = list(read_frames(path))
    assert [videos.number_of(frame.rgb) for frame in frames] == list(range(24))
    assert [frame.index for frame in frames] == list(range(24))
    assert [frame.time_s for frame in frames] == info.time_s.tolist()
    np.testing.assert_allclose(info.time_s, np.arange(24) / 30, atol=1e-3)  # s
    assert info.rate == 30
    assert info.size == (64, 48)


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", times_s=UNEVEN_S)
    np.testing.assert_allclose(probe(path).time_s, UNEVEN_S, atol=1e-4)  # s


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "clip.mkv", times_s=[3.0, 3.5, 4.0])
    np.testing.assert_allclose(probe(path).time_s, [0, 0.5, 1.0], atol=1e-3)  # s


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("first", [1, 19, 20, 45])
def test_a_span_is_found_by_seeking(tmp_path: Path, suffix: str, first: int) -> None:
    path = videos.make_video(tmp_path / f"clip{suffix}", 60, options={"g": "10", "bf": "3"})
    assert _numbers(path, start_s=first / 30 - 0.01, end_s=first / 30 + 0.15) == list(range(first, first + 5))


def test_a_span_ends_before_its_end(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 30)
    assert _numbers(path, start_s=0.5, end_s=0.6) == [15, 16, 17]


VARIABLE_S = np.cumsum(np.random.default_rng(2).choice([0.017, 0.033, 0.05, 0.4], 90)).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("times_s", [None, VARIABLE_S], ids=["even", "variable"])
@pytest.mark.parametrize(
    "options", [{"g": "12", "bf": "3"}, {"g": "250"}, {"g": "20", "bf": "2", "x264-params": "open-gop=1"}]
)
def test_pieces_read_by_seeking_are_the_frames_read_in_order(
    tmp_path: Path, suffix: str, times_s: list[float] | None, options: dict[str, str]
) -> None:
    if suffix == ".avi" and times_s is not None:
        pytest.skip("AVI knows no variable rate")
    path = videos.make_video(tmp_path / f"clip{suffix}", 90, times_s=times_s, options=options)
    in_order, footage = list(read_frames(path)), Footage(path)
    assert [videos.number_of(frame.rgb) for frame in in_order] == list(range(90))
    borders = [0, 1, 11, 12, 13, 40, 59, 60, 88, 90]
    for read in (footage.frames, footage.stored_frames):
        pieces = [frame for a, b in itertools.pairwise(borders) for frame in read(a, b)]
        assert [(frame.index, frame.time_s) for frame in pieces] == [(f.index, f.time_s) for f in in_order]
    for frame in footage.frames(40, 60):
        np.testing.assert_array_equal(frame.rgb, in_order[frame.index].rgb)
    assert footage.part(None, None) == (0, 90)


@pytest.mark.parametrize("span", [{"start_s": 5.0}, {"start_s": 0.3, "end_s": 0.2}, {"end_s": 0.0}])
def test_a_span_outside_the_clip_is_refused(tmp_path: Path, span: dict[str, float]) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 12)
    with pytest.raises(ConfigError, match=r"clip\.mp4"):
        read_frames(path, **span)


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_rotation_metadata_is_applied_once(tmp_path: Path, rotation_deg: int) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 6, rotation_deg=rotation_deg)
    with av.open(str(path)) as container:
        stored = (container.streams.video[0].width, container.streams.video[0].height)
    info = probe(path)
    assert info.rotation_deg == rotation_deg
    assert info.size == (64, 48)
    assert stored == ((64, 48) if rotation_deg == 180 else (48, 64))
    for frame in read_frames(path):
        np.testing.assert_allclose(frame.rgb.astype(int), videos.picture(frame.index), atol=60)  # levels
        assert frame.rgb.flags.c_contiguous


@pytest.mark.parametrize(
    ("pix_fmt", "size"),
    [("yuv420p10le", (64, 48)), ("gray", (64, 48)), ("yuv422p", (64, 48)), ("yuv444p", (65, 49)), ("gray", (65, 49))],
)
def test_any_pixel_format_and_size(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 6, size=size, pix_fmt=pix_fmt)
    frames = list(read_frames(path))
    assert probe(path).size == size
    assert [videos.number_of(frame.rgb) for frame in frames] == list(range(6))
    assert all(frame.rgb.shape == (size[1], size[0], 3) and frame.rgb.dtype == np.uint8 for frame in frames)
    if pix_fmt == "gray":
        assert np.ptp(frames[0].rgb.astype(int), axis=-1).max() == 0


def test_interlaced_frames_are_read(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "clip.ts", 12, options={"x264-params": "tff=1"})
    assert _numbers(path) == list(range(12))


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (321, 241)])
def test_colours_survive_the_round_trip(tmp_path: Path, size: tuple[int, int]) -> None:
    colours = np.array([[220, 20, 20], [20, 200, 20], [20, 20, 220], [240, 240, 240], [16, 16, 16]], np.uint8)
    rgb = np.repeat(np.repeat(colours[None], size[1], 0), size[0] // 5 + 1, 1)[:, : size[0]]
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, size) as writer:
        writer.write(rgb, 0.0)
    frame = next(read_frames(path))
    centers = (np.arange(5) + 0.5) * size[0] / 5
    np.testing.assert_allclose(frame.rgb[size[1] // 2, centers.astype(int)].astype(int), colours, atol=4)  # levels


def test_an_unlabelled_small_video_is_bt601(tmp_path: Path) -> None:
    frame = next(read_frames(videos.make_video(tmp_path / "clip.mp4", 1)))
    np.testing.assert_allclose(frame.rgb[36, 16].astype(int), [200, 30, 30], atol=4)  # levels


def test_writer_keeps_the_times_and_makes_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / 'out "put" <script>' / "clip's.mp4"
    with VideoWriter(path, (64, 48)) as writer:
        for number, time_s in enumerate(UNEVEN_S):
            writer.write(videos.picture(number), 12.5 + time_s)
    np.testing.assert_allclose(probe(path).time_s, UNEVEN_S, atol=1e-3)  # s
    assert _numbers(path) == list(range(len(UNEVEN_S)))
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")  # faststart
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.profile, stream.pix_fmt) == ("h264", "High", "yuv420p")
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base >= UNEVEN_S[-1]
    assert list(path.parent.iterdir()) == [path]


def test_writer_pads_odd_sides(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (65, 49)) as writer:
        writer.write(videos.picture(5, (65, 49)), 0.0)
    frame = next(read_frames(path))
    assert frame.rgb.shape == (50, 66, 3)
    assert videos.number_of(frame.rgb[:49, :65]) == 5


def test_writer_refuses_frames_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(ValueError, match="expected"), VideoWriter(path, (64, 48)) as writer:
        writer.write(videos.picture(0), 0.0)
        writer.write(videos.picture(1), 0.0)
    with pytest.raises(ValueError, match=r"expected \(48, 64, 3\)"), VideoWriter(path, (64, 48)) as writer:
        writer.write(videos.picture(0, (66, 48)), 0.0)
    with pytest.raises(VideoError, match="no frame"), VideoWriter(path, (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_the_last_good_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(error), VideoWriter(path, (64, 48)) as writer:
        writer.write(videos.picture(0), 0.0)
        raise error
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), dtype=np.uint8)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))  # bytes: the kernel refuses to write more
    try:
        with pytest.raises(StorageError, match=r"clip\.mp4: cannot be written"):  # noqa: SIM117
            with VideoWriter(tmp_path / "clip.mp4", (320, 240)) as writer:
                for number, rgb in enumerate(noise):
                    writer.write(rgb, number / 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


def _make_empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _make_garbage(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    return path


def _make_folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "no such file"),
        (_make_folder, "got a folder"),
        (_make_empty, "zero bytes"),
        (_make_garbage, "not a video"),
        (videos.make_audio, "got only audio"),
        (videos.make_without_frames, "recording is empty"),
        (videos.make_truncated, "cut off before its index"),
    ],
)
@pytest.mark.parametrize("use", [probe, read_frames])
def test_unusable_files_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], message: str, use: Callable[[Path], object]
) -> None:
    path = make(tmp_path / "it's a <script> clip.mp4")
    with pytest.raises(VideoError, match=message) as caught:
        use(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 3


def test_undecodable_packets_are_refused(tmp_path: Path) -> None:
    content = bytearray(videos.make_video(tmp_path / "whole.mp4", 10).read_bytes())
    data = content.find(b"mdat") + 4
    content[data:] = bytes(len(content) - data)
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match="got none of 10 packets"):
        probe(path)


def test_a_cut_video_yields_what_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = videos.make_cut(tmp_path / "clip.mp4", 60)
    with caplog.at_level(logging.WARNING):
        info = probe(path)
        frames = list(read_frames(path))
    assert 10 < len(frames) <= len(info) < 50
    assert [videos.number_of(frame.rgb) for frame in frames] == [round(frame.time_s * 30) for frame in frames]
    assert f"{60 - len(info)} of 60 frames cannot be read" in caplog.text
    assert f"{60 - len(frames)} of 60 frames were lost" in caplog.text


def test_corrupt_packets_cost_their_own_frames_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = videos.make_corrupt(tmp_path / "clip.mp4", 60)
    with caplog.at_level(logging.WARNING):
        assert len(probe(path)) == 60
        assert caplog.text == ""
        frames = list(read_frames(path))
    assert 30 < len(frames) < 60
    assert {frame.index for frame in frames} > set(range(40, 60))  # whole again from the next key frame on
    assert [round(frame.time_s * 30) for frame in frames] == [frame.index for frame in frames]
    assert f"{60 - len(frames)} of 60 frames were lost" in caplog.text


def test_packets_before_the_first_key_frame_are_no_part_of_the_clip(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = videos.make_video(tmp_path / "whole.ts", 60, options={"g": "20", "bf": "0"}).read_bytes()
    packets = [content[start : start + 188] for start in range(0, len(content), 188)]
    starts = [i for i, packet in enumerate(packets) if packet[1] & 0x40 and packet[1] & 0x1F == 1]
    path = tmp_path / "clip.ts"
    path.write_bytes(b"".join(packets[: starts[0]] + packets[starts[10] :]))
    with caplog.at_level(logging.WARNING):
        info = probe(path)
    assert info.time_s[0] == 0
    assert _numbers(path) == list(range(20, 60))
    np.testing.assert_allclose(info.time_s, np.arange(40) / 30, atol=1e-3)  # s
    assert "10 of 50 frames cannot be read" in caplog.text


def test_a_clock_that_starts_again_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = videos.make_video(tmp_path / "part.ts", 60, options={"bf": "0"}).read_bytes()
    path = tmp_path / "clip.ts"
    path.write_bytes(part + part)
    with caplog.at_level(logging.WARNING):
        info = probe(path)
    assert "have been repaired" in caplog.text
    assert (np.diff(info.time_s) > 0).all()
    np.testing.assert_allclose(np.diff(info.time_s), 1 / 30, atol=2e-3)  # s
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == info.time_s[: len(frames)].tolist()
    assert [videos.number_of(frame.rgb) for frame in frames][-60:] == list(range(60))


@pytest.mark.parametrize(
    ("given", "repaired"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 1, 3], [0, 1, 2, 3]),
        ([0, 2, 1, 3], [0, 1, 2, 3]),
        ([0, 1, 2, 2], [0, 1, 2, 2.1]),
        ([np.nan, np.nan, np.nan], [0, 0.1, 0.2]),
        ([np.nan, 1, np.nan, 3, np.nan], [0.9, 1, 2, 3, 3.1]),
        ([5, 6, 7, 0, 1], [5, 6, 7, 7.1, 8.1]),
    ],
)
def test_times_are_repaired(given: list[float], repaired: list[float]) -> None:
    # steps of seconds, so what goes back by 1 is disorder and by 7 a new start
    np.testing.assert_allclose(repair_times(np.array(given, float), 0.1), repaired, atol=1e-9)  # s


def test_frames_stream(tmp_path: Path) -> None:
    frames = read_frames(videos.make_video(tmp_path / "clip.mp4", 30))
    assert iter(frames) is frames  # not a list
    assert next(frames).index == 0
    assert next(frames).index == 1


@pytest.mark.parametrize(
    ("pix_fmt", "size", "rotation_deg"),
    [
        ("yuv420p", (64, 48), 0),
        ("yuv420p", (1280, 720), 0),
        ("yuv444p", (65, 49), 0),
        ("yuv420p", (64, 48), 90),
        ("yuv420p", (64, 48), 180),
        ("yuv420p", (64, 48), 270),
        ("yuvj420p", (64, 48), 0),
        ("yuv420p10le", (64, 48), 0),
        ("yuv444p", (64, 48), 0),
        ("gray", (64, 48), 0),
    ],
)
def test_stored_frames_are_the_frames(tmp_path: Path, pix_fmt: str, size: tuple[int, int], rotation_deg: int) -> None:
    path = videos.make_video(tmp_path / "clip.mp4", 3, size=size, pix_fmt=pix_fmt, rotation_deg=rotation_deg)
    for frame, stored in zip(read_frames(path), read_stored_frames(path), strict=True):
        assert (stored.index, stored.time_s) == (frame.index, frame.time_s)
        expected = yuv420_from_rgb(frame.rgb)
        assert stored.picture.size == expected.size
        away = np.abs(stored.picture.data.astype(int) - expected.data)
        assert np.median(away) <= 2  # levels; more only where colours meet, which either way blurs
        assert np.mean(away > 4) < 0.15
