"""The transform that brings points closest to others: rigid, or with one scale (Umeyama 1991), in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Similarity:
    """``x -> scale R x + t``: ``scale (...)``, proper rotations ``R (...,3,3)``, ``t (...,3)`` m."""

    scale: np.ndarray
    R: np.ndarray
    t: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return ``points (...,N,3)`` m moved; NaN stays NaN."""
        return self.scale[..., None, None] * points @ np.swapaxes(self.R, -1, -2) + self.t[..., None, :]


def fit_similarity(source: np.ndarray, target: np.ndarray, *, scaled: bool) -> Similarity:
    """Return the similarity that moves ``source (...,N,3)`` m onto ``target (...,N,3)`` m with least squares.

    Umeyama's closed form, never a reflection; the scale is 1 where not ``scaled``. A point that is NaN in either is
    left out. Points that leave the rotation open (fewer than three, or on a line) get one of the best.
    """
    known = np.isfinite(source).all(-1, keepdims=True) & np.isfinite(target).all(-1, keepdims=True)
    count = np.maximum(known.sum(-2, keepdims=True), 1)
    s, t = np.where(known, source, 0.0), np.where(known, target, 0.0)
    mean_s, mean_t = s.sum(-2, keepdims=True) / count, t.sum(-2, keepdims=True) / count
    s, t = (s - mean_s) * known, (t - mean_t) * known
    U, singular, Vt = np.linalg.svd(np.swapaxes(t, -1, -2) @ s)
    proper = np.ones_like(singular)
    proper[..., 2] = np.sign(np.linalg.det(U @ Vt))
    R = (U * proper[..., None, :]) @ Vt
    spread = np.square(s).sum((-1, -2))
    fitted = (singular * proper).sum(-1) / np.where(spread > 0, spread, 1.0)
    scale = fitted if scaled else np.ones_like(fitted)
    moved = scale[..., None] * (R @ np.swapaxes(mean_s, -1, -2))[..., 0]
    return Similarity(scale, R, mean_t[..., 0, :] - moved)
