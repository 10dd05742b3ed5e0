"""Keypoints in npz files: one that a user made, or the people/NNN.npz of our own results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.artifacts import NPZ_FAULTS
from mocap_video.detectors.files.base import NOBODY, Sightings, Source
from mocap_video.errors import KeypointsError
from mocap_video.skeletons import COCO17, SKELETONS

KEYS = ("keypoints2d", "time_s", "skeleton", "frame")
_ADVICE = "Write it with numpy.savez(path, keypoints2d=..., time_s=...)."


class ArrayFile:
    """One person: ``keypoints2d (T,J,3)`` px and score; ``time_s (T)`` s; optionally ``skeleton``, ``frame (T)``."""

    expects = "an npz with keypoints2d (T,J,3) and time_s (T)"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        return source.path.is_file() and source.path.suffix.lower() in (".npz", ".npy")

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        return read_arrays(source.path, layout, NOBODY)


class ResultsFolder:
    """Everyone in a results folder of ours, or in its ``people``; a person keeps the number."""

    expects = "a results folder with people/001.npz and so on"

    def matches(self, source: Source) -> bool:
        """See ``KeypointFormat.matches``."""
        return bool(_people(source.path))

    def read(self, source: Source, layout: str | None) -> Sightings:
        """See ``KeypointFormat.read``."""
        people = _people(source.path)
        if not people:
            raise KeypointsError(f"{source.path}: expected {self.expects}, got none.")
        parts = [read_arrays(path, layout, int(path.stem)) for path in people]
        times = {
            int(frame): float(time)
            for part in parts
            if part.clip_times is not None
            for frame, time in zip(part.clip_frames, part.clip_times, strict=True)
        }
        if not times:
            raise KeypointsError(f"{source.path}: expected people with time_s (T) seconds, got none.")
        frames = np.array(sorted(times))
        return Sightings(
            path=source.path,
            skeleton=parts[0].skeleton,
            clip_frames=frames,
            clip_times=np.array([times[frame] for frame in frames]),
            rate=None,
            frame=np.concatenate([part.frame for part in parts]),
            person=np.concatenate([part.person for part in parts]),
            xy=np.concatenate([part.xy for part in parts]),
            score=np.concatenate([part.score for part in parts]),
        )


def _people(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for place in (folder / "people", folder) for path in place.glob("*.npz") if path.stem.isdigit())


def read_arrays(path: Path, layout: str | None, person: int) -> Sightings:
    """Return the person of the npz at ``path`` as ``person``; every breach of the format is a ``KeypointsError``."""
    arrays = _read(path)
    if "keypoints2d" not in arrays:
        raise KeypointsError(f"{path}: expected an array keypoints2d (T,J,3), got only {sorted(arrays) or 'nothing'}.")
    name = _skeleton_of(path, arrays, layout)
    points = _points_of(path, arrays["keypoints2d"], name)
    frames = _frames_of(path, arrays, len(points))
    xy, score = points[..., :2].copy(), points[..., 2]
    xy[score == 0] = np.nan
    seen = (score > 0).any(-1)
    if not seen.any():
        raise KeypointsError(
            f"{path}: keypoints2d: expected at least one keypoint with a score above 0, all are missing."
        )
    times = _times_of(path, arrays, len(points))
    whom = np.full(int(seen.sum()), person)
    return Sightings(path, name, frames, times, None, frames[seen], whom, xy[seen], score[seen])


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise KeypointsError(f"{path}: expected an npz with named arrays, got a single array. {_ADVICE}")
        with archive:
            return {key: archive[key] for key in archive.files if key in KEYS}
    except NPZ_FAULTS as error:
        raise KeypointsError(
            f"{path}: expected an npz of plain number arrays, without Python objects ({error}). {_ADVICE}"
        ) from error


def _skeleton_of(path: Path, arrays: dict[str, np.ndarray], asked: str | None) -> str:
    said = str(arrays["skeleton"]) if "skeleton" in arrays else None
    for name in (said, asked):
        if name is not None and name not in SKELETONS:
            raise KeypointsError(f"{path}: skeleton: expected one of {sorted(SKELETONS)}, got {name!r}.")
    if said and asked and said != asked:
        raise KeypointsError(f"{path}: skeleton: the file says {said!r}, --skeleton says {asked!r}. Leave one out.")
    return said or asked or COCO17.name


def _points_of(path: Path, points: np.ndarray, skeleton: str) -> np.ndarray:
    joints = len(SKELETONS[skeleton])
    expected = f"{path}: keypoints2d: expected (T, {joints}, 3) numbers for {skeleton}"
    if points.dtype.kind not in "fiu" or points.ndim != 3 or points.shape[1:] != (joints, 3) or not len(points):
        other = next((name for name, known in SKELETONS.items() if points.shape[1:] == (len(known), 3)), None)
        advice = f" It has the joints of {other}: use --skeleton {other}." if other else ""
        raise KeypointsError(f"{expected}, got {points.shape} {points.dtype}.{advice}")
    points = points.astype(np.float64)
    score = points[..., 2]
    if not ((score >= 0) & (score <= 1)).all():
        wrong = score[~((score >= 0) & (score <= 1))][0]
        raise KeypointsError(
            f"{path}: keypoints2d: expected scores in [0, 1], got {wrong:g}. Scale them, 0 for missing."
        )
    if not np.isfinite(points[score > 0]).all():
        raise KeypointsError(
            f"{path}: keypoints2d: expected finite x and y where the score is above 0, got NaN or infinity."
        )
    return points


def _frames_of(path: Path, arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    frames = arrays.get("frame", np.arange(count))
    if frames.dtype.kind not in "iu" or frames.shape != (count,) or (np.diff(frames) <= 0).any():
        raise KeypointsError(f"{path}: frame: expected ({count},) whole numbers that increase, got {frames.shape}.")
    return frames.astype(int)


def _times_of(path: Path, arrays: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    if "time_s" not in arrays:
        return None
    time_s = arrays["time_s"]
    if time_s.dtype.kind not in "fiu" or time_s.shape != (count,):
        raise KeypointsError(f"{path}: time_s: expected ({count},) numbers, got {time_s.shape} {time_s.dtype}.")
    if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        raise KeypointsError(f"{path}: time_s: expected finite seconds that increase from frame to frame.")
    return time_s.astype(np.float64)
