"""``lift``: 2D keypoints from any source to motion, through the same stages as a video.

The file is an npz: ``keypoints2d (T,J,3)`` x, y in pixels of the original image and a score in [0, 1], NaN and 0 where
missing; ``time_s (T)`` seconds; optionally ``skeleton``, the name of the joint set.
"""

from __future__ import annotations

import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from mocap_video.artifacts import RunLock, Store, digest_file
from mocap_video.calib.files import read_calibration
from mocap_video.errors import ConfigError, KeypointsError, MissingAsset
from mocap_video.pipeline.export import export
from mocap_video.pipeline.lifting import Settings, describe_calibration, lift_people, origin_of
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.results import write_results
from mocap_video.pipeline.stages import CACHE, StageRunner, collect_warnings
from mocap_video.skeletons import COCO17, SKELETONS
from mocap_video.types import Calibration, ClipResult, Keypoints2D, VideoInfo

KEYS = ("keypoints2d", "time_s", "skeleton")
LIFTABLE = (COCO17.name,)
"""Joint sets that the shipped weights were trained on."""


def read_keypoints(path: Path, *, skeleton: str | None = None, fps: float | None = None) -> Keypoints2D:
    """Return the person of the npz at ``path``, from the first frame with a keypoint to the last.

    ``skeleton`` names the joint set where the file does not; ``fps`` gives the times where the file has none. Every
    breach of the format is a ``KeypointsError`` that names what was expected and got.
    """
    arrays = _read_arrays(path)
    if "keypoints2d" not in arrays:
        raise KeypointsError(f"{path}: expected an array keypoints2d (T,J,3), got only {sorted(arrays) or 'nothing'}.")
    name = _skeleton_of(path, arrays, skeleton)
    points = _points_of(path, arrays["keypoints2d"], name)
    time_s = _times_of(path, arrays, len(points), fps)
    xy, score = points[..., :2].copy(), points[..., 2]
    xy[score == 0] = np.nan
    seen = np.flatnonzero((score > 0).any(-1))
    if not len(seen):
        raise KeypointsError(
            f"{path}: keypoints2d: expected at least one keypoint with a score above 0, all are missing."
        )
    used = slice(seen[0], seen[-1] + 1)
    return Keypoints2D(
        person=1,
        skeleton=name,
        frames=np.arange(len(points))[used],
        time_s=time_s[used],
        xy=xy[used],
        score=score[used],
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise KeypointsError(f"{path}: no such file. Check the path.")
    advice = "Write it with numpy.savez(path, keypoints2d=..., time_s=...)."
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise KeypointsError(f"{path}: expected an npz with named arrays, got a single array. {advice}")
        with archive:
            return {key: archive[key] for key in archive.files if key in KEYS}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise KeypointsError(
            f"{path}: expected an npz of plain number arrays, without Python objects ({error}). {advice}"
        ) from error


def _skeleton_of(path: Path, arrays: dict[str, np.ndarray], asked: str | None) -> str:
    said = str(arrays["skeleton"]) if "skeleton" in arrays else None
    if said is not None and said not in SKELETONS:
        raise KeypointsError(f"{path}: skeleton: expected one of {sorted(SKELETONS)}, got {said!r}.")
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


def _times_of(path: Path, arrays: dict[str, np.ndarray], count: int, fps: float | None) -> np.ndarray:
    if "time_s" not in arrays:
        if fps is None:
            raise KeypointsError(f"{path}: expected time_s (T) seconds, got none. Add it to the file, or give --fps.")
        return np.arange(count) / fps
    if fps is not None:
        raise ConfigError(f"--fps {fps:g}: {path} has its own time_s. Leave --fps out.")
    time_s = arrays["time_s"]
    if time_s.dtype.kind not in "fiu" or time_s.shape != (count,):
        raise KeypointsError(f"{path}: time_s: expected ({count},) numbers, got {time_s.shape} {time_s.dtype}.")
    if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        raise KeypointsError(f"{path}: time_s: expected finite seconds that increase from frame to frame.")
    return time_s.astype(np.float64)


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
    path: Path,
    calib_path: Path,
    output: Path,
    settings: Settings,
    progress: Progress,
    *,
    skeleton: str | None = None,
    fps: float | None = None,
    formats: tuple[str, ...] = (),
) -> ClipResult:
    """Lift the person of the npz at ``path`` and write results under ``output`` as ``run`` does, videos aside."""
    with RunLock(output), collect_warnings() as warnings:
        keypoints = read_keypoints(path, skeleton=skeleton, fps=fps)
        if keypoints.skeleton not in LIFTABLE:
            raise MissingAsset(
                f"{path}: skeleton {keypoints.skeleton}: no weights that lift it are shipped yet, only those for "
                f"{', '.join(LIFTABLE)}. Convert the keypoints to {LIFTABLE[0]}."
            )
        calibration = read_calibration(calib_path)
        check_in_image(path, keypoints, calibration.camera.size)
        progress.note(describe_calibration(calibration))
        runner = StageRunner(Store(output / CACHE), progress)
        lifted = lift_people([keypoints], calibration, settings, runner)
        inputs = {"keypoints": digest_file(path), "calibration": digest_file(calib_path)}
        origin = origin_of(settings, lifted.weights, inputs)
        result = ClipResult(_as_video(path, keypoints, calibration), calibration, lifted.people, origin)
        write_results(output, result, body_model=lifted.weights["body"], stages=runner.records, warnings=warnings)
        if formats:
            export(output, formats)
    return result


def _as_video(path: Path, keypoints: Keypoints2D, calibration: Calibration) -> VideoInfo:
    """Return what there is to say of the footage the keypoints came from."""
    time_s = keypoints.time_s
    interval_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    return VideoInfo(path, calibration.camera.size, Fraction(1 / interval_s).limit_denominator(1001), time_s)
