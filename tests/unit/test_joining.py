"""Videos encoded in pieces and joined are the video encoded at once, time stamps included."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from mocap_video.errors import VideoError
from mocap_video.pipeline.joining import Segment, join_videos
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from synth import videos

UNEVEN_S = np.cumsum(np.random.default_rng(3).choice([1 / 60, 1 / 30, 0.1234567, 1 / 29.97], 40)) + 5.0


def write(path: Path, numbers: range, origin_s: float | None = None) -> Segment:
    with VideoWriter(path, (64, 48), origin_s=origin_s) as writer:
        for number in numbers:
            writer.write(videos.picture(number), float(UNEVEN_S[number]))
    return Segment(path, float(UNEVEN_S[numbers[0]]))


def stamps(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pts or 0 for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("borders", [[], [17], [1, 2, 39]])
def test_joined_is_as_written_at_once(tmp_path: Path, borders: list[int]) -> None:
    write(tmp_path / "whole.mp4", range(40))
    origin_s = float(UNEVEN_S[0])
    edges = [0, *borders, 40]
    segments = [
        write(tmp_path / f"{first}.mp4", range(first, stop), origin_s) for first, stop in itertools.pairwise(edges)
    ]
    joined = tmp_path / "it's <joined>.mp4"
    join_videos(segments, joined)
    assert stamps(joined) == stamps(tmp_path / "whole.mp4")
    np.testing.assert_array_equal(probe(joined).time_s, probe(tmp_path / "whole.mp4").time_s)
    assert [videos.number_of(frame.rgb) for frame in read_frames(joined)] == list(range(40))
    content = joined.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")  # faststart
    with av.open(str(joined)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.profile, stream.pix_fmt) == ("h264", "High", "yuv420p")
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) >= UNEVEN_S[-1] - UNEVEN_S[0]


def test_any_frame_of_a_joined_video_is_found_by_seeking(tmp_path: Path) -> None:
    origin_s = float(UNEVEN_S[0])
    join_videos([write(tmp_path / "a.mp4", range(23)), write(tmp_path / "b.mp4", range(23, 40), origin_s)],
                tmp_path / "joined.mp4")  # fmt: skip
    for number in (0, 22, 23, 24, 39):
        first = next(read_frames(tmp_path / "joined.mp4", start_s=float(UNEVEN_S[number]) - origin_s - 1e-4))
        assert videos.number_of(first.rgb) == number


def test_a_segment_that_is_no_video_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(VideoError, match=r"joined\.mp4: its segments cannot be joined"):
        join_videos([Segment(tmp_path / "a.mp4", 0.0)], tmp_path / "joined.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
