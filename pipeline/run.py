"""From a clip and its calibration to results: the stages in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.artifacts import RunLock, Store, digest_file
from mocap_video.calib.examine import describe, warn_of_view
from mocap_video.calib.files import calibration_for_size, read_calibration
from mocap_video.detectors.base import FrontEnd
from mocap_video.detectors.front_end import build_front_end
from mocap_video.detectors.people import find_people
from mocap_video.errors import NoPersonError
from mocap_video.pipeline.config import Config
from mocap_video.pipeline.export import export
from mocap_video.pipeline.lifting import Lifted, Settings, choose_people, lift_people, origin_of
from mocap_video.pipeline.progress import Advance, Progress
from mocap_video.pipeline.render_videos import VIDEO_NAMES, write_videos
from mocap_video.pipeline.results import write_results
from mocap_video.pipeline.stages import CACHE, PEOPLE, VIDEOS, StageRunner, collect_warnings
from mocap_video.pipeline.video import probe, read_frames, read_stored_frames
from mocap_video.render.privacy import hide_faces
from mocap_video.types import Calibration, ClipResult, Frame, Keypoints2D, PersonTrack, StoredFrame, VideoInfo


@dataclass(frozen=True)
class Clip:
    """The part of a video to work on: from ``start_s`` to before ``end_s`` seconds, open where None."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None

    def frames(self) -> Iterator[Frame]:
        """Decode the part anew."""
        return read_frames(self.path, start_s=self.start_s, end_s=self.end_s)

    def stored_frames(self) -> Iterator[StoredFrame]:
        """Decode the part anew, to draw on it."""
        return read_stored_frames(self.path, start_s=self.start_s, end_s=self.end_s)

    def count(self, video: VideoInfo) -> int:
        """Return how many frames of ``video`` are in the part."""
        start = -np.inf if self.start_s is None else self.start_s
        end = np.inf if self.end_s is None else self.end_s
        return int(((video.time_s >= start) & (video.time_s < end)).sum())


@dataclass(frozen=True)
class ClipRun:
    """One run over one clip: what its stages share."""

    clip: Clip
    clip_digest: str
    video: VideoInfo
    calibration: Calibration
    front_end: FrontEnd
    settings: Settings
    runner: StageRunner

    def find_people(self) -> list[PersonTrack]:
        """Detect and follow everyone, frame by frame."""
        config, front_end = self.settings.config, self.front_end

        def compute(advance: Advance) -> list[PersonTrack]:
            frames = _counted(self.clip.frames(), advance)
            return find_people(
                frames, self.calibration, config.people, detector=front_end.detector, estimator=front_end.estimator
            )

        inputs = (*self._footage(), self.calibration.camera, self.calibration.ground, config.people, config.front_end,
                  front_end.name, front_end.digests, front_end.device)  # fmt: skip
        return self.runner.values(PEOPLE, inputs, PersonTrack, compute, total=self.clip.count(self.video))

    def render(self, lifted: Lifted, everyone: Sequence[Keypoints2D], folder: Path) -> None:
        """Write the videos, without the faces of ``everyone`` where that is asked for. Of a clip without people, or
        where no videos are wanted, there is none, not even one of an earlier run.
        """
        config = self.settings.config.render
        paths = [folder / name for name in VIDEO_NAMES]
        if not (lifted.people and config.videos):
            for path in paths:
                path.unlink(missing_ok=True)
            return

        def write(advance: Advance) -> None:
            frames = self.clip.stored_frames()
            if config.blur_faces:
                frames = hide_faces(frames, everyone)
            write_videos(frames, lifted.people, self.calibration, lifted.body, config, folder, advance)

        hidden = list(everyone) if config.blur_faces else []
        inputs = (*self._footage(), self.calibration, lifted.people, lifted.body.digest, config, hidden)
        self.runner.files(VIDEOS, inputs, paths, write, total=self.clip.count(self.video))

    def _footage(self) -> tuple[object, ...]:
        return self.clip_digest, self.clip.start_s, self.clip.end_s


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

    A stage whose inputs, options and weights are those of an earlier run into ``output`` is answered from there. The
    report is written last, so a folder that has one is whole. ``NoPersonError`` comes once the report says so.
    """
    with RunLock(output), collect_warnings() as warnings:
        video = probe(clip.path)
        calibration = calibration_for_size(
            read_calibration(calib_path), video.size, calib_path=calib_path, clip_path=clip.path
        )
        progress.note(describe(calibration))
        warn_of_view(calibration)
        runner = StageRunner(Store(output / CACHE), progress)
        inputs = {"clip": digest_file(clip.path), "calibration": digest_file(calib_path)}
        front_end = build_front_end(settings.config.front_end, settings.device)
        progress.note(describe_front_end(front_end, settings.config))
        run = ClipRun(clip, inputs["clip"], video, calibration, front_end, settings, runner)
        everyone = [track.keypoints for track in run.find_people()]
        keypoints = choose_people(everyone, only, clip.path)
        lifted = lift_people(keypoints, calibration, settings, runner)
        weights = {front_end.name: " ".join(front_end.digests), **lifted.weights}
        result = ClipResult(video, calibration, lifted.people, origin_of(settings, weights, inputs))
        try:
            run.render(lifted, everyone, output)
        finally:  # people and report are there whatever becomes of the videos
            write_results(output, result, body_model=lifted.weights["body"], stages=runner.records, warnings=warnings)
        if not result.people:
            raise NoPersonError(
                f"{clip.path}: nobody was found in {clip.count(video)} frames. Look at the clip and at what the "
                f"calibration claims (first line of the output); {output / 'report.json'} has the details."
            )
        if formats:
            export(output, formats, body=lifted.body)
    return result


def describe_front_end(front_end: FrontEnd, config: Config) -> str:
    """Return one line that says what finds people and keypoints, and why where ``auto`` chose it."""
    reason = f" ({config.reason})" if config.reason else ""
    return f"front end: {front_end.name} on {front_end.device}{reason}"


def _counted(frames: Iterator[Frame], advance: Advance) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        advance(1)
