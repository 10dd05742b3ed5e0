"""``lift``: 2D keypoints from any source to motion, through the same stages as a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mocap_video.artifacts import RunLock, Store, digest_file, digest_of
from mocap_video.calib.examine import describe
from mocap_video.calib.files import read_calibration
from mocap_video.detectors.files.base import Sightings
from mocap_video.detectors.files.formats import read_sightings
from mocap_video.detectors.files.identity import people_of
from mocap_video.errors import KeypointsError, MissingAsset
from mocap_video.pipeline.export import export
from mocap_video.pipeline.lifting import Settings, Tracks, lift_people, origin_of
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.results import write_results
from mocap_video.pipeline.stages import CACHE, StageRunner, collect_warnings
from mocap_video.pipeline.viewer import write_page
from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.stretches import course_of, cut_pieces, rows_of
from mocap_video.types import Calibration, ClipResult, Keypoints2D, VideoInfo

LIFTABLE = (COCO17.name, SMPL24.name)
"""Joint sets that weights are shipped for."""


@dataclass(frozen=True)
class KeypointSource:
    """A file or folder of keypoints, and what a user says of it: ``kind`` its format, ``layout`` its joint set, ``fps``
    Hz; None where the file tells.
    """

    path: Path
    kind: str | None = None
    layout: str | None = None
    fps: float | None = None


def read_source(source: KeypointSource) -> Sightings:
    """Return what ``source`` says.

    Every breach of its format is a ``KeypointsError`` that names what was expected and got; ``MissingAsset`` says that
    the joint set cannot be lifted.
    """
    sightings = read_sightings(source.path, kind=source.kind, layout=source.layout)
    if sightings.skeleton not in LIFTABLE:
        raise MissingAsset(
            f"{source.path}: skeleton {sightings.skeleton}: `lift` has weights for {' and '.join(LIFTABLE)} alone. "
            f"Convert the keypoints to {LIFTABLE[0]}, or train weights and lift from Python (docs/keypoint_sets.md)."
        )
    return sightings


def check_in_image(path: Path, keypoints: Keypoints2D, size: tuple[int, int]) -> None:
    """Raise ``KeypointsError`` unless most keypoints lie in or near an image of ``size`` (W, H) px."""
    xy = keypoints.xy[keypoints.score > 0]
    margin = 0.5 * np.array(size)
    near = ((xy > -margin) & (xy < np.array(size) + margin)).all(-1)
    low, high = xy.min(0), xy.max(0)
    if near.mean() < 0.5 or (high - low).max() <= 2:
        raise KeypointsError(
            f"{path}: keypoints2d: expected pixels of the calibrated image, {size[0]} x {size[1]}, got x from "
            f"{low[0]:.4g} to {high[0]:.4g} and y from {low[1]:.4g} to {high[1]:.4g}. Give pixels, not normalised "
            "coordinates, and the calibration of this image size."
        )


def lift_file(
    source: KeypointSource,
    calib_path: Path,
    output: Path,
    settings: Settings,
    progress: Progress,
    *,
    only: tuple[int, ...] | None = None,
    formats: tuple[str, ...] = (),
) -> ClipResult:
    """Lift the people of ``source`` and write results under ``output`` as ``run`` does, videos aside.

    ``only`` names the people to lift, all where None.
    """
    with RunLock(output), collect_warnings() as warnings:
        sightings = read_source(source)
        calibration = read_calibration(calib_path)
        everyone = people_of(sightings, calibration, source.fps)
        for person in everyone:
            check_in_image(source.path, person, calibration.camera.size)
        tracks = tracks_of(everyone, settings.config.pieces.length_s).only(only, source.path)
        progress.note(describe(calibration))
        runner = StageRunner(Store(output / CACHE), progress)
        lifted = lift_people(tracks, calibration, settings, runner)
        inputs = {"keypoints": _digest(source.path), "calibration": digest_file(calib_path)}
        origin = origin_of(settings, lifted.weights, inputs)
        video = _as_video(source.path, [course.time_s for course in tracks.courses], calibration)
        result = ClipResult(video, calibration, lifted.people, origin)
        write_results(output, result, body_model=lifted.weights["body"], stages=runner.records, warnings=warnings)
        write_page(output)
        runner.store.keep_only(runner.used)
        if formats:
            export(output, formats, body=lifted.body)
    return result


def tracks_of(people: Sequence[Keypoints2D], length_s: float) -> Tracks:
    """Return ``people`` in pieces of about ``length_s`` seconds."""
    frames, first = np.unique(np.concatenate([person.frames for person in people]), return_index=True)
    pieces = cut_pieces(frames, np.concatenate([person.time_s for person in people])[first], length_s)
    courses = [course_of(person.person, person.frames, person.time_s, pieces) for person in people]
    shelf = [
        [
            rows_of(person, slice(*course.rows_in(piece.index)))
            for person, course in zip(people, courses, strict=True)
            if piece.index in course.pieces
        ]
        for piece in pieces
    ]
    return Tracks(courses, shelf, [digest_of(values) for values in shelf], people[0].skeleton)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or one of all JSON and npz files in a folder."""
    if path.is_file():
        return digest_file(path)
    files = sorted(found for pattern in ("*.json", "*.npz", "people/*.npz") for found in path.glob(pattern))
    return digest_of([(file.name, file) for file in files])


def _as_video(path: Path, times_s: Sequence[np.ndarray], calibration: Calibration) -> VideoInfo:
    """Return what there is to say of the footage the keypoints came from."""
    time_s = np.unique(np.concatenate(times_s))
    interval_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    return VideoInfo(path, calibration.camera.size, Fraction(1 / interval_s).limit_denominator(1001), time_s)
