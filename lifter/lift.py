"""Lifting whole tracks: windows, samples, and the way back to the clip's own frames and the site's own axes.

A track is cut into windows that overlap by half. All windows of all people are denoised together, and after every
denoising step overlapping windows are made one motion in 3D, so there is no seam to hide. The network runs at about
15 Hz; the clip's own frames in between follow their own observed rays, at depths interpolated in time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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


def load_lifter(weights: Path | None = None, device: str = "cpu") -> Lifter:
    """Load the shipped COCO-17 weights, or those at ``weights``. Raises ``MissingAsset`` or ``ArtifactError``."""
    return load_weights(shipped_weights() if weights is None else weights, device)


def lift(people: Sequence[Keypoints2D], calibration: Calibration, lifter: Lifter, config: LiftConfig) -> list[Motion3D]:
    """Lift every person to metric 3D in the site world.

    Raises ``ConfigError`` when the keypoint set is not the one the weights are for.
    """
    frame = canonical_frame(calibration.camera, calibration.ground)
    tracks = [_prepare(person, calibration.camera, lifter, config) for person in people]
    lifted = [_lift_track(track, frame, calibration.camera, lifter, config) for track in tracks]
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


def _lift_track(
    track: _Track, frame: CanonicalFrame, camera: Camera, lifter: Lifter, config: LiftConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Lift a track's kept frames: ``config.samples`` motions ``(K,N,J,3)`` m in the canonical frame, and the error
    ``(N,J)`` m to expect of their mean (0 where the weights do not tell).
    """
    device = next(lifter.model.parameters()).device
    count, copies = len(track.kept), config.samples
    piece = _cut(count, config.window)
    generator = torch.Generator().manual_seed(config.seed)
    kept_s = torch.as_tensor(track.time_s[track.kept], dtype=torch.float32).expand(copies, -1)
    noise = motion_noise(kept_s, track.xy.shape[1] + 1, generator)
    total = torch.zeros(copies, count, track.xy.shape[1], 3)
    error = torch.zeros(count, track.xy.shape[1])
    weight = torch.zeros(count)
    per_chunk = max(2, config.batch // copies)
    for first in range(0, len(piece.index), per_chunk - 1):
        part = _Piece(*(value[first : first + per_chunk] for value in vars(piece).values()))
        seen = _observe(track, part, frame, camera, device)
        part = _Piece(part.index, part.valid, part.weight * _usable(seen).cpu()[:, None])
        joints = _denoise(seen, part, noise, lifter, config).cpu()
        expected = _expected_error(seen, lifter).cpu()
        for w in range(len(part.index)):
            error.index_add_(0, part.index[w], expected[w] * part.weight[w][:, None])
            total.index_add_(1, part.index[w], joints[:, w] * part.weight[w][:, None, None])
            weight.index_add_(0, part.index[w], part.weight[w])
        if first + per_chunk >= len(piece.index):
            break
    known, time_s = (weight > 1e-6).numpy(), track.time_s[track.kept]
    weight = weight.clamp_min(1e-6)
    motions = _fill((total / weight[:, None, None]).double().numpy(), known, time_s)
    return motions, _fill((error / weight[:, None])[None, ..., None].double().numpy(), known, time_s)[0, ..., 0]


def _expected_error(seen: Observation, lifter: Lifter) -> Tensor:
    """Return the error to expect ``(W,T,J)`` m of the windows."""
    if lifter.spread is None:
        return torch.zeros_like(seen.score)
    return expected_error(lifter.model, lifter.spread, build_scene(seen, lifter.skeleton), lifter.skeleton)


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


def _denoise(seen: Observation, part: _Piece, noise: Tensor, lifter: Lifter, config: LiftConfig) -> Tensor:
    """Return ``(K,W,T,J,3)`` m: K samples of the windows, overlaps made one after every step."""
    copies, windows = config.samples, len(part.index)
    base, span = int(part.index.min()), int(part.index.max() - part.index.min()) + 1
    index = (part.index - base).to(seen.xy.device)
    weight = part.weight.to(seen.xy.device)
    norm = torch.zeros(span, device=weight.device).index_add_(0, index.flatten(), weight.flatten()).clamp_min(1e-6)

    def merge(joints: Tensor) -> Tensor:
        parts = (joints.unflatten(0, (windows, copies)) * weight[:, None, :, None, None]).transpose(1, 2)
        merged = torch.zeros(span, *parts.shape[2:], device=joints.device)
        merged.index_add_(0, index.flatten(), parts.flatten(0, 1))
        merged = (merged / norm[:, None, None, None])[index]
        unsupported = (norm[index] <= 1e-6)[:, :, None, None, None]
        own = joints.unflatten(0, (windows, copies)).transpose(1, 2)
        return torch.where(unsupported, own, merged).transpose(1, 2).flatten(0, 1)

    start = noise[:, part.index].transpose(0, 1).flatten(0, 1).to(seen.xy.device)
    scene = build_scene(seen, lifter.skeleton)
    joints = sample(lifter.model, scene, lifter.skeleton, steps=config.steps, copies=copies, noise=start, merge=merge)
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
