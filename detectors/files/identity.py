"""From sightings in a file to people: by the file's identities, or followed on the ground where it has none."""

from __future__ import annotations

import logging

import numpy as np

from mocap_video.detectors.association import Observations
from mocap_video.detectors.base import Poses, no_regions
from mocap_video.detectors.config import TrackingConfig
from mocap_video.detectors.files.base import NOBODY, Sightings
from mocap_video.detectors.standing import GroundLocator, pose_box
from mocap_video.detectors.tracking import Tracker
from mocap_video.errors import ConfigError, KeypointsError
from mocap_video.types import Calibration, Keypoints2D

logger = logging.getLogger(__name__)

_SLOWEST_HZ = 8.0
"""Below, people move too far between two frames to be followed by their keypoints alone."""


def people_of(sightings: Sightings, calibration: Calibration, fps: float | None) -> list[Keypoints2D]:
    """Return the people of ``sightings``, each from first to last sight, frames between without gaps.

    Times are the file's, else frame numbers over the file's rate or ``fps`` (Hz). Identities are the file's; where it
    has none, one sighting a frame is one person, and several are followed on the ground of ``calibration``. Raises
    ``KeypointsError`` where nothing says how long a frame lasts, ``ConfigError`` where ``fps`` contradicts the file.
    """
    times = _clip_times(sightings, fps)
    person = _identities(sightings, times, calibration)
    return [
        _person(sightings, times, person == number, int(number))
        for number in np.unique(person[person != NOBODY]).tolist()
    ]


def _clip_times(sightings: Sightings, fps: float | None) -> np.ndarray:
    """Return the time ``(F)`` s of every frame."""
    if sightings.clip_times is not None:
        if fps is not None:
            raise ConfigError(f"--fps {fps:g}: {sightings.path} has its own time_s. Leave --fps out.")
        return sightings.clip_times
    if sightings.rate is not None and fps is not None and abs(sightings.rate - fps) > 1e-3 * fps:
        raise ConfigError(
            f"--fps {fps:g}: {sightings.path} says {sightings.rate:g} frames a second. Leave one of them out."
        )
    rate = sightings.rate or fps
    if rate is None:
        raise KeypointsError(
            f"{sightings.path}: expected times or a frame rate, got neither: an npz has time_s (T) seconds. Add it to "
            "the file, or give --fps."
        )
    return sightings.clip_frames / rate


def _identities(sightings: Sightings, times: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return the number ``(N)`` from 1 of each sighting's person; ``NOBODY`` for scraps that belong to none."""
    named = sightings.person != NOBODY
    if named.all():
        _refuse_doubles(sightings)
        return sightings.person + (sightings.person.min() < 1)
    if named.any():
        raise KeypointsError(
            f"{sightings.path}: expected an identity for all sightings or none, got {named.sum()} of {len(named)}."
        )
    if len(np.unique(sightings.frame)) == len(sightings):
        return np.ones(len(sightings), int)
    if 1 / np.median(np.diff(times)) < _SLOWEST_HZ:
        raise KeypointsError(
            f"{sightings.path}: expected an identity (track_id, idx or person_id) for each of several people: below "
            f"{_SLOWEST_HZ:g} frames a second they cannot be followed by their keypoints alone."
        )
    person = _follow(sightings, times, calibration)
    logger.warning(
        "%s has no identities: %d people were followed on the ground, %d of %d sightings belong to none of them",
        sightings.path, person.max(initial=0), (person == NOBODY).sum(), len(person),
    )  # fmt: skip
    return person


def _refuse_doubles(sightings: Sightings) -> None:
    pairs, count = np.unique(np.stack([sightings.frame, sightings.person]), axis=1, return_counts=True)
    if (count > 1).any():
        frame, person = pairs[:, count.argmax()]
        raise KeypointsError(f"{sightings.path}: expected person {person} once in frame {frame}, got {count.max()}.")


def _follow(sightings: Sightings, times: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return ``(N)`` as ``_identities`` does, from the tracker that follows people in videos, without their colours."""
    locator = GroundLocator(calibration)
    tracker = Tracker(TrackingConfig(), locator)
    xy = _filled(sightings)
    for frame, time_s in zip(sightings.clip_frames, times, strict=True):
        rows = np.flatnonzero(sightings.frame == frame)
        ground = locator.locate(xy[rows], sightings.score[rows])
        placed = np.flatnonzero(np.isfinite(ground.position).all(-1) & np.isfinite(ground.covariance).all((1, 2)))
        rows, ground = rows[placed], ground.select(placed)
        everyone = np.ones(len(rows))
        poses = Poses(xy[rows], sightings.score[rows], everyone, no_regions(len(rows)))
        colour = np.ones((len(rows), 1))
        tracker.step(int(frame), float(time_s), Observations(poses, ground, pose_box(xy[rows]), colour, everyone > 0))
    row_of = {
        (int(frame), pose.tobytes()): row for row, (frame, pose) in enumerate(zip(sightings.frame, xy, strict=True))
    }
    person = np.full(len(sightings), NOBODY)
    for number, track in enumerate(tracker.finish(), start=1):
        person[[row_of[int(frame), pose.tobytes()] for frame, pose in zip(track.frames, track.xy, strict=True)]] = (
            number
        )
    return person


def _filled(sightings: Sightings) -> np.ndarray:
    """Return ``xy (N,J,2)`` px with missing joints in the middle of the others: the tracker wants finite numbers."""
    return np.where(np.isnan(sightings.xy), np.nanmean(sightings.xy, axis=1, keepdims=True), sightings.xy)


def _person(sightings: Sightings, times: np.ndarray, mine: np.ndarray, number: int) -> Keypoints2D:
    order = np.flatnonzero(mine)[np.argsort(sightings.frame[mine])]
    first, last = sightings.frame[order[[0, -1]]]
    span = (sightings.clip_frames >= first) & (sightings.clip_frames <= last)
    frames = sightings.clip_frames[span]
    rows = np.searchsorted(frames, sightings.frame[order])
    xy = np.full((len(frames), *sightings.xy.shape[1:]), np.nan)
    score = np.zeros(xy.shape[:2])
    xy[rows], score[rows] = sightings.xy[order], sightings.score[order]
    return Keypoints2D(number, sightings.skeleton, frames, times[span], xy, score)
