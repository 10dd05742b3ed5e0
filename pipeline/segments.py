"""The videos of a recording: drawn and encoded piece by piece, then joined."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.artifacts import digest_of, storage_errors
from mocap_video.errors import VideoError
from mocap_video.pipeline.config import RenderConfig
from mocap_video.pipeline.joining import Segment, join_videos
from mocap_video.pipeline.lifting import Lifted, Tracks
from mocap_video.pipeline.progress import Advance
from mocap_video.pipeline.render_videos import Scenery, page_of, people_about, write_videos
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.stages import CACHE, SEGMENTS, VIDEOS, StageRunner
from mocap_video.pipeline.trust import load_model
from mocap_video.pipeline.video import Footage
from mocap_video.render.privacy import REACH_S, hide_faces
from mocap_video.stretches import Piece, sampled
from mocap_video.types import Calibration, Keypoints2D


def render_recording(
    footage: Footage,
    pieces: Sequence[Piece],
    lifted: Lifted,
    calibration: Calibration,
    config: RenderConfig,
    folder: Path,
    runner: StageRunner,
    *,
    clip_digest: str,
    hidden: Tracks | None = None,
) -> None:
    """Write the videos of ``pieces`` of ``footage`` into ``folder``; the faces of ``hidden`` people are blurred.

    Pieces of video lie in the cache until all are joined; a run that was killed goes on from the last.
    """
    courses = [(course.person, course.time_s) for course in lifted.people.courses]
    made_of = (clip_digest, list(pieces), calibration, courses, list(lifted.keys), lifted.body.digest)
    inputs = (*made_of, load_model(), config, list(hidden.keys) if hidden else [])
    paths = [folder / name for name in VIDEO_NAMES]
    cache = folder / CACHE / SEGMENTS.name
    total = pieces[-1].stop - pieces[0].first

    def write(advance: Advance) -> None:
        scenery = Scenery(calibration, lifted.body, page_of(lifted.people, calibration, config), config)
        drawn = _Drawing(footage, lifted, scenery, runner, cache / digest_of(inputs), hidden)
        rows: list[list[Segment]] = []
        for piece in pieces:
            segments = drawn.segments(piece, (inputs, piece.index), rows[0][0].first_s if rows else None, advance)
            if segments:  # of a piece that cannot be decoded there are none
                rows.append(segments)
        if not rows:
            raise VideoError(f"{footage.info.path}: no frame could be decoded for the videos. Copy the clip again.")
        for path, segments in zip(paths, zip(*rows, strict=True), strict=True):
            join_videos(segments, path)

    runner.files(VIDEOS, inputs, paths, write, total=total)
    with storage_errors(cache):
        shutil.rmtree(cache, ignore_errors=True)


@dataclass(frozen=True)
class _Drawing:
    """What the pieces of the videos share; they lie under ``folder``."""

    footage: Footage
    lifted: Lifted
    scenery: Scenery
    runner: StageRunner
    folder: Path
    hidden: Tracks | None

    def segments(
        self, piece: Piece, inputs: Sequence[object], origin_s: float | None, advance: Advance
    ) -> list[Segment]:
        """Return the segments of ``piece``, one for each video, drawn unless they are there."""
        folder = self.folder / f"{piece.index:05d}"
        paths = [folder / name for name in VIDEO_NAMES]
        begin = folder / "first_s.txt"
        draw = functools.partial(self._draw, piece, paths, begin, origin_s, advance)
        if self.runner.kept_files(SEGMENTS, inputs, [*paths, begin], draw):
            advance(piece.stop - piece.first)
        first_s = float(begin.read_text(encoding="ascii"))
        return [] if np.isnan(first_s) else [Segment(path, first_s) for path in paths]

    def _draw(self, piece: Piece, paths: Sequence[Path], begin: Path, origin_s: float | None, advance: Advance) -> None:
        time_s = self.footage.info.time_s[piece.first : piece.stop]
        fade_s = self.scenery.config.fade_s
        people = people_about(self.lifted.people, float(time_s[0]), float(time_s[-1]) + 1e-6, fade_s)
        frames = self.footage.stored_frames(piece.first, piece.stop)
        if self.hidden is not None:
            frames = hide_faces(frames, _about(self.hidden, float(time_s[0]), float(time_s[-1])))
        head = list(itertools.islice(frames, 1))
        with storage_errors(begin):
            begin.parent.mkdir(parents=True, exist_ok=True)
            begin.write_text(repr(head[0].time_s if head else np.nan), encoding="ascii")
        if head:
            write_videos(itertools.chain(head, frames), people, self.scenery, paths, advance, origin_s=origin_s)
        else:
            for path in paths:
                path.touch()


def _about(tracks: Tracks, start_s: float, end_s: float) -> list[Keypoints2D]:
    """Return the keypoints of ``tracks`` that decide where faces are from ``start_s`` to ``end_s`` s."""
    found = []
    for course in tracks.courses:
        first, stop = np.searchsorted(course.time_s, [start_s - REACH_S, end_s + REACH_S]).tolist()
        if first < stop:
            found.append(sampled(tracks.keypoints, course, range(first, stop)))
    return found
