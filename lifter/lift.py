"""Lifting whole tracks: windows, samples, and the way back to the clip's own frames and the site's own axes.

A track is cut into windows that overlap by half. Windows of all people are denoised together, as many as fit into
memory, and after every denoising step a person's overlapping windows are made one motion in 3D, so there is no seam to
hide. Where a track is longer than a batch, or than a piece of a recording, the windows are those of the whole track all
the same, and as many more on either side are denoised as can reach the frames in question: the answer does not depend
on where it was cut, nor on who else is lifted. The network runs at about 15 Hz; the clip's own frames in between follow
their own observed rays, at depths interpolated in time.
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
from mocap_video.kept import keepable
from mocap_video.lifter.diffusion import draw_noise, motion_noise, solid_noise
from mocap_video.lifter.guidance import observation_gain
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.spread import expected_error
from mocap_video.lifter.views import Observation, Scene, build_scene, mirrored_scene
from mocap_video.lifter.weights import LoadedWeights, load_weights, shipped_weights
from mocap_video.types import Calibration, Camera, Keypoints2D, Motion3D

logger = logging.getLogger(__name__)

Lifter = LoadedWeights

_MIN_SEEN_FRAMES = 2

_NOISE_BLOCK = 1024
"""Noise is drawn for so many frames of the network at once, so that any part of a track can be drawn by itself."""

_BESIDE = 2
"""So many of the network's frames beyond a frame decide how those between are interpolated."""


@dataclass(frozen=True)
class LiftConfig:
    """How tracks are lifted.

    ``steps`` of the sampler, one by measurement (docs/benchmarks/lifter.md); ``samples`` K drawn per person, whose mean
    is the answer and whose deviation is part of its spread; ``mirror``: half of them are drawn of the mirrored scene;
    ``rate_hz`` at which the network runs; ``window`` frames of the network at once; ``batch`` windows in memory.
    """

    steps: int = 1
    samples: int = 2
    mirror: bool = True
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
class LiftPart:
    """A part of a track to lift: rows ``first`` to before ``stop`` of a track whose frames are at ``time_s (T)`` s.

    ``keypoints`` are those of the rows from ``row`` on, as ``rows_needed`` says.
    """

    keypoints: Keypoints2D
    row: int
    first: int
    stop: int
    time_s: np.ndarray


@dataclass(frozen=True)
class _Plan:
    """What of a track decides some of its rows.

    ``kept (N)``: the rows of the whole track that the network sees; of these ``kept_first`` to before ``kept_stop``
    are wanted, and so are windows ``first`` to before ``stop`` of all ``windows``, with ``reach`` more on either side.
    """

    kept: np.ndarray
    kept_first: int
    kept_stop: int
    windows: int
    first: int
    stop: int
    reach: int

    def about(self, first: int, stop: int) -> tuple[int, int]:
        """Return the windows that decide windows ``first`` to before ``stop``."""
        return max(first - self.reach, 0), min(stop + self.reach, self.windows)

    def frames_of(self, first: int, stop: int, window: int) -> tuple[int, int]:
        """Return the kept frames of windows ``first`` to before ``stop``."""
        hop = window // 2
        return first * hop, min((stop - 1) * hop + window, len(self.kept))


@dataclass(frozen=True)
class _Track:
    """One person's observation in the canonical frame's camera: ``xy (T,J,2)`` normalised, ``score (T,J)``,
    ``time_s (T)``, from row ``row`` of the whole track on.
    """

    xy: np.ndarray
    score: np.ndarray
    time_s: np.ndarray
    row: int


@dataclass(frozen=True)
class _Piece:
    """Windows of one person: ``index (W,T)`` into the kept frames, ``valid (W,T)``, ``weight (W,T)`` for overlaps."""

    index: Tensor
    valid: Tensor
    weight: Tensor

    def select(self, windows: slice) -> _Piece:
        """Return some of the windows."""
        return _Piece(self.index[windows], self.valid[windows], self.weight[windows])


@dataclass(frozen=True)
class _Chunk:
    """Windows of part number ``part`` that are made one motion together, of which ``own`` are answered for."""

    part: int
    piece: _Piece
    own: slice

    def __len__(self) -> int:
        return len(self.piece.index)


class _Lifting:
    """What becomes of one part of a track over the network's frames that decide it, from ``base`` on: weighted sums of
    samples ``(K,N,J,3)`` m and of the error to expect ``(N,J)`` m, and the noise that its samples start from.
    """

    def __init__(self, track: _Track, time_s: np.ndarray, plan: _Plan, config: LiftConfig) -> None:
        joints = track.xy.shape[1]
        self.track, self.plan = track, plan
        self.base, end = plan.frames_of(*plan.about(plan.first, plan.stop), config.window)
        self.kept_s = time_s[plan.kept[self.base : end]]
        self.noise = _noise(time_s[plan.kept], joints + 1, self.base, end, config)
        self.total = torch.zeros(config.samples, end - self.base, joints, 3)
        self.error = torch.zeros(end - self.base, joints)
        self.weight = torch.zeros(end - self.base)

    def chunks(self, part: int, config: LiftConfig, most: int) -> Iterator[_Chunk]:
        """Yield chunks of at most about ``most`` windows; ``part`` is this part's number."""
        pieces = _cut(len(self.plan.kept), config.window)
        for first, stop in _spans(self.plan, most):
            start, last = self.plan.about(first, stop)
            yield _Chunk(part, pieces.select(slice(start, last)), slice(first - start, stop - start))

    def noise_of(self, chunk: _Chunk) -> Tensor:
        """Return the noise ``(K,W,T,J+1,4)`` of a chunk's windows."""
        return self.noise[:, chunk.piece.index - self.base]

    def add(self, chunk: _Chunk, joints: Tensor, expected: Tensor) -> None:
        """Add a chunk's windows: ``joints (K,W,T,J,3)`` and ``expected (W,T,J)`` m."""
        piece = chunk.piece
        for w in range(len(chunk))[chunk.own]:
            frames = piece.index[w] - self.base
            self.error.index_add_(0, frames, expected[w] * piece.weight[w][:, None])
            self.total.index_add_(1, frames, joints[:, w] * piece.weight[w][:, None, None])
            self.weight.index_add_(0, frames, piece.weight[w])

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the wanted samples ``(K,N,J,3)`` m in the canonical frame and the error ``(N,J)`` m to expect of their
        mean (0 where the weights do not tell).
        """
        known, weight = (self.weight > 1e-6).numpy(), self.weight.clamp_min(1e-6)
        motions = _fill((self.total / weight[:, None, None]).double().numpy(), known, self.kept_s)
        error = (self.error / weight[:, None])[None, ..., None].double().numpy()
        wanted = slice(self.plan.kept_first - self.base, self.plan.kept_stop - self.base)
        return motions[:, wanted], _fill(error, known, self.kept_s)[0, wanted, :, 0]


@keepable
def load_lifter(weights: Path | None = None, device: str = "cpu") -> Lifter:
    """Load the shipped COCO-17 weights, or those at ``weights``. Raises ``MissingAsset`` or ``ArtifactError``."""
    return load_weights(shipped_weights() if weights is None else weights, device)


def lift(people: Sequence[Keypoints2D], calibration: Calibration, lifter: Lifter, config: LiftConfig) -> list[Motion3D]:
    """Lift every person to metric 3D in the site world.

    Raises ``ConfigError`` when the keypoint set is not the one the weights are for.
    """
    parts = [LiftPart(person, 0, 0, len(person.frames), person.time_s) for person in people]
    return lift_parts(parts, calibration, lifter, config)


def rows_needed(time_s: np.ndarray, first: int, stop: int, config: LiftConfig) -> tuple[int, int]:
    """Return the first row, and the one after the last, of what decides rows ``first`` to before ``stop`` of a track
    whose frames are at ``time_s (T)`` s.
    """
    plan = _plan(time_s, first, stop, config)
    start, end = plan.frames_of(*plan.about(plan.first, plan.stop), config.window)
    return min(first, int(plan.kept[start])), max(stop, int(plan.kept[end - 1]) + 1)


def lift_parts(
    parts: Sequence[LiftPart], calibration: Calibration, lifter: Lifter, config: LiftConfig
) -> list[Motion3D]:
    """Lift rows ``first`` to before ``stop`` of each part, as they are in the whole of that person's track."""
    frame = canonical_frame(calibration.camera, calibration.ground)
    lifted = [_Lifting(_prepare(part, calibration.camera, lifter), part.time_s,
                       _plan(part.time_s, part.first, part.stop, config), config) for part in parts]  # fmt: skip
    _denoise_all(lifted, frame, calibration.camera, lifter, config)
    return [
        _to_site(part, each.track, each.plan, *each.result(), frame, calibration.camera)
        for part, each in zip(parts, lifted, strict=True)
    ]


def _prepare(part: LiftPart, camera: Camera, lifter: Lifter) -> _Track:
    person = part.keypoints
    if person.skeleton != lifter.skeleton.name:
        raise ConfigError(
            f"person {person.person}: keypoints are {person.skeleton}, the lifter's weights are for "
            f"{lifter.skeleton.name}; choose weights for {person.skeleton}"
        )
    xy = geometry.normalized_from_pixels(torch.as_tensor(person.xy, dtype=torch.float64), camera).numpy()
    score = np.where(np.isfinite(xy).all(-1), person.score, 0.0)
    return _Track(np.where(score[..., None] > 0, xy, 0.0), score, person.time_s, part.row)


def _plan(time_s: np.ndarray, first: int, stop: int, config: LiftConfig) -> _Plan:
    spacing = np.median(np.diff(time_s)) if len(time_s) > 1 else 1.0
    stride = max(1, round(1 / (config.rate_hz * float(spacing))))
    kept = np.unique(np.append(np.arange(0, len(time_s), stride), len(time_s) - 1))
    before = int(np.searchsorted(kept, first, "right")) - 1
    after = int(np.searchsorted(kept, stop - 1)) + 1
    start, end = max(before - _BESIDE, 0), min(after + _BESIDE, len(kept))
    hop = config.window // 2
    windows = len(range(0, max(1, len(kept) - hop), hop))
    return _Plan(
        kept=kept,
        kept_first=start,
        kept_stop=end,
        windows=windows,
        first=min(max(0, (start - config.window) // hop + 1), windows - 1),
        stop=min((end - 1) // hop + 1, windows),
        reach=config.steps,  # a step carries what a window sees to the next on either side
    )


def _cut(count: int, window: int) -> _Piece:
    """Windows over ``count`` kept frames: half overlapping, weights falling to the ends so that overlaps blend."""
    hop = window // 2
    starts = torch.arange(0, max(1, count - hop), hop)
    index = starts[:, None] + torch.arange(window)
    valid = index < count
    ramp = 1 - (torch.arange(window) + 0.5 - hop).abs() / hop
    return _Piece(index.clamp_max(count - 1), valid, ramp.clamp_min(0.02) * valid)


def _noise(time_s: np.ndarray, points: int, first: int, stop: int, config: LiftConfig) -> Tensor:
    """Return the noise ``(K,stop-first,points,4)`` of the network's frames ``first`` to before ``stop``, which are at
    ``time_s (N)`` s, whatever part of the track is asked for.
    """
    begin = max(0, first // _NOISE_BLOCK - 1)  # what lasts has forgotten all but the block before
    white, fresh = [], []
    for block in range(begin, (stop - 1) // _NOISE_BLOCK + 1):
        count = min(_NOISE_BLOCK, len(time_s) - block * _NOISE_BLOCK)
        generator = torch.Generator().manual_seed(config.seed + block)
        drawn = draw_noise((config.samples, count), points, generator)
        white.append(drawn[0])
        fresh.append(drawn[1])
    base = begin * _NOISE_BLOCK
    seconds = torch.as_tensor(time_s[base:stop], dtype=torch.float32).expand(config.samples, -1)
    whole = (torch.cat(part, 1)[:, : stop - base] for part in (white, fresh))
    return solid_noise(seconds, *whole)[:, first - base :]


def _denoise_all(
    lifted: Sequence[_Lifting], frame: CanonicalFrame, camera: Camera, lifter: Lifter, config: LiftConfig
) -> None:
    """Denoise the windows of all parts, batch by batch, and add what comes out to each part's sums."""
    device = next(lifter.model.parameters()).device
    for chunks in _batches(lifted, config):
        parts = [
            _observe(lifted[chunk.part].track, lifted[chunk.part].plan.kept, chunk.piece, frame, camera, device)
            for chunk in chunks
        ]
        seen = Observation(
            *(torch.cat(values) for values in zip(*(vars(part).values() for part in parts), strict=True))
        )
        batch = [
            replace(chunk, piece=replace(chunk.piece, weight=chunk.piece.weight * _usable(part).cpu()[:, None]))
            for chunk, part in zip(chunks, parts, strict=True)
        ]
        start = torch.cat([lifted[chunk.part].noise_of(chunk) for chunk in batch], 1)
        scene = build_scene(seen, lifter.skeleton)
        joints = _denoise(scene, batch, start, lifter, config).cpu()
        expected = _expected_error(scene, parts, lifter, mirror=config.mirror).cpu()
        first = 0
        for chunk in batch:
            windows = slice(first, first + len(chunk))
            lifted[chunk.part].add(chunk, joints[:, windows], expected[windows])
            first += len(chunk)


def _batches(lifted: Sequence[_Lifting], config: LiftConfig) -> Iterator[list[_Chunk]]:
    """Yield chunks to denoise at once: ``config.batch`` windows times samples, somewhat more where one chunk asks."""
    most = max(2, config.batch // config.samples)
    batch: list[_Chunk] = []
    for number, each in enumerate(lifted):
        for chunk in each.chunks(number, config, most):
            if batch and sum(len(other) for other in batch) + len(chunk) > most:
                yield batch
                batch = []
            batch.append(chunk)
    if batch:
        yield batch


def _spans(plan: _Plan, size: int) -> list[tuple[int, int]]:
    """Return the windows to answer for, first and past the last, of every chunk of about ``size`` windows."""
    start, end = plan.about(plan.first, plan.stop)
    if end - start <= size:
        return [(plan.first, plan.stop)]
    own = max(1, size - 2 * plan.reach)
    return [(first, min(first + own, plan.stop)) for first in range(plan.first, plan.stop, own)]


def _expected_error(scene: Scene, parts: Sequence[Observation], lifter: Lifter, *, mirror: bool) -> Tensor:
    """Return the error to expect ``(W,T,J)`` m of the windows of ``scene``, which are those of ``parts``; with
    ``mirror`` the geometric mean of what is expected of them and of the mirrored ones.
    """
    if lifter.spread is None:
        return torch.zeros_like(scene.seen.score)
    skeleton = lifter.skeleton
    points, device = len(skeleton) + 1, scene.seen.xy.device
    noise = torch.cat([motion_noise(part.time_s, points, torch.Generator(device).manual_seed(0)) for part in parts])
    expected = expected_error(lifter.model, lifter.spread, scene, skeleton, noise)
    if not mirror:
        return expected
    other = expected_error(lifter.model, lifter.spread, mirrored_scene(scene), skeleton, noise)
    return torch.sqrt(expected * other[..., list(skeleton.flip)])


def _observe(
    track: _Track, kept: np.ndarray, part: _Piece, frame: CanonicalFrame, camera: Camera, device: torch.device
) -> Observation:
    R, t = frame.camera(camera)
    index = kept[part.index.numpy()] - track.row
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


def _denoise(scene: Scene, batch: Sequence[_Chunk], start: Tensor, lifter: Lifter, config: LiftConfig) -> Tensor:
    """Return ``(K,W,T,J,3)`` m: K samples of the windows, the overlaps of each chunk made one after every step.

    ``start (K,W,T,J+1,4)`` is the noise to start from.
    """
    copies, windows = start.shape[:2]
    device, index, span = scene.seen.xy.device, [], 0
    for chunk in batch:  # each chunk has frames of its own, one behind the other
        index.append(chunk.piece.index - chunk.piece.index.min() + span)
        span = int(index[-1].max()) + 1
    places = torch.cat(index).to(device)
    weight = torch.cat([chunk.piece.weight for chunk in batch]).to(device)
    norm = torch.zeros(span, device=device).index_add_(0, places.flatten(), weight.flatten()).clamp_min(1e-6)

    def merge(joints: Tensor) -> Tensor:
        parts = (joints.unflatten(0, (windows, -1)) * weight[:, None, :, None, None]).transpose(1, 2)
        merged = torch.zeros(span, *parts.shape[2:], device=joints.device)
        merged.index_add_(0, places.flatten(), parts.flatten(0, 1))
        merged = (merged / norm[:, None, None, None])[places]
        unsupported = (norm[places] <= 1e-6)[:, :, None, None, None]
        own = joints.unflatten(0, (windows, -1)).transpose(1, 2)
        return torch.where(unsupported, own, merged).transpose(1, 2).flatten(0, 1)

    noise = start.transpose(0, 1).flatten(0, 1).to(device)
    joints = sample(
        lifter.model,
        scene,
        lifter.skeleton,
        steps=config.steps,
        copies=copies,
        mirror=config.mirror,
        noise=noise,
        merge=merge,
    )
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
    part: LiftPart,
    track: _Track,
    plan: _Plan,
    samples: np.ndarray,
    expected: np.ndarray,
    frame: CanonicalFrame,
    camera: Camera,
) -> Motion3D:
    mean = samples.mean(0)
    spread = np.sqrt(((samples - mean) ** 2).sum(-1).mean(0) + expected**2)
    joints, spread = _own_frames(part, track, plan, mean, spread, frame, camera)
    here = slice(part.first - part.row, part.stop - part.row)
    return Motion3D(
        person=part.keypoints.person,
        skeleton=part.keypoints.skeleton,
        frames=part.keypoints.frames[here],
        time_s=part.keypoints.time_s[here],
        joints=frame.to_site(joints),
        spread=spread,
    )


def _own_frames(
    part: LiftPart,
    track: _Track,
    plan: _Plan,
    mean: np.ndarray,
    spread: np.ndarray,
    frame: CanonicalFrame,
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray]:
    """From the kept frames to the part's frames ``(T,J,3)``: interpolated in time, then drawn to their own rays."""
    kept = plan.kept[plan.kept_first : plan.kept_stop]
    if len(plan.kept) == len(part.time_s):
        here = slice(part.first - plan.kept_first, part.stop - plan.kept_first)
        return mean[here], spread[here]
    time_s, kept_s = part.time_s[part.first : part.stop], part.time_s[kept]
    joints = PchipInterpolator(kept_s, mean, axis=0)(time_s)
    spread = np.stack([np.interp(time_s, kept_s, column) for column in spread.T], 1)
    R, t = frame.camera(camera)
    in_camera = joints @ R.T + t
    depth = np.maximum(in_camera[..., 2:], geometry.NEAR_M)
    here = slice(part.first - track.row, part.stop - track.row)
    on_ray = np.concatenate([track.xy[here], np.ones_like(depth)], -1) * depth
    gain = observation_gain(torch.as_tensor(track.score[here])).numpy()[..., None]
    gain[np.isin(np.arange(part.first, part.stop), kept)] = 0.0  # these were triangulated with their rays
    moved = in_camera + gain * (on_ray - in_camera)
    return (moved - t) @ R, spread
