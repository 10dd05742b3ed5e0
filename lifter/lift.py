"""Lifting whole tracks: windows, samples, and the way back to the clip's own frames and the site's own axes.

A track is cut into windows that overlap by half. Windows of all people are denoised together, as many as fit into
memory, and after every denoising step a person's overlapping windows are made one motion in 3D, so there is no seam to
hide. The network runs at about
15 Hz; the clip's own frames in between follow their own observed rays, at depths interpolated in time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.calib.ground import CanonicalFrame, canonical_frame
from mocap_video.errors import ConfigError
from mocap_video.lifter.diffusion import motion_noise
from mocap_video.lifter.guidance import observation_gain
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.spread import expected_error
from mocap_video.lifter.views import Observation, build_scene
from mocap_video.lifter.weights import LoadedWeights, load_weights, shipped_weights
from mocap_video.types import Calibration, Camera, Keypoints2D, Motion3D

logger = logging.getLogger(__name__)

Lifter = LoadedWeights

_MIN_SEEN_FRAMES = 2


@dataclass(frozen=True)
class LiftConfig:
    """How tracks are lifted.

    ``steps`` of the sampler; ``samples`` K drawn per person, whose mean is the answer and whose deviation is part of
    its spread;
    ``rate_hz`` at which the network runs; ``window`` frames of the network at once; ``batch`` windows in memory.
    """

    steps: int = 2
    samples: int = 4
    seed: int = 0
    rate_hz: float = 15.0
    window: int = 32
    batch: int = 96

    def __post_init__(self) -> None:
        if self.window < 4 or self.window % 2:
            raise ConfigError(f"lift.window: expected an even number of at least 4 frames, got {self.window}")
        if self.samples < 1 or self.batch < 1 or self.rate_hz <= 0:
            raise ConfigError("lift: samples, batch and rate_hz must be positive")


@dataclass(frozen=True)
class _Track:
    """One person's observation in the canonical frame's camera: ``xy (T,J,2)`` normalised, ``score (T,J)``,
    ``time_s (T)``; ``kept (N)``: the frames that the network sees.
    """

    xy: np.ndarray
    score: np.ndarray
    time_s: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class _Piece:
    """Windows of one person: ``index (W,T)`` into the kept frames, ``valid (W,T)``, ``weight (W,T)`` for overlaps."""

    index: Tensor
    valid: Tensor
    weight: Tensor

    def part(self, windows: slice) -> _Piece:
        """Return some of the windows."""
        return _Piece(self.index[windows], self.valid[windows], self.weight[windows])


@dataclass(frozen=True)
class _Chunk:
    """Windows of person number ``person`` that are made one motion together."""

    person: int
    piece: _Piece

    def __len__(self) -> int:
        return len(self.piece.index)


class _Person:
    """What becomes of one track over its kept frames: weighted sums of samples ``(K,N,J,3)`` m and of the error to
    expect ``(N,J)`` m, and the noise that its samples start from, whatever the windows.
    """

    def __init__(self, track: _Track, config: LiftConfig) -> None:
        count, joints = len(track.kept), track.xy.shape[1]
        self.track = track
        kept_s = torch.as_tensor(track.time_s[track.kept], dtype=torch.float32).expand(config.samples, -1)
        self.noise = motion_noise(kept_s, joints + 1, torch.Generator().manual_seed(config.seed))
        self.total = torch.zeros(config.samples, count, joints, 3)
        self.error = torch.zeros(count, joints)
        self.weight = torch.zeros(count)

    def add(self, piece: _Piece, joints: Tensor, expected: Tensor) -> None:
        """Add windows: ``joints (K,W,T,J,3)`` and ``expected (W,T,J)`` m."""
        for w in range(len(piece.index)):
            self.error.index_add_(0, piece.index[w], expected[w] * piece.weight[w][:, None])
            self.total.index_add_(1, piece.index[w], joints[:, w] * piece.weight[w][:, None, None])
            self.weight.index_add_(0, piece.index[w], piece.weight[w])

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples ``(K,N,J,3)`` m in the canonical frame and the error ``(N,J)`` m to expect of their mean
        (0 where the weights do not tell).
        """
        known, time_s = (self.weight > 1e-6).numpy(), self.track.time_s[self.track.kept]
        weight = self.weight.clamp_min(1e-6)
        motions = _fill((self.total / weight[:, None, None]).double().numpy(), known, time_s)
        error = (self.error / weight[:, None])[None, ..., None].double().numpy()
        return motions, _fill(error, known, time_s)[0, ..., 0]


def load_lifter(weights: Path | None = None, device: str = "cpu") -> Lifter:
    """Load the shipped COCO-17 weights, or those at ``weights``. Raises ``MissingAsset`` or ``ArtifactError``."""
    return load_weights(shipped_weights() if weights is None else weights, device)


def lift(people: Sequence[Keypoints2D], calibration: Calibration, lifter: Lifter, config: LiftConfig) -> list[Motion3D]:
    """Lift every person to metric 3D in the site world.

    Raises ``ConfigError`` when the keypoint set is not the one the weights are for.
    """
    frame = canonical_frame(calibration.camera, calibration.ground)
    tracks = [_prepare(person, calibration.camera, lifter, config) for person in people]
    lifted = _lift_tracks(tracks, frame, calibration.camera, lifter, config)
    return [
        _to_site(person, track, *samples_and_error, frame, calibration.camera)
        for person, track, samples_and_error in zip(people, tracks, lifted, strict=True)
    ]


def _prepare(person: Keypoints2D, camera: Camera, lifter: Lifter, config: LiftConfig) -> _Track:
    if person.skeleton != lifter.skeleton.name:
        raise ConfigError(
            f"person {person.person}: keypoints are {person.skeleton}, the lifter's weights are for "
            f"{lifter.skeleton.name}; choose weights for {person.skeleton}"
        )
    xy = geometry.normalized_from_pixels(torch.as_tensor(person.xy, dtype=torch.float64), camera).numpy()
    score = np.where(np.isfinite(xy).all(-1), person.score, 0.0)
    spacing = np.median(np.diff(person.time_s)) if len(person.time_s) > 1 else 1.0
    stride = max(1, round(1 / (config.rate_hz * float(spacing))))
    kept = np.unique(np.append(np.arange(0, len(person.time_s), stride), len(person.time_s) - 1))
    return _Track(np.where(score[..., None] > 0, xy, 0.0), score, person.time_s, kept)


def _cut(count: int, window: int) -> _Piece:
    """Windows over ``count`` kept frames: half overlapping, weights falling to the ends so that overlaps blend."""
    hop = window // 2
    starts = torch.arange(0, max(1, count - hop), hop)
    index = starts[:, None] + torch.arange(window)
    valid = index < count
    ramp = 1 - (torch.arange(window) + 0.5 - hop).abs() / hop
    return _Piece(index.clamp_max(count - 1), valid, ramp.clamp_min(0.02) * valid)


def _lift_tracks(
    tracks: Sequence[_Track], frame: CanonicalFrame, camera: Camera, lifter: Lifter, config: LiftConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lift the kept frames of all tracks; see ``_Person.result``."""
    device = next(lifter.model.parameters()).device
    people = [_Person(track, config) for track in tracks]
    for chunks in _batches(tracks, config):
        parts = [_observe(tracks[chunk.person], chunk.piece, frame, camera, device) for chunk in chunks]
        seen = Observation(
            *(torch.cat(values) for values in zip(*(vars(part).values() for part in parts), strict=True))
        )
        batch = [
            _Chunk(chunk.person, replace(chunk.piece, weight=chunk.piece.weight * _usable(part).cpu()[:, None]))
            for chunk, part in zip(chunks, parts, strict=True)
        ]
        start = torch.cat([people[chunk.person].noise[:, chunk.piece.index] for chunk in batch], 1)
        joints = _denoise(seen, batch, start, lifter, config).cpu()
        expected = _expected_error(seen, parts, lifter).cpu()
        first = 0
        for chunk in batch:
            windows = slice(first, first + len(chunk))
            people[chunk.person].add(chunk.piece, joints[:, windows], expected[windows])
            first += len(chunk)
    return [person.result() for person in people]


def _batches(tracks: Sequence[_Track], config: LiftConfig) -> Iterator[list[_Chunk]]:
    """Yield chunks to denoise at once: at most ``config.batch`` windows and samples. A long track is cut into chunks
    that share a window, the same ones whoever else is lifted.
    """
    most = max(2, config.batch // config.samples)
    batch: list[_Chunk] = []
    for person, track in enumerate(tracks):
        piece = _cut(len(track.kept), config.window)
        for first in range(0, max(1, len(piece.index) - 1), most - 1):
            chunk = _Chunk(person, piece.part(slice(first, first + most)))
            if batch and sum(len(other) for other in batch) + len(chunk) > most:
                yield batch
                batch = []
            batch.append(chunk)
    if batch:
        yield batch


def _expected_error(seen: Observation, parts: Sequence[Observation], lifter: Lifter) -> Tensor:
    """Return the error to expect ``(W,T,J)`` m of the windows ``seen``, which are those of ``parts``."""
    if lifter.spread is None:
        return torch.zeros_like(seen.score)
    points = len(lifter.skeleton) + 1
    noise = [motion_noise(part.time_s, points, torch.Generator(seen.xy.device).manual_seed(0)) for part in parts]
    scene = build_scene(seen, lifter.skeleton)
    return expected_error(lifter.model, lifter.spread, scene, lifter.skeleton, torch.cat(noise))


def _observe(track: _Track, part: _Piece, frame: CanonicalFrame, camera: Camera, device: torch.device) -> Observation:
    R, t = frame.camera(camera)
    index = track.kept[part.index.numpy()]
    windows = len(index)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    time_s = track.time_s[index] - track.time_s[index[:, :1]]
    # padded frames go on in time, so that smoothing over time does not see them as one instant
    pad = np.maximum(np.cumsum(~part.valid.numpy(), 1), 0) * 0.1
    score = track.score[index] * part.valid.numpy()[..., None]
    return Observation(
        xy=tensor(np.where(score[..., None] > 0, track.xy[index], 0.0)),
        score=tensor(score),
        time_s=tensor(time_s + pad),
        valid=part.valid.to(device),
        R=tensor(R).expand(windows, 3, 3),
        t=tensor(t).expand(windows, 3),
    )


def _usable(seen: Observation) -> Tensor:
    """``(W)`` float: 1 where a window has enough observed frames to say anything."""
    return ((seen.score > 0).any(-1).sum(-1) >= min(_MIN_SEEN_FRAMES, seen.score.shape[1])).float()


def _denoise(seen: Observation, batch: Sequence[_Chunk], start: Tensor, lifter: Lifter, config: LiftConfig) -> Tensor:
    """Return ``(K,W,T,J,3)`` m: K samples of the windows, the overlaps of each chunk made one after every step.

    ``start (K,W,T,J+1,4)`` is the noise to start from.
    """
    copies, windows = start.shape[:2]
    device, index, span = seen.xy.device, [], 0
    for chunk in batch:  # each chunk has frames of its own, one behind the other
        index.append(chunk.piece.index - chunk.piece.index.min() + span)
        span = int(index[-1].max()) + 1
    places = torch.cat(index).to(device)
    weight = torch.cat([chunk.piece.weight for chunk in batch]).to(device)
    norm = torch.zeros(span, device=device).index_add_(0, places.flatten(), weight.flatten()).clamp_min(1e-6)

    def merge(joints: Tensor) -> Tensor:
        parts = (joints.unflatten(0, (windows, copies)) * weight[:, None, :, None, None]).transpose(1, 2)
        merged = torch.zeros(span, *parts.shape[2:], device=joints.device)
        merged.index_add_(0, places.flatten(), parts.flatten(0, 1))
        merged = (merged / norm[:, None, None, None])[places]
        unsupported = (norm[places] <= 1e-6)[:, :, None, None, None]
        own = joints.unflatten(0, (windows, copies)).transpose(1, 2)
        return torch.where(unsupported, own, merged).transpose(1, 2).flatten(0, 1)

    noise = start.transpose(0, 1).flatten(0, 1).to(device)
    scene = build_scene(seen, lifter.skeleton)
    joints = sample(lifter.model, scene, lifter.skeleton, steps=config.steps, copies=copies, noise=noise, merge=merge)
    return joints.unflatten(0, (windows, copies)).transpose(0, 1)


def _fill(joints: np.ndarray, known: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Bridge frames ``(K,N,J,3)`` that no window could say anything of, linearly in time."""
    if known.all() or not known.any():
        return joints
    logger.info(
        "%d of %d lifted frames lie in stretches without keypoints and were bridged", (~known).sum(), len(known)
    )
    before = np.searchsorted(time_s[known], time_s).clip(1, max(1, known.sum() - 1))
    a, b = (before - 1).clip(0), before.clip(0, known.sum() - 1)
    ta, tb = time_s[known][a], time_s[known][b]
    mix = np.clip((time_s - ta) / np.maximum(tb - ta, 1e-9), 0, 1)[:, None, None]
    return joints[:, known][:, a] * (1 - mix) + joints[:, known][:, b] * mix


def _to_site(
    person: Keypoints2D,
    track: _Track,
    samples: np.ndarray,
    expected: np.ndarray,
    frame: CanonicalFrame,
    camera: Camera,
) -> Motion3D:
    mean = samples.mean(0)
    spread = np.sqrt(((samples - mean) ** 2).sum(-1).mean(0) + expected**2)
    joints, spread = _own_frames(track, mean, spread, frame, camera)
    return Motion3D(
        person=person.person,
        skeleton=person.skeleton,
        frames=person.frames,
        time_s=person.time_s,
        joints=frame.to_site(joints),
        spread=spread,
    )


def _own_frames(
    track: _Track, mean: np.ndarray, spread: np.ndarray, frame: CanonicalFrame, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """From the kept frames to all frames ``(T,J,3)``: interpolated in time, then drawn to the frame's own rays."""
    if len(track.kept) == len(track.time_s):
        return mean, spread
    kept_s = track.time_s[track.kept]
    joints = PchipInterpolator(kept_s, mean, axis=0)(track.time_s)
    spread = np.stack([np.interp(track.time_s, kept_s, column) for column in spread.T], 1)
    R, t = frame.camera(camera)
    in_camera = joints @ R.T + t
    depth = np.maximum(in_camera[..., 2:], geometry.NEAR_M)
    on_ray = np.concatenate([track.xy, np.ones_like(depth)], -1) * depth
    gain = observation_gain(torch.as_tensor(track.score)).numpy()[..., None]
    gain[track.kept] = 0.0  # these were triangulated with their rays
    moved = in_camera + gain * (on_ray - in_camera)
    return (moved - t) @ R, spread
