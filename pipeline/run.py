"""From a clip and its calibration to results: the stages in order, each over one piece of the recording after another.

A piece of a stage that is done lies on disk, so a run that was killed goes on from the last one, and memory holds a few
pieces however long the recording is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from mocap_video.artifacts import RunLock, Store, digest_file
from mocap_video.calib.examine import describe, warn_of_view
from mocap_video.calib.files import calibration_for_size, read_calibration
from mocap_video.detectors.base import FrontEnd
from mocap_video.detectors.front_end import build_front_end
from mocap_video.detectors.people import PeopleFinder
from mocap_video.detectors.roster import PieceTracks, Roster, Sightings, everyone
from mocap_video.errors import NoPersonError
from mocap_video.pipeline.config import Config
from mocap_video.pipeline.disk import check_disk, disk_need
from mocap_video.pipeline.export import export
from mocap_video.pipeline.gate import Motion, awake, watch
from mocap_video.pipeline.lifting import Lifted, Settings, Tracks, lift_people, origin_of
from mocap_video.pipeline.progress import Advance, Progress
from mocap_video.pipeline.results import write_results
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.segments import render_recording
from mocap_video.pipeline.stages import CACHE, GATE, PEOPLE, TRACKS, Shelf, StageRunner, collect_warnings
from mocap_video.pipeline.video import Footage
from mocap_video.pipeline.viewer import write_page
from mocap_video.render import gl
from mocap_video.stretches import Piece, cut_pieces
from mocap_video.types import Calibration, ClipResult, Keypoints2D, VideoInfo

WARM_UP_S = 5.0
"""So long before a piece begins the background is learned, from which people are told by their motion."""

_SKIPPED_S = 1.0
"""Shorter stretches in which nobody was looked for are not worth telling."""


@dataclass(frozen=True)
class Clip:
    """The part of a video to work on: from ``start_s`` to before ``end_s`` seconds, open where None.

    ``began``: the wall clock at the first frame of the whole video, None where it is not known.
    """

    path: Path
    start_s: float | None = None
    end_s: float | None = None
    began: datetime | None = None


@dataclass(frozen=True)
class ClipRun:
    """One run over one clip: what its stages share."""

    footage: Footage
    clip_digest: str
    pieces: tuple[Piece, ...]
    calibration: Calibration
    front_end: FrontEnd
    settings: Settings
    runner: StageRunner

    @property
    def frames(self) -> int:
        """How many frames are worked on."""
        return self.pieces[-1].stop - self.pieces[0].first

    def watch(self) -> list[Motion]:
        """Find out when something moves, where the motion gate is on."""
        gate = self.settings.config.gate
        if not gate.on:
            return []
        with self.runner.in_pieces(GATE, Motion, self.frames) as pieces:
            for piece in self.pieces:
                look = functools.partial(self._watch, piece)
                pieces.add((self.clip_digest, piece, gate), look, frames=piece.stop - piece.first)
        return [motion for (motion,) in pieces.shelf]

    def _watch(self, piece: Piece, advance: Advance) -> list[Motion]:
        motion = watch(self.footage.stored_frames(piece.first, piece.stop), self.settings.config.gate)
        advance(piece.stop - piece.first)
        return [motion]

    def find_people(self, motions: Sequence[Motion]) -> Shelf[Sightings]:
        """Detect and follow everyone, frame by frame; each piece goes on where the one before ended."""
        config, front_end = self.settings.config, self.front_end
        shared = (self.clip_digest, self.calibration.camera, self.calibration.ground, config.people, config.front_end,
                  front_end.name, front_end.digests, front_end.device)  # fmt: skip
        with self.runner.in_pieces(PEOPLE, Sightings, self.frames) as pieces:
            for piece in self.pieces:
                near = motions[max(0, piece.index - 1) : piece.index + 2]
                gate = (config.gate, near) if config.gate.on else None
                before = pieces.shelf[-1] if piece.index else []
                look = functools.partial(self._look, piece, before, near)
                inputs = (*shared, piece, pieces.shelf.keys[-1:], gate)
                pieces.add(inputs, look, frames=piece.stop - piece.first)
        return pieces.shelf

    def _look(
        self, piece: Piece, before: Sequence[Sightings], near: Sequence[Motion], advance: Advance
    ) -> list[Sightings]:
        """Find people in one piece; ``before`` holds what was seen in the piece before, if there is one."""
        config, front_end = self.settings.config, self.front_end
        finder = PeopleFinder(
            self.calibration, config.people, detector=front_end.detector, estimator=front_end.estimator,
            state=before[0].state if before else None,
        )  # fmt: skip
        time_s = self.footage.info.time_s
        warm = piece.first
        if before and config.people.scan.motion:
            warm = max(self.pieces[0].first, int(np.searchsorted(time_s, time_s[piece.first] - WARM_UP_S)))
        for frame in self.footage.frames(warm, piece.stop):
            if frame.index < piece.first:
                finder.watch(frame)
                continue
            advance(1)
            if near and finder.idle and not awake(near, frame.time_s, config.gate):
                continue
            finder.step(frame)
        return [finder.hand_over()]

    def follow(self, sightings: Shelf[Sightings], roster: Roster) -> Shelf[PieceTracks]:
        """Give everyone a number and mend the tracks."""
        with self.runner.in_pieces(TRACKS, PieceTracks) as pieces:
            for index in range(len(sightings)):
                mend = functools.partial(_mended, index, roster, pieces.shelf, sightings)
                pieces.add((roster.lives, sightings.keys[: index + 2], pieces.shelf.keys[-1:]), mend)
        return pieces.shelf

    def lift(self, people: Tracks) -> Lifted:
        """Lift ``people`` to 3D and give them bodies; what draws them is loaded meanwhile."""
        if people.courses and self.settings.config.render.videos:
            gl.load_ahead()
        return lift_people(people, self.calibration, self.settings, self.runner)

    def render(self, lifted: Lifted, everyone: Tracks, folder: Path) -> None:
        """Write the videos, without the faces of ``everyone`` where that is asked for. Of a clip without people, or
        where no videos are wanted, there is none, not even one of an earlier run.
        """
        config = self.settings.config.render
        if not (lifted.people and config.videos):
            for name in VIDEO_NAMES:
                (folder / name).unlink(missing_ok=True)
            return
        render_recording(
            self.footage, self.pieces, lifted, self.calibration, config, folder, self.runner,
            clip_digest=self.clip_digest, hidden=everyone if config.blur_faces else None,
        )  # fmt: skip


def run_clip(
    clip: Clip,
    calib_path: Path,
    output: Path,
    settings: Settings,
    progress: Progress,
    *,
    only: tuple[int, ...] | None = None,
    formats: tuple[str, ...] = (),
) -> ClipResult:
    """Turn ``clip`` into results under ``output``; ``only`` names the people to lift, all where None.

    A stage whose inputs, options and weights are those of an earlier run into ``output`` is answered from there, piece
    by piece. The report is written last, so a folder that has one is whole. ``NoPersonError`` comes once the report
    says so; ``StorageError`` before any work where the disk has not the room.
    """
    with RunLock(output), collect_warnings() as warnings:
        footage = Footage(clip.path)
        video = footage.info
        calibration = calibration_for_size(
            read_calibration(calib_path), video.size, calib_path=calib_path, clip_path=clip.path
        )
        progress.note(describe(calibration))
        warn_of_view(calibration)
        first, stop = footage.part(clip.start_s, clip.end_s)
        pieces = cut_pieces(np.arange(first, stop), video.time_s[first:stop], settings.config.pieces.length_s)
        need = disk_need(stop - first, video.size, settings.config.render)
        progress.note(str(need))
        check_disk(need, output)
        runner = StageRunner(Store(output / CACHE), progress)
        inputs = {"clip": digest_file(clip.path), "calibration": digest_file(calib_path)}
        front_end = build_front_end(settings.config.front_end, settings.device)
        progress.note(describe_front_end(front_end, settings.config))
        run = ClipRun(footage, inputs["clip"], pieces, calibration, front_end, settings, runner)
        sightings = run.find_people(run.watch())
        roster = Roster.of((seen for (seen,) in sightings), settings.config.people.tracking)
        skipped_s = skipped_stretches(video, first, stop, roster.frames) if settings.config.gate.on else []
        tell_skipped(skipped_s, progress)
        everyone = tracks_of(roster, run.follow(sightings, roster))
        lifted = run.lift(everyone.only(only, clip.path))
        weights = {front_end.name: " ".join(front_end.digests), **lifted.weights}
        result = ClipResult(
            video, calibration, lifted.people, origin_of(settings, weights, inputs), clip.start_s or 0.0
        )
        try:
            run.render(lifted, everyone, output)
        finally:  # people and report are there whatever becomes of the videos
            write_results(output, result, body_model=lifted.weights["body"], stages=runner.records,
                          warnings=warnings, began=clip.began, skipped_s=skipped_s)  # fmt: skip
            write_page(output)
        runner.store.keep_only(runner.used)
        if not result.people:
            raise NoPersonError(
                f"{clip.path}: nobody was found in {stop - first} frames. Look at the clip and at what the "
                f"calibration claims (first line of the output); {output / 'report.json'} has the details."
            )
        if formats:
            export(output, formats, body=lifted.body)
    return result


def _mended(
    piece: int, roster: Roster, done: Shelf[PieceTracks], sightings: Shelf[Sightings], _: Advance
) -> list[PieceTracks]:
    before = done[piece - 1][0] if piece else None
    after = sightings[piece + 1][0] if piece + 1 < len(sightings) else None
    return [everyone(piece, roster, before, sightings[piece][0], after)]


class _KeypointsOf:
    """The keypoints alone of the tracks on a shelf."""

    def __init__(self, shelf: Shelf[PieceTracks]) -> None:
        self._shelf = shelf

    def __len__(self) -> int:
        return len(self._shelf)

    def __getitem__(self, piece: int, /) -> list[Keypoints2D]:
        (found,) = self._shelf[piece]
        return [track.keypoints for track in found.tracks]


def tracks_of(roster: Roster, shelf: Shelf[PieceTracks]) -> Tracks:
    """Return everyone's keypoints as the later stages take them."""
    return Tracks(roster.courses(), _KeypointsOf(shelf), shelf.keys)


def skipped_stretches(video: VideoInfo, first: int, stop: int, looked_at: np.ndarray) -> list[tuple[float, float]]:
    """Return from when to when, s, none of the frames ``first`` to before ``stop`` were ``looked_at (F)``."""
    asleep = np.isin(np.arange(first, stop), looked_at, invert=True).astype(int)
    edges = np.diff(asleep, prepend=0, append=0)
    time_s = np.append(video.time_s[first:stop], video.time_s[stop - 1])
    spans = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    stretches = [(float(time_s[start]), float(time_s[end])) for start, end in spans]
    return [(start, end) for start, end in stretches if end - start >= _SKIPPED_S]


def tell_skipped(skipped_s: Sequence[tuple[float, float]], progress: Progress) -> None:
    """Say which stretches the motion gate skipped."""
    if skipped_s:
        spans = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in skipped_s)
        total = sum(end - start for start, end in skipped_s)
        progress.note(f"motion gate: nothing moves for {total:.0f} s in all, skipped (s): {spans}")


def describe_front_end(front_end: FrontEnd, config: Config) -> str:
    """Return one line that says what finds people and keypoints, and why where ``auto`` chose it."""
    reason = f" ({config.reason})" if config.reason else ""
    return f"front end: {front_end.name} on {front_end.device}{reason}"
