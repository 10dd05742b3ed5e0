"""2D tracks of a user's own recordings, prepared for stage 1: what the camera saw of people, with no 3D at all.

A results folder of `mocap-video run` or `lift` gives the tracks (people/NNN.npz), its cam.yaml the camera. Like
prepared motion, the file is safetensors that is mapped into memory: docs/data.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from mocap_video.artifacts import atomic_write
from mocap_video.calib import geometry
from mocap_video.calib.ground import canonical_frame
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.lifter.data.bank import map_arrays
from mocap_video.lifter.data.smpl_files import read_npz
from mocap_video.lifter.views import Observation
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration

TRACKS_FORMAT = "track bank 1 of mocap-video"

_HIGHEST_HZ = 30.0
_STRIDES = (1, 1, 2, 2, 3)
_TRIES = 8
_SEEN_SHARE = 0.5
_PER_TRACK = ("length", "interval_s", "R", "t")


@dataclass(frozen=True)
class Track2D:
    """One person seen by one camera: ``xy (T,17,2)`` ideal normalised coordinates (0 where missing), ``score (T,17)``,
    ``time_s (T)``; ``R (3,3)``, ``t (3)`` m: the camera from its canonical frame.
    """

    xy: np.ndarray
    score: np.ndarray
    time_s: np.ndarray
    R: np.ndarray
    t: np.ndarray


@dataclass(frozen=True)
class TrackBank:
    """All tracks one after another, memory-mapped: ``xy (N,17,2)``, ``score (N,17)``, ``time_s (N)``; in memory, per
    track: ``start (C)``, ``length (C)``, ``interval_s (C)`` between frames, ``R (C,3,3)``, ``t (C,3)`` m.
    """

    xy: np.ndarray
    score: np.ndarray
    time_s: np.ndarray
    start: Tensor
    length: Tensor
    interval_s: Tensor
    R: Tensor
    t: Tensor

    def draw(self, count: int, frames: int, generator: torch.Generator | None = None) -> Observation:
        """Draw ``count`` windows of ``frames`` frames at 10 to 30 a second; those that show little are drawn again."""
        picked = self._windows(self._places(count, frames, generator))
        for _ in range(_TRIES):
            poor = (picked.score > 0).any(-1).float().mean(1) < _SEEN_SHARE
            if not poor.any():
                break
            again = self._windows(self._places(count, frames, generator))
            picked = Observation(
                *(
                    torch.where(poor.view(-1, *[1] * (old.ndim - 1)), new, old)
                    for old, new in zip(vars(picked).values(), vars(again).values(), strict=True)
                )
            )
        return picked

    def _places(self, count: int, frames: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Draw tracks ``(B)`` and frames of them ``(B,T)``, past the end where a track is too short."""
        track = torch.multinomial(self.length.double(), count, replacement=True, generator=generator)
        draw = torch.rand(2, count, generator=generator)
        stride = (1 / (_HIGHEST_HZ * self.interval_s[track])).round().clamp_min(1).long()
        stride = stride * torch.tensor(_STRIDES)[(draw[0] * len(_STRIDES)).long()]
        room = (self.length[track] - frames * stride).clamp_min(0) + 1
        first = (draw[1] * room).long().clamp_max(room - 1)
        return track, first[:, None] + stride[:, None] * torch.arange(frames)

    def _windows(self, places: tuple[Tensor, Tensor]) -> Observation:
        track, offset = places
        last = self.length[track][:, None] - 1
        valid = offset <= last
        index = (self.start[track][:, None] + torch.minimum(offset, last)).numpy()
        time_s = self.time_s[index]
        score = torch.from_numpy(self.score[index].astype(np.float32)) * valid[..., None]
        past = torch.cumsum(~valid, 1) * 0.1  # padding goes on in time, as when lifting
        return Observation(
            xy=torch.from_numpy(self.xy[index].astype(np.float32)) * (score > 0)[..., None],
            score=score,
            time_s=torch.from_numpy((time_s - time_s[:, :1]).astype(np.float32)) + past,
            valid=valid,
            R=self.R[track],
            t=self.t[track],
        )


def tracks_of(folder: Path, calibration: Calibration) -> Iterator[Track2D]:
    """Yield the people of all results under ``folder``, seen by the camera of ``calibration``.

    Raises ``ConfigError`` where there are none and ``ArtifactError`` for a file that is not a person's.
    """
    paths = sorted(folder.rglob("people/[0-9]*.npz"))
    if not paths:
        raise ConfigError(f"{folder}: no people/NNN.npz under it; expected results of mocap-video run or lift")
    R, t = canonical_frame(calibration.camera, calibration.ground).camera(calibration.camera)
    for path in paths:
        stored = read_npz(path)
        keypoints, time_s = stored.get("keypoints2d"), stored.get("time_s")
        if keypoints is None or time_s is None or keypoints.shape != (len(time_s), len(COCO17), 3):
            raise ArtifactError(f"{path}: expected keypoints2d (T,17,3) and time_s (T), got {sorted(stored)}")
        pixels = torch.as_tensor(keypoints[..., :2], dtype=torch.float64)
        xy = geometry.normalized_from_pixels(pixels, calibration.camera).numpy()
        known = np.isfinite(xy).all(-1) & (keypoints[..., 2] > 0)
        if len(time_s) > 1 and known.any():
            score = np.where(known, keypoints[..., 2], 0.0).clip(0, 1)
            yield Track2D(np.where(known[..., None], xy, 0.0), score, time_s, R, t)


def write_tracks(tracks: Iterable[Track2D], path: Path) -> int:
    """Write ``tracks`` as one prepared file and return how many there were."""
    kept = list(tracks)
    if not kept:
        return 0
    length = np.array([len(track.time_s) for track in kept])
    arrays = {
        "xy": np.concatenate([track.xy for track in kept]).astype(np.float32),
        "score": np.concatenate([track.score for track in kept]).astype(np.float16),
        "time_s": np.concatenate([track.time_s for track in kept]).astype(np.float64),
        "length": length,
        "interval_s": np.array([np.median(np.diff(track.time_s)) for track in kept], np.float32),
        "R": np.stack([track.R for track in kept]).astype(np.float32),
        "t": np.stack([track.t for track in kept]).astype(np.float32),
    }
    with atomic_write(path) as partial:
        save_file(arrays, partial, metadata={"format": TRACKS_FORMAT})
    return len(kept)


def read_tracks(paths: Iterable[Path]) -> TrackBank:
    """Return prepared tracks of several files as one bank. Raises ``MissingAsset`` or ``ArtifactError``."""
    parts = [_arrays(path) for path in paths]

    def joined(name: str) -> np.ndarray:
        return parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])

    length, interval_s, R, t = (torch.from_numpy(np.array(joined(name))) for name in _PER_TRACK)
    return TrackBank(
        xy=joined("xy"),
        score=joined("score"),
        time_s=joined("time_s"),
        start=length.cumsum(0) - length,
        length=length,
        interval_s=interval_s,
        R=R,
        t=t,
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise MissingAsset(f"{path}: no prepared tracks; make them with: mocap-video train tracks RESULTS -o {path}")
    arrays = map_arrays(path, TRACKS_FORMAT)
    missing = {"xy", "score", "time_s", *_PER_TRACK} - set(arrays)
    if missing:
        raise ArtifactError(f"{path}: expected a {TRACKS_FORMAT}; it lacks {', '.join(sorted(missing))}")
    return arrays
