"""Errors of 3D motion against the truth, in millimetres, as the field defines them.

None but PA-MPJPE aligns anything: absolute position is the product. A missing joint of the truth is NaN and left out;
means run over the joints of a frame, then over frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mocap_video.skeletons import Skeleton


@dataclass(frozen=True)
class MotionErrors:
    """Errors over ``frames`` compared frames, millimetres.

    ``abs_mpjpe_mm``: mean distance of the joints, no alignment. ``root_mm``: of the root (mid-hip for COCO-17), no
    alignment. ``mpjpe_mm``: of the joints once both roots are moved to the origin. ``pa_mpjpe_mm``: after the best
    similarity of each frame (Procrustes with scale).
    """

    abs_mpjpe_mm: float
    root_mm: float
    mpjpe_mm: float
    pa_mpjpe_mm: float
    frames: int


def motion_errors(predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton) -> MotionErrors:
    """Compare ``predicted (T,J,3)`` with ``truth (T,J,3)``, m in one frame of reference, frame by frame.

    Truth may hold NaN; a frame counts where its root and at least three joints are known. ``ValueError`` if none is.
    """
    if predicted.shape != truth.shape or truth.shape[1:] != (len(skeleton), 3):
        expected = f"(T, {len(skeleton)}, 3)"
        raise ValueError(f"motion_errors: expected two arrays {expected}, got {predicted.shape} and {truth.shape}")
    known = np.isfinite(truth.sum(-1))
    used = known[:, list(skeleton.root)].all(-1) & (known.sum(-1) >= 3)
    if not used.any():
        raise ValueError("motion_errors: no frame of the truth has its root and three joints")
    p, g, known = predicted[used], truth[used], known[used]
    root_p, root_g = skeleton.root_of(p), skeleton.root_of(g)
    aligned = np.stack([align_similarity(pi, gi, ki) for pi, gi, ki in zip(p, g, known, strict=True)])
    return MotionErrors(
        abs_mpjpe_mm=_mean_distance_mm(p, g),
        root_mm=_mean_distance_mm(root_p[:, None], root_g[:, None]),
        mpjpe_mm=_mean_distance_mm(p - root_p[:, None], g - root_g[:, None]),
        pa_mpjpe_mm=_mean_distance_mm(aligned, g),
        frames=len(p),
    )


def pool_errors(parts: Sequence[MotionErrors]) -> MotionErrors:
    """Return the errors of several clips with their frames pooled."""
    frames = sum(part.frames for part in parts)
    if not frames:
        raise ValueError("pool_errors: no frames to pool")

    def mean(name: str) -> float:
        return sum(getattr(part, name) * part.frames for part in parts) / frames

    return MotionErrors(mean("abs_mpjpe_mm"), mean("root_mm"), mean("mpjpe_mm"), mean("pa_mpjpe_mm"), frames)


def align_similarity(source: np.ndarray, target: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return ``source (J,3)`` m moved onto ``target (J,3)`` m by the similarity that is best over ``known (J)`` bool.

    Umeyama's closed form (1991): rotation, translation and one scale, never a reflection.
    """
    s, t = source[known], target[known]
    mean_s, mean_t = s.mean(0), t.mean(0)
    covariance = (t - mean_t).T @ (s - mean_s)
    U, singular, Vt = np.linalg.svd(covariance)
    proper = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    R = (U * proper) @ Vt
    spread = ((s - mean_s) ** 2).sum()
    scale = (singular * proper).sum() / spread if spread > 0 else 0.0
    return scale * (source - mean_s) @ R.T + mean_t


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


def _mean_distance_mm(p: np.ndarray, g: np.ndarray) -> float:
    """Return the mean over joints, then frames, of the distance of ``(T,J,3)`` m, in millimetres; NaN left out."""
    return float(1000 * np.nanmean(np.linalg.norm(p - g, axis=-1), axis=1).mean())
