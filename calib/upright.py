"""Upright people in the image, as rulers: where their feet, shoulders and ears are, and how tall they seem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.calib.ground import canonical_frame
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Keypoints2D

ANKLES, SHOULDERS, EARS = 0.090, 0.795, 0.915
"""Heights of the middles of both ankles, shoulders and ears over the ground, in statures, of a person who walks: means
over an hour of captured motion (the ankles' includes the lifted foot), half a centimetre and a shoe's sole added."""

STATURE_M, STATURE_SPREAD_M = 1.70, 0.09
"""Adults' statures: mean and standard deviation."""

_USABLE_SCORE = 0.4
_INTERVAL_S = 0.4
_ENOUGH = 15
"""Of a person who is seen only shortly, more views a second are kept, up to this many."""

_LEG_OF_TORSO = (1.1, 2.6)
"""The image of a leg over that of the torso: outside, somebody sits, bends or lies."""

_MARGIN = 0.01


@dataclass(frozen=True)
class UprightViews:
    """N views of upright people: ``person (N)`` numbers and ``time_s (N)``; ``ankles``, ``shoulders`` and ``ears
    (N,2)`` px are the middles of left and right; ears NaN where the head is turned away.
    """

    person: np.ndarray
    time_s: np.ndarray
    ankles: np.ndarray
    shoulders: np.ndarray
    ears: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.person)
        for name in ("ankles", "shoulders", "ears"):
            if getattr(self, name).shape != (n, 2):
                raise ValueError(f"UprightViews.{name}: expected shape ({n}, 2), got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.person)

    @property
    def people(self) -> int:
        """How many different people there are."""
        return len(np.unique(self.person))


def upright_views(people: Sequence[Keypoints2D], size: tuple[int, int]) -> UprightViews:
    """Return the views of ``people`` (COCO-17) upright and whole within an image of ``size`` (W, H) px, thinned to a
    few a second: nearer ones say the same again.
    """
    parts = [_views_of(person, size) for person in people]
    empty = np.zeros((0, 2))
    return UprightViews(
        np.concatenate([np.zeros(0, int), *(p.person for p in parts)]),
        np.concatenate([np.zeros(0), *(p.time_s for p in parts)]),
        *(np.concatenate([empty, *(getattr(p, name) for p in parts)]) for name in ("ankles", "shoulders", "ears")),
    )


def _views_of(person: Keypoints2D, size: tuple[int, int]) -> UprightViews:
    middles = {name: _middle(person, name) for name in ("ankle", "hip", "shoulder", "ear")}
    ankles, hips, shoulders = (middles[name] for name in ("ankle", "hip", "shoulder"))
    torso, leg = np.linalg.norm(shoulders - hips, axis=-1), np.linalg.norm(hips - ankles, axis=-1)
    margin = _MARGIN * max(size)
    with np.errstate(invalid="ignore", divide="ignore"):
        upright = (leg > _LEG_OF_TORSO[0] * torso) & (leg < _LEG_OF_TORSO[1] * torso)
        inside = (ankles > margin).all(-1) & (ankles < np.array(size) - margin).all(-1)
    good = np.flatnonzero(upright & inside & np.isfinite(torso + leg))
    interval_s = min(_INTERVAL_S, (float(np.ptp(person.time_s[good])) if len(good) else 0.0) / _ENOUGH)
    kept, last_s = [], -np.inf
    for row in good:
        if person.time_s[row] >= last_s + interval_s - 1e-9:
            kept.append(row)
            last_s = person.time_s[row]
    rows = np.array(kept, int)
    number = np.full(len(rows), person.person)
    return UprightViews(number, person.time_s[rows], ankles[rows], shoulders[rows], middles["ear"][rows])


def _middle(person: Keypoints2D, joint: str) -> np.ndarray:
    """Return ``(T,2)`` px between left and right; NaN where one of them is not reliable."""
    pair = [COCO17.index(f"{side}_{joint}") for side in ("left", "right")]
    known = (person.score[:, pair] >= _USABLE_SCORE).all(-1, keepdims=True)
    return np.where(known, person.xy[:, pair].mean(1), np.nan)


@dataclass(frozen=True)
class Rulers:
    """What N sightings measure under a calibration: ``place (N,2)`` m to the right of and ahead of the camera,
    ``stature (N)`` m, and ``lean_deg (N)``: the image's angle between the body and the site's vertical there.
    """

    place: np.ndarray
    stature: np.ndarray
    lean_deg: np.ndarray


def measure(calibration: Calibration, sightings: UprightViews) -> Rulers:
    """Return how large ``sightings`` are if ``calibration`` is true; NaN where the feet are not on the ground."""
    camera = calibration.camera
    R, t = (torch.from_numpy(a) for a in canonical_frame(camera, calibration.ground).camera(camera))
    center = geometry.camera_center(R, t)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)

    def rays(pixels: np.ndarray) -> torch.Tensor:
        return geometry.ray_directions(geometry.normalized_from_pixels(torch.from_numpy(pixels), camera), R)

    stature = np.full(len(sightings), STATURE_M)
    foot = torch.zeros(len(sightings), 3, dtype=torch.float64)
    for _ in range(3):  # the ankles' height depends on the stature, weakly
        height = torch.from_numpy(ANKLES * stature)
        foot = geometry.intersect_plane(center - height[:, None] * up, rays(sightings.ankles), up, 0.0)
        shoulders, ears = (_height_over(foot, center, rays(pixels)) for pixels in (sightings.shoulders, sightings.ears))
        both = np.stack([shoulders / SHOULDERS, ears / EARS])
        stature = np.where(np.isfinite(both[1]), both.sum(0) / 2, both[0])
    above = geometry.project_normalized(foot + 1.4 * up, R, t)[0]
    ends = [
        geometry.pixels_from_normalized(xy, camera).numpy()
        for xy in (above, geometry.project_normalized(foot, R, t)[0])
    ]
    lean = _angle(sightings.shoulders - sightings.ankles, ends[0] - ends[1])
    return Rulers(foot.numpy()[:, [0, 2]] * [-1, 1], stature, np.degrees(lean))


def _height_over(foot: torch.Tensor, center: torch.Tensor, ray: torch.Tensor) -> np.ndarray:
    """Return the height ``(N)`` m at which ``ray (N,3)`` passes nearest to the vertical over ``foot (N,3)``."""
    level, reach = ray[:, [0, 2]], foot[:, [0, 2]] - center[[0, 2]]
    along = (level * reach).sum(-1) / (level * level).sum(-1).clamp_min(1e-12)
    return (center[1] + along * ray[:, 1]).numpy()


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the signed angle ``(N)`` rad from ``b (N,2)`` to ``a (N,2)`` in the image."""
    return np.arctan2(b[:, 0] * a[:, 1] - b[:, 1] * a[:, 0], (a * b).sum(-1))
