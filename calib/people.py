"""Self-calibration from people who walk: tilt, roll, height and, where it shows, the focal length.

Everybody is a ruler that stands upright: feet, shoulders and ears of many people in many places fix the vertical's
vanishing point and the horizon, and their statures the scale. All unknowns are estimated together, as the maximum of
the posterior, by robust least squares (Gauss-Newton with a soft L1 loss): the camera, and for each person a stature
drawn from what adults' are and a posture: a lean that lasts, ahead and aside. The curvature there gives the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.calib.accuracy import RANGES_M, Uncertainty, uncertainty
from mocap_video.calib.mount import Mount, pinhole, zoomed
from mocap_video.calib.upright import ANKLES, EARS, SHOULDERS, STATURE_M, STATURE_SPREAD_M, UprightViews, measure
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration, Camera

LEAST_SIGHTINGS = 8
"""Fewer views of upright people give no calibration."""

_TILT = (np.radians(18.0), np.radians(15.0))
_ROLL_SPREAD = np.radians(4.0)
_HEIGHT = (np.log(3.0), 0.8)
_HFOV_PRIOR_DEG = 68.0
_ZOOM_SPREAD = 0.30
"""What is believed before anybody is seen: mean and standard deviation of the tilt, roll about level, the logarithm of
the height (m), and the logarithm of the focal length about that of a usual field of view."""

_LEAN = 0.06
"""By how much a walker's shoulders are ahead of the ankles' middle, m: mean over people."""

_POSTURE = ((0.05, 0.10), (0.025, 0.10))
"""How far people's lasting lean ahead and aside differs from that, m, standard deviation: of plain walkers, and what is
to be added, divided by the number of people. Among many, one who bends, balances or carries stands out; alone, that
looks like a tilt of the camera.
"""

_PERSON_S = 3.0
"""Who is seen for less than this is hardly one person more: a lost track may go on under another number."""

_SWAY, _BOB = 0.055, 0.020
"""Deviation of one view's shoulders from upright, across the body and along it, as shares of the body's length."""

_PIXEL_SHARE, _LEAST_PX = 0.016, 1.0
"""Error of the middle of two joints: a share of the body's length in the image, and at least so many px."""

_REPEATS, _REPEATS_S = 3.0, 0.4
"""Views of one person in one walk repeat each other's errors, and so do shoulders and ears: so many count as one if
they are so many seconds apart; nearer ones repeat them the more.
"""

_WALKS_M_S, _STANDS_M_S = 0.4, 0.1
"""Slower than about the first, a person need not lean ahead; slower than the second, ahead is away from the camera."""

_SOFT = 2.0
_LOST = 30.0
"""Residual, in standard deviations, of a view whose feet are not on the ground at all."""

_NOT_ENOUGH = 0.10
"""A calibration that leaves places at 10 m open by more than this share (standard deviation) is little use."""

_TILTS_DEG = (5.0, 15.0, 28.0, 45.0, 62.0)


@dataclass(frozen=True)
class PeopleFit:
    """A calibration from people: their ``stature (P)`` m in the order of their numbers; ``used`` of the ``sightings``
    agree with it, of people seen for ``seen_s`` s in all, whose places are up to ``reach_m`` m apart.
    """

    calibration: Calibration
    uncertainty: Uncertainty
    stature: np.ndarray
    sightings: int
    used: int
    seen_s: float
    reach_m: float
    focal_known: bool

    def warnings(self) -> list[str]:
        """Return what the user should know before trusting the result."""
        said = []
        open_to = 2 * self.uncertainty.ground_m[1] / RANGES_M[1]
        if open_to > 2 * _NOT_ENOUGH:
            known = f"known to {open_to:.0%} only" if open_to < 1 else "unknown"
            said.append(
                f"this clip is not enough: places at {RANGES_M[1]:.0f} m are {known}. "
                f"{len(self.stature)} seen, for {self.seen_s:.0f} s in all, on {self.reach_m:.0f} m of ground: take a "
                "clip in which several people walk plainly, near and far, left and right, to and fro; or from-points."
            )
        if not self.focal_known and self.uncertainty.focal > 0.6 * _ZOOM_SPREAD:
            said.append(
                "the people seen do not show the focal length: the field of view is hardly more than a guess. Give "
                "--hfov-deg or --lens."
            )
        if len(self.stature) < 4:
            said.append(
                f"only {len(self.stature)} seen: if they are not of average height, every length is wrong in "
                "proportion. Give --height-m if you know how tall they are, or a longer clip."
            )
        if self.used < 0.6 * self.sightings:
            left = self.sightings - self.used
            said.append(f"{left} of {self.sightings} views do not fit: is the ground one level plane?")
        return said


def calibrate_from_people(
    sightings: UprightViews,
    size: tuple[int, int],
    lens: Camera | None = None,
    *,
    height_m: float = STATURE_M,
    height_spread_m: float = STATURE_SPREAD_M,
) -> PeopleFit:
    """Return the camera for images of ``size`` (W, H) px under which ``sightings`` are upright people.

    ``lens`` gives the optics (its pose is not looked at); without it the focal length is estimated, for square pixels
    and an axis in the middle. ``height_m`` and ``height_spread_m``: mean and standard deviation of the people's
    statures, m. Raises ``CalibrationError`` when there are too few sightings or no camera explains them.
    """
    if len(sightings) < LEAST_SIGHTINGS:
        raise CalibrationError(
            f"expected at least {LEAST_SIGHTINGS} views of people who are upright and wholly in the picture, got "
            f"{len(sightings)}. Take a longer clip in which people walk near and far, left and right."
        )
    problem = _Problem(sightings, lens or pinhole(size, _usual_focal(size)), lens is None, height_m, height_spread_m)
    best = problem.solve()
    if best.used < LEAST_SIGHTINGS:
        raise CalibrationError(
            "no camera explains the people seen: they must be upright, on level ground, in a clip that is upright."
        )
    free = problem.free
    known = uncertainty(
        lambda x: problem.calibration(np.concatenate([x, best.x[free:]])), best.x[:free], best.covariance[:free, :free]
    )
    return PeopleFit(
        calibration=replace(problem.calibration(best.x), source="from-people"),
        uncertainty=known,
        stature=best.x[free : free + problem.people],
        sightings=len(sightings),
        used=best.used,
        seen_s=_seen_s(sightings),
        reach_m=float(np.linalg.norm(np.ptp(_places(problem.calibration(best.x), sightings), axis=0))),
        focal_known=lens is not None,
    )


def _places(calibration: Calibration, sightings: UprightViews) -> np.ndarray:
    """Return where those stand (N,2) m who are on the ground."""
    place = measure(calibration, sightings).place
    return place[np.isfinite(place).all(-1)]


def _seen_s(sightings: UprightViews) -> float:
    """Return for how long (s) people were seen, all together."""
    return sum(float(np.ptp(sightings.time_s[sightings.person == p])) for p in np.unique(sightings.person))


def _usual_focal(size: tuple[int, int]) -> float:
    return max(size) / 2 / float(np.tan(np.radians(_HFOV_PRIOR_DEG) / 2))


@dataclass(frozen=True)
class _Solution:
    x: np.ndarray
    cost: float
    covariance: np.ndarray
    used: int


class _Problem:
    """The residuals. Unknowns ``x``: tilt, roll, logarithm of height, that of zoom if it is free; then for each
    person a stature and how far the lean ahead and aside differs from the usual, m. World: the mount's frame, z up.
    """

    def __init__(
        self, sightings: UprightViews, lens: Camera, zoom_free: bool, height_m: float, height_spread_m: float
    ) -> None:
        self._lens = lens
        self.free = 4 if zoom_free else 3
        numbers, self._person = np.unique(sightings.person, return_inverse=True)
        self.people = len(numbers)
        self._before, self._after, self._seconds = _neighbours(sightings)
        self._feet = _ideal(sightings.ankles, lens)
        self._upper = torch.stack([_ideal(sightings.shoulders, lens), _ideal(sightings.ears, lens)])
        self._height = torch.tensor([SHOULDERS, EARS])[:, None]
        self._known = torch.isfinite(self._upper).all(-1)
        self._upper = torch.where(self._known[..., None], self._upper, 0.0)
        self._repeats = _repeats(sightings)
        self._axis, self._weight = _weights(sightings, lens, self._repeats)
        camera = [(_TILT[0], _TILT[1]), (0.0, _ROLL_SPREAD), _HEIGHT, (0.0, _ZOOM_SPREAD)][: self.free]
        independent = float(np.clip(_seen_s(sightings) / _PERSON_S, 1, self.people))
        posture = [(0.0, usual + odd / independent) for usual, odd in _POSTURE]
        each = [belief for belief in ((height_m, height_spread_m), *posture) for _ in range(self.people)]
        prior = np.array([*camera, *each])
        self._mean, self._spread = torch.from_numpy(prior).unbind(-1)

    def calibration(self, x: np.ndarray) -> Calibration:
        """Return the camera of ``x``, in its mount's own site frame."""
        zoom = float(np.exp(x[3])) if self.free == 4 else 1.0
        return Mount(float(np.exp(x[2])), float(x[0]), float(x[1])).calibration(zoomed(self._lens, zoom))

    def solve(self) -> _Solution:
        """Return the maximum of the posterior over all starts."""
        tries = [self._solved(start, 8) for start in self._starts()]
        return self._solved(min(tries, key=lambda t: t.cost).x, 60)

    def _starts(self) -> list[np.ndarray]:
        """Return cameras over the range of tilts, those first whose horizon is above all feet."""
        starts = []
        for tilt in np.radians(_TILTS_DEG):
            x = self._mean.numpy().copy()
            x[0] = tilt
            starts.append(x)
        lost = [self._lost(x) for x in starts]
        return [x for x, share in zip(starts, lost, strict=True) if share <= min(lost) + 0.05]

    def _lost(self, x: np.ndarray) -> float:
        """Return the share of views that residuals cannot use."""
        views = self._views(torch.from_numpy(x)[None])
        return float((views[0, 0].abs() >= _LOST).all(-1).double().mean())

    def _solved(self, start: np.ndarray, evaluations: int) -> _Solution:
        def residuals(x: np.ndarray) -> np.ndarray:
            return self._residuals(torch.from_numpy(x)[None])[0].numpy()

        def jacobian(x: np.ndarray) -> np.ndarray:
            steps = 1e-5 * torch.eye(len(x), dtype=torch.float64)
            both = self._residuals(torch.cat([torch.from_numpy(x) + steps, torch.from_numpy(x) - steps]))
            return ((both[: len(x)] - both[len(x) :]) / 2e-5).T.numpy()

        found = least_squares(
            residuals, start, jac=cast(Any, jacobian), loss="soft_l1", f_scale=_SOFT, x_scale=self._spread.numpy(),
            max_nfev=evaluations,
        )  # fmt: skip
        views = self._views(torch.from_numpy(found.x)[None])[0, 0]
        used = int((views.norm(dim=-1) < 4 / torch.sqrt(self._repeats)).sum())
        return _Solution(found.x, float(found.cost), np.linalg.pinv(found.jac.T @ found.jac), used)

    def _residuals(self, x: Tensor) -> Tensor:
        """Return the residuals ``(B,M)`` of ``x (B,U)``, all in standard deviations: views, then beliefs."""
        views = self._views(x)[:, self._known]
        return torch.cat([views.flatten(1), (x - self._mean) / self._spread], 1)

    def _views(self, x: Tensor) -> Tensor:
        """Return by how much shoulders and ears are off, across the body and along it: ``(B,2,N,2)``."""
        zoom = torch.exp(x[:, 3]) if self.free == 4 else torch.ones(len(x), dtype=x.dtype)
        R = _rotations(x[:, 0], x[:, 1])
        center = torch.stack([0 * zoom, 0 * zoom, torch.exp(x[:, 2])], -1)
        stature, ahead, aside = x[:, self.free :].unflatten(1, (3, self.people))[:, :, self._person].unbind(1)
        up = torch.tensor([0.0, 0.0, 1.0], dtype=x.dtype)
        rays = geometry.ray_directions(self._feet / zoom[:, None, None], R[:, None])
        foot = geometry.intersect_plane(center[:, None], rays, up, -ANKLES * stature)
        seen = torch.isfinite(foot).all(-1)
        foot = torch.where(seen[..., None], foot, 0.0)
        step = (foot[:, self._after] - foot[:, self._before])[..., :2] / self._seconds[:, None]
        lean = _LEAN * step / torch.sqrt((step * step).sum(-1, keepdim=True) + _WALKS_M_S**2)
        heading = step + _STANDS_M_S * foot[..., :2] / foot[..., :2].norm(dim=-1, keepdim=True).clamp_min(0.1)
        heading = heading / heading.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        left = torch.stack([-heading[..., 1], heading[..., 0]], -1)
        lean = lean + ahead[..., None] * heading + aside[..., None] * left
        level = foot[:, None, :, :2] + lean[:, None] * (self._height / SHOULDERS)[..., None]
        point = torch.cat([level, (stature[:, None] * self._height)[..., None]], -1)
        t = -(R @ center[..., None])[..., 0]
        xy, depth = geometry.project_normalized(point, R[:, None, None], t[:, None, None])
        off = xy * zoom[:, None, None, None] - self._upper
        across = off[..., 0] * self._axis[:, 1] - off[..., 1] * self._axis[:, 0]
        along = (off * self._axis).sum(-1)
        scaled = torch.stack([across, along], -1) * self._weight
        good = seen[:, None] & (depth > geometry.NEAR_M)
        return torch.where(good[..., None], scaled, _LOST).clamp(-_LOST, _LOST)


def _ideal(pixels: np.ndarray, lens: Camera) -> Tensor:
    return geometry.normalized_from_pixels(torch.from_numpy(pixels), lens)


def _repeats(sightings: UprightViews) -> Tensor:
    """Return how many views like each of ``(N)`` count as one."""
    repeats = np.full(len(sightings), _REPEATS)
    for number in np.unique(sightings.person):
        own = sightings.person == number
        apart_s = np.ptp(sightings.time_s[own]) / max(own.sum() - 1, 1)
        repeats[own] *= max(1.0, _REPEATS_S / max(apart_s, 1e-3))
    return torch.from_numpy(np.minimum(repeats, _REPEATS * 15))


def _weights(sightings: UprightViews, lens: Camera, repeats: Tensor) -> tuple[Tensor, Tensor]:
    """Return each body's direction ``(N,2)``, unit, and the inverse deviations ``(N,2)`` across it and along it."""
    feet, shoulders = _ideal(sightings.ankles, lens), _ideal(sightings.shoulders, lens)
    body = shoulders - feet
    length = body.norm(dim=-1, keepdim=True)
    noise = (_PIXEL_SHARE * length).clamp_min(_LEAST_PX / float(lens.K[0, 0]))
    deviation = torch.cat([torch.hypot(noise, share * length) for share in (_SWAY, _BOB)], -1)
    return body / length, 1 / (torch.sqrt(repeats)[:, None] * deviation)


def _neighbours(sightings: UprightViews) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Return the rows of the views of the same person before and after each, ``(N)``, and the seconds between them."""
    rows = np.arange(len(sightings))
    same = np.diff(sightings.person, prepend=-1, append=-1) == 0
    before, after = np.where(same[:-1], rows - 1, rows), np.where(same[1:], rows + 1, rows)
    seconds = np.maximum(sightings.time_s[after] - sightings.time_s[before], 1e-3)
    return before, after, torch.from_numpy(seconds)


def _rotations(tilt: Tensor, roll: Tensor) -> Tensor:
    """Return ``R_cam_from_site (B,3,3)`` as ``Mount.pose`` does."""
    zero, one = torch.zeros_like(tilt), torch.ones_like(tilt)
    forward = torch.stack([zero, torch.cos(tilt), -torch.sin(tilt)], -1)
    level_right = torch.stack([one, zero, zero], -1)
    level_down = torch.linalg.cross(forward, level_right)
    right = torch.cos(roll)[:, None] * level_right + torch.sin(roll)[:, None] * level_down
    return torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
