"""Errors of 3D motion against the truth, as the field defines them (method 8): one place computes them.

Absolute position is the product, so what aligns nothing stands first. A missing joint of the truth is NaN and left out
everywhere; means run over the joints of a frame, then over the frames of all clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np

from mocap_video.lifter.alignment import fit_similarity
from mocap_video.skeletons import Skeleton

CHUNK_FRAMES = 100
"""Length of the pieces that W-MPJPE and WA-MPJPE align."""

STILL_M = 0.010
"""An ankle of the truth that moves less than this from one frame to the next stands."""

_Number = TypeVar("_Number", float, np.ndarray)


@dataclass(frozen=True)
class Errors(Generic[_Number]):
    """Errors of motion: numbers once pooled (``MotionErrors``), one value a frame before (``FrameErrors``).

    Nothing aligned: ``abs_mpjpe_mm``, mean distance of the joints; ``root_mm``, of the root (``Skeleton.root``).
    ``t_root_mm``: of the root, once the clip's whole root path is aligned rigidly. ``mpjpe_mm``: of the joints, both
    roots moved to the origin. ``pa_mpjpe_mm``: of the joints, each frame aligned by a similarity (Procrustes).
    ``w_mpjpe_mm``: pieces of 100 frames aligned by a similarity on their first two known frames; ``wa_mpjpe_mm``: on
    the whole piece. Both hide an error of scale: ``w_mpjpe_scale1_mm`` and ``wa_mpjpe_scale1_mm`` align rigidly.
    ``rte_percent``: as ``t_root_mm``, as a share of the length of the true root path.
    ``accel_m_s2``: difference of the joints' accelerations. ``jitter_10m_s3``: size of the prediction's own jerk, in
    10 m/s^3. ``foot_slide_mm``: how far the prediction's ankle moves in a frame in which the true one stands.
    """

    abs_mpjpe_mm: _Number
    root_mm: _Number
    t_root_mm: _Number
    mpjpe_mm: _Number
    pa_mpjpe_mm: _Number
    w_mpjpe_mm: _Number
    wa_mpjpe_mm: _Number
    w_mpjpe_scale1_mm: _Number
    wa_mpjpe_scale1_mm: _Number
    rte_percent: _Number
    accel_m_s2: _Number
    jitter_10m_s3: _Number
    foot_slide_mm: _Number
    frames: int


FrameErrors = Errors[np.ndarray]
"""Of one clip: a value for each compared frame; NaN or fewer where a metric has none (steps, accelerations)."""

MotionErrors = Errors[float]
"""Of any number of clips, their ``frames`` pooled; NaN where no frame has the metric."""

METRICS = tuple(field.name for field in fields(Errors) if field.name != "frames")

LABELS = {
    "abs_mpjpe_mm": "Abs-MPJPE",
    "root_mm": "Root",
    "t_root_mm": "T_root",
    "mpjpe_mm": "MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "w_mpjpe_mm": "W-MPJPE",
    "wa_mpjpe_mm": "WA-MPJPE",
    "w_mpjpe_scale1_mm": "W, scale 1",
    "wa_mpjpe_scale1_mm": "WA, scale 1",
    "rte_percent": "RTE %",
    "accel_m_s2": "Accel m/s^2",
    "jitter_10m_s3": "Jitter 10 m/s^3",
    "foot_slide_mm": "FS",
}
"""Names of the metrics in tables; millimetres where no unit is named."""


def motion_errors(predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton, fps: float) -> MotionErrors:
    """Return the errors of one clip; see ``frame_errors``."""
    return pool_errors([frame_errors(predicted, truth, skeleton, fps)])


def frame_errors(predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton, fps: float) -> FrameErrors:
    """Compare ``predicted (T,J,3)`` with ``truth (T,J,3)``, m in one frame of reference, ``fps`` frames a second.

    Truth may hold NaN; a frame counts where its root and at least three joints are known. Raises ``ValueError`` if none
    does, or if the prediction lacks a joint that the truth knows.
    """
    used = _used_frames(predicted, truth, skeleton)
    known = np.isfinite(truth).all(-1) & used[:, None]
    p, g = (np.where(known[..., None], joints.astype(np.float64), np.nan) for joints in (predicted, truth))
    root_p, root_g = skeleton.root_of(p), skeleton.root_of(g)
    on_path = fit_similarity(root_p, root_g, scaled=False).apply(root_p)
    t_root = 1000 * np.linalg.norm(on_path - root_g, axis=-1)[used]
    length = np.linalg.norm(np.diff(root_g[used], axis=0), axis=-1).sum()
    return Errors(
        abs_mpjpe_mm=_distance_mm(p, g)[used],
        root_mm=1000 * np.linalg.norm(root_p - root_g, axis=-1)[used],
        t_root_mm=t_root,
        mpjpe_mm=_distance_mm(p - root_p[:, None], g - root_g[:, None])[used],
        pa_mpjpe_mm=_distance_mm(fit_similarity(p, g, scaled=True).apply(p), g)[used],
        w_mpjpe_mm=_chunked_mm(p, g, used, 2, scaled=True),
        wa_mpjpe_mm=_chunked_mm(p, g, used, CHUNK_FRAMES, scaled=True),
        w_mpjpe_scale1_mm=_chunked_mm(p, g, used, 2, scaled=False),
        wa_mpjpe_scale1_mm=_chunked_mm(p, g, used, CHUNK_FRAMES, scaled=False),
        rte_percent=t_root / (10 * length) if length > 0 else np.full_like(t_root, np.nan),
        accel_m_s2=_over_joints(np.linalg.norm(np.diff(p, 2, axis=0) - np.diff(g, 2, axis=0), axis=-1)) * fps**2,
        jitter_10m_s3=_over_joints(np.linalg.norm(np.diff(p, 3, axis=0), axis=-1)) * fps**3 / 10,
        foot_slide_mm=_foot_slide_mm(p, g, skeleton),
        frames=int(used.sum()),
    )


def pool_errors(parts: Sequence[FrameErrors]) -> MotionErrors:
    """Return the means over all frames of several clips."""
    frames = sum(part.frames for part in parts)
    if not frames:
        raise ValueError("pool_errors: no frames to pool")

    def mean(name: str) -> float:
        values = np.concatenate([getattr(part, name) for part in parts])
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    return Errors(**{name: mean(name) for name in METRICS}, frames=frames)


def match_times(time_s: np.ndarray, reference_s: np.ndarray, tolerance_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair times: return indices ``(M)`` into ``time_s (T)`` and ``(M)`` into ``reference_s (S)``.

    Each time is paired with its nearest reference where that is no further than ``tolerance_s``. Both arrays are
    seconds and increase; several times may share a reference only if the tolerance spans more than half its spacing.
    """
    if not len(reference_s):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    right = np.searchsorted(reference_s, time_s).clip(0, len(reference_s) - 1)
    left = (right - 1).clip(0)
    closer_left = np.abs(reference_s[left] - time_s) <= np.abs(reference_s[right] - time_s)
    nearest = np.where(closer_left, left, right)
    paired = np.abs(reference_s[nearest] - time_s) <= tolerance_s
    return np.flatnonzero(paired), nearest[paired]


def _used_frames(predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return which frames count, ``(T)`` bool; raises ``ValueError`` where the two cannot be compared."""
    if predicted.shape != truth.shape or truth.shape[1:] != (len(skeleton), 3):
        expected = f"(T, {len(skeleton)}, 3)"
        raise ValueError(f"frame_errors: expected two arrays {expected}, got {predicted.shape} and {truth.shape}")
    known = np.asarray(np.isfinite(truth).all(-1))
    used = np.asarray(known[:, list(skeleton.root)].all(-1) & (known.sum(-1) >= 3))
    if not used.any():
        raise ValueError("frame_errors: no frame of the truth has its root and three joints")
    lacking = used & (known & ~np.isfinite(predicted).all(-1)).any(-1)
    if lacking.any():
        first = int(lacking.argmax())
        raise ValueError(f"frame_errors: the prediction lacks joints that the truth knows, first in frame {first}")
    return used


def _over_joints(values: np.ndarray) -> np.ndarray:
    """Return the means ``(T)`` over the known joints of ``values (T,J)``; NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)


def _distance_mm(p: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return the mean distances ``(T)`` in millimetres of joints ``(T,J,3)`` m."""
    return 1000 * _over_joints(np.linalg.norm(p - g, axis=-1))


def _chunked_mm(p: np.ndarray, g: np.ndarray, used: np.ndarray, leading: int, *, scaled: bool) -> np.ndarray:
    """Return mean distances in millimetres of the used frames, each chunk aligned on its ``leading`` first of them."""
    parts = []
    for first in range(0, len(p), CHUNK_FRAMES):
        chunk = slice(first, first + CHUNK_FRAMES)
        fitted = np.flatnonzero(used[chunk])[:leading]
        moved = fit_similarity(p[chunk][fitted].reshape(-1, 3), g[chunk][fitted].reshape(-1, 3), scaled=scaled)
        parts.append(_distance_mm(moved.apply(p[chunk]), g[chunk])[used[chunk]])
    return np.concatenate(parts)


def _foot_slide_mm(p: np.ndarray, g: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the mean step ``(T - 1)`` in millimetres of ``p``'s ankles that stand in ``g``; NaN where none stands."""
    ankles = [skeleton.index("left_ankle"), skeleton.index("right_ankle")]
    step_p, step_g = (np.linalg.norm(np.diff(joints[:, ankles], axis=0), axis=-1) for joints in (p, g))
    return 1000 * _over_joints(np.where(step_g < STILL_M, step_p, np.nan))
