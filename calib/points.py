"""Calibration from known points: pose, and the focal length where it is not known, from pixels of measured places.

Every pose that the points allow is tried: of points on one plane there are two (the infinitesimal plane-based pose of
Collins and Bartoli 2014 gives both), and with an unknown focal length the search runs over fields of view. Outliers
are found by consensus of three-point poses (Fischler and Bolles 1981). The best pose above the ground wins; its rival,
if one fits about as well, is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.calib.accuracy import Uncertainty, ground_seen, uncertainty
from mocap_video.calib.marks import MarkedPoints
from mocap_video.calib.mount import GROUND, mount_of, pinhole
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration, Camera, GroundPlane

FIELDS_OF_VIEW_DEG = np.geomspace(12, 135, 22)
"""Horizontal fields of view that are tried when the focal length is unknown."""

_FLAT = 1e-3
_TOLERANCE = 0.006
"""A point that is farther off than this share of the image's longer side is an outlier."""

_CLICK_PX = 1.0
"""Nobody marks points better than this (px, standard deviation)."""

_SUBSETS = 40
_STARTS = 4
_OTHER_DEG = 3.0
"""Poses that differ by less are the same one."""

_NADIR = 0.35
"""A camera that looks within 20 degrees of straight down has no upside: its twin may be meant."""

_RIVAL = 2.0
"""A rival pose fits about as well when its error is below this multiple of the best one's (and of ``least_px``)."""


@dataclass(frozen=True)
class Rival:
    """Another pose that shows the points nearly where they are: its error ``rms_px``."""

    calibration: Calibration
    rms_px: float


@dataclass(frozen=True)
class PointFit:
    """A calibration from N points: ``error_px (N)`` and ``error_m (N)`` (on the ground for points on it, else across
    the view); ``used (N)`` bool: no outlier; ``rms_px`` over those used; the ``rival`` pose, if one fits about as well.
    """

    calibration: Calibration
    error_px: np.ndarray
    error_m: np.ndarray
    used: np.ndarray
    rms_px: float
    uncertainty: Uncertainty
    focal_known: bool
    rival: Rival | None

    def warnings(self) -> list[str]:
        """Return what the user should know before trusting the result."""
        said = []
        if self.calibration.camera.R_cam_from_world[1] @ self.calibration.ground.normal > _NADIR:
            said.append("only a camera that hangs upside down fits: is the clip turned, or are points exchanged?")
        if self.rival is not None:
            mount = mount_of(self.rival.calibration)
            said.append(
                f"ambiguous: a camera {mount.height_m:.2f} m up that looks {np.degrees(mount.tilt_down):.1f} deg down, "
                f"roll {np.degrees(mount.roll):.1f} deg, fits with {self.rival.rms_px:.1f} px, not "
                f"{self.rms_px:.1f}. Add points farther apart or off the ground, and look at the proof picture's posts."
            )
        if not self.focal_known and self.uncertainty.focal > 0.05:
            said.append(
                f"the points hardly determine the focal length (95 %: {2 * self.uncertainty.focal:.0%}): give "
                "--hfov-deg or --lens, or add points that are nearer, farther or off the ground."
            )
        left_out = int((~self.used).sum())
        if left_out:
            said.append(f"{left_out} of {len(self.used)} points disagree with the others and were left out.")
        if self.used.sum() < 5 and not self.focal_known:
            said.append("4 points and an unknown focal length leave almost no check: add a fifth point.")
        return said


@dataclass(frozen=True)
class _Problem:
    """``world (N,3)`` m and ``pixels (N,2)`` px; ``lens`` gives the optics, whose focal length is free if ``zoom``."""

    world: np.ndarray
    pixels: np.ndarray
    lens: Camera
    zoom: bool
    ground: GroundPlane
    tolerance_px: float
    least_px: float

    def camera(self, x: np.ndarray) -> Camera:
        """Return the camera of rotation vector, translation and logarithm of zoom ``x (7)``."""
        K = self.lens.K.copy()
        K[:2, :2] *= np.exp(x[6])
        R = Rotation.from_rotvec(x[:3]).as_matrix()
        return replace(self.lens, K=K, R_cam_from_world=R, t_cam_from_world=x[3:6])

    def errors(self, x: np.ndarray) -> np.ndarray:
        """Return the reprojection errors ``(N,2)`` px; large for points behind the camera."""
        return _misses(self.world, self.pixels, self.camera(x))

    def above(self, x: np.ndarray) -> bool:
        return float(self.ground.height_of(self.camera(x).center_world)) > 0

    def upright(self, x: np.ndarray) -> bool:
        """Whether the image's lower edge is down: the twin of a camera that looks ahead is upside down."""
        return float(self.camera(x).R_cam_from_world[1] @ self.ground.normal) < _NADIR


def _misses(world: np.ndarray, pixels: np.ndarray, camera: Camera) -> np.ndarray:
    projected, valid = geometry.project(torch.from_numpy(world), camera)
    return torch.where(valid[:, None], projected - torch.from_numpy(pixels), 1e4).numpy()


def calibrate_from_points(
    points: MarkedPoints,
    lens: Camera | None = None,
    ground: GroundPlane = GROUND,
    *,
    least_px: float = _CLICK_PX,
    seed: int = 0,
) -> PointFit:
    """Return the camera that shows ``points`` (all marked; see ``marks.enough``) where they are.

    ``lens`` gives the optics (its pose is not looked at); without it the focal length is found too, for square pixels
    and an axis in the middle of the image. ``least_px`` is the error of marking to be expected at least (standard
    deviation), however well the points fit. Raises ``CalibrationError`` when no pose above the ground fits.
    """
    problem = _Problem(
        points.world, points.pixels, lens or pinhole(points.size, float(points.size[0])), lens is None, ground,
        _TOLERANCE * max(points.size), least_px,
    )  # fmt: skip
    fits = [_refined(problem, start) for start in _starts(problem, np.random.default_rng(seed))]
    fits = sorted((fit for fit in fits if fit is not None), key=lambda fit: fit.cost)
    above = [fit for fit in fits if problem.above(fit.x)]
    if not above or not above[0].used.any():
        raise _no_pose(points, fits, above)
    best = next((fit for fit in above if problem.upright(fit.x) and fit.rms_px < problem.tolerance_px), above[0])
    if best.used.sum() < min(4, len(points.names)) or best.rms_px > 3 * problem.tolerance_px:
        raise _no_pose(points, fits, [])
    return _result(problem, best, _rival(problem, best, [fit for fit in above if fit is not best]))


@dataclass(frozen=True)
class _Fit:
    x: np.ndarray
    cost: float
    covariance: np.ndarray
    used: np.ndarray
    rms_px: float


def _starts(problem: _Problem, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the most promising poses ``x (7)``, best first, both twins of each included."""
    zooms = [0.0]
    if problem.zoom:
        half = np.radians(FIELDS_OF_VIEW_DEG) / 2
        zooms = np.log(problem.lens.size[0] / 2 / np.tan(half) / problem.lens.K[0, 0]).tolist()
    subsets = _subsets(len(problem.world), rng)
    found: list[tuple[float, np.ndarray]] = []
    for zoom in zooms:
        poses = list(_poses(problem, zoom, subsets))
        costs = _robust_costs(problem, zoom, poses)
        found += [(float(costs[place]), poses[place]) for place in np.argsort(costs)[: 2 * _STARTS]]
    found.sort(key=lambda pair: pair[0])
    return _distinct([x for _, x in found], 2 * _STARTS)


def _distinct(poses: list[np.ndarray], limit: int) -> list[np.ndarray]:
    """Return the first ``limit`` of ``poses`` that differ in direction; above and below the ground alike."""
    kept: list[np.ndarray] = []
    for x in poses:
        if all(_apart_deg(x, other) > _OTHER_DEG for other in kept):
            kept.append(x)
        if len(kept) == limit:
            break
    return kept


def _apart_deg(a: np.ndarray, b: np.ndarray) -> float:
    turn = Rotation.from_rotvec(a[:3]) * Rotation.from_rotvec(b[:3]).inv()
    return float(np.degrees(turn.magnitude()))


def _subsets(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return triples to try; none of four points or five, where an outlier could not be told."""
    if count < 6:
        return []
    return [rng.choice(count, 3, replace=False) for _ in range(_SUBSETS)]


def _poses(problem: _Problem, zoom: float, subsets: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield poses ``x (7)`` at a focal length: from all points, and from each of ``subsets``."""
    lens = problem.camera(np.array([0, 0, 0, 0, 0, 0, zoom]))
    normalized = geometry.normalized_from_pixels(torch.from_numpy(problem.pixels), lens).numpy()
    seen = np.asarray(np.isfinite(normalized).all(-1))
    everyone = np.flatnonzero(seen)
    spread = np.linalg.svd(problem.world - problem.world.mean(0), compute_uv=False)
    whole = cv2.SOLVEPNP_IPPE if spread[2] < _FLAT * spread[0] else cv2.SOLVEPNP_SQPNP
    found: list[tuple[np.ndarray, np.ndarray]] = []
    if len(everyone) >= 4:
        _, rotations, translations, _ = cv2.solvePnPGeneric(
            problem.world[everyone], normalized[everyone, None], np.eye(3), np.zeros(0), flags=whole
        )
        found += list(zip(rotations, translations, strict=True))
    for rows in subsets:
        if seen[rows].all():
            _, rotations, translations = cv2.solveP3P(
                problem.world[rows], normalized[rows, None], np.eye(3), np.zeros(0), flags=cv2.SOLVEPNP_P3P
            )
            found += list(zip(rotations, translations, strict=True))
    for rotation, translation in found:
        x = np.concatenate([np.ravel(rotation), np.ravel(translation), [zoom]])
        if np.isfinite(x).all():
            yield x


def _robust_costs(problem: _Problem, zoom: float, poses: list[np.ndarray]) -> np.ndarray:
    """Return the squared errors (px^2) of each of ``poses``, all at one ``zoom``, with each point's held at the
    tolerance: outliers all cost the same.
    """
    if not poses:
        return np.zeros(0)
    stacked = np.stack(poses)
    R = torch.from_numpy(Rotation.from_rotvec(stacked[:, :3]).as_matrix())[:, None]
    t = torch.from_numpy(stacked[:, None, 3:6])
    normalized, depth = geometry.project_normalized(torch.from_numpy(problem.world), R, t)
    pixels = geometry.pixels_from_normalized(normalized, problem.camera(np.array([0, 0, 0, 0, 0, 0, zoom])))
    squared = ((pixels - torch.from_numpy(problem.pixels)) ** 2).sum(-1)
    most = problem.tolerance_px**2
    return torch.where(depth > geometry.NEAR_M, squared.clamp(max=most), most).sum(-1).numpy()


def _refined(problem: _Problem, start: np.ndarray) -> _Fit | None:
    """Return the least-squares pose near ``start``, outliers left out; None where too few points agree."""
    free = 7 if problem.zoom else 6
    x, used = start, np.linalg.norm(problem.errors(start), axis=-1) < 3 * problem.tolerance_px
    solution = None
    for _ in range(3):
        if 2 * used.sum() < free:
            return None

        def residuals(params: np.ndarray, rows: np.ndarray = used) -> np.ndarray:
            return problem.errors(np.append(params, start[6:])[:7])[rows].ravel()

        solution = least_squares(residuals, x[:free], x_scale="jac", method="trf", max_nfev=60)
        x = np.append(solution.x, start[6:])[:7]
        again = np.linalg.norm(problem.errors(x), axis=-1) < problem.tolerance_px
        if np.array_equal(again, used):
            break
        used = again
    if solution is None or not used.any():
        return None
    jacobian = solution.jac
    rms = float(np.sqrt((problem.errors(x)[used] ** 2).sum(-1).mean()))
    freedom = max(2 * used.sum() - free, 1)
    noise = max(float(np.sqrt((problem.errors(x)[used] ** 2).sum() / freedom)), problem.least_px)
    covariance = np.zeros((7, 7))
    covariance[:free, :free] = noise**2 * np.linalg.pinv(jacobian.T @ jacobian)
    cost = float(_robust_costs(problem, x[6], [x])[0])
    return _Fit(x, cost, covariance, used, rms)


def _rival(problem: _Problem, best: _Fit, others: list[_Fit]) -> Rival | None:
    for fit in others:
        limit = _RIVAL * max(best.rms_px, problem.least_px)
        if (
            _apart_deg(fit.x, best.x) > _OTHER_DEG
            and problem.upright(fit.x)
            and fit.rms_px < limit
            and fit.used.sum() >= best.used.sum()
        ):
            return Rival(Calibration(problem.camera(fit.x), problem.ground), fit.rms_px)
    return None


def _result(problem: _Problem, fit: _Fit, rival: Rival | None) -> PointFit:
    camera = problem.camera(fit.x)
    calibration = Calibration(camera, problem.ground, source="from-points", reprojection_error_px=round(fit.rms_px, 3))
    error_px = np.linalg.norm(problem.errors(fit.x), axis=-1)
    return PointFit(
        calibration=calibration,
        error_px=error_px,
        error_m=_metres_off(problem, calibration, error_px),
        used=fit.used,
        rms_px=fit.rms_px,
        uncertainty=uncertainty(lambda x: Calibration(problem.camera(x), problem.ground), fit.x, fit.covariance),
        focal_known=not problem.zoom,
        rival=rival,
    )


def _metres_off(problem: _Problem, calibration: Calibration, error_px: np.ndarray) -> np.ndarray:
    camera = calibration.camera
    depth = (problem.world @ camera.R_cam_from_world.T + camera.t_cam_from_world)[:, 2]
    across = error_px * depth / camera.K[0, 0]
    on_ground = np.linalg.norm(ground_seen(calibration, problem.pixels) - problem.world, axis=-1)
    return np.where(np.abs(problem.ground.height_of(problem.world)) < 0.05, on_ground, across)


def _no_pose(points: MarkedPoints, fits: list[_Fit], above: list[_Fit]) -> CalibrationError:
    limit = _TOLERANCE * max(points.size)
    if fits and not above and fits[0].rms_px < limit and fits[0].used.all():
        return CalibrationError(
            f"the points fit to {fits[0].rms_px:.1f} px, but only for a camera below the ground: this is the mirror "
            "solution. The site frame is left-handed: with z up, y must lie to the left of x. Swap x and y of all "
            "points, or change the sign of one."
        )
    tried = f"the best leaves {fits[0].rms_px:.0f} px" if fits else "none was found"
    return CalibrationError(
        f"expected a camera above the ground that shows these {len(points.names)} points to {limit:.0f} px; {tried}. "
        "Check that every pixel belongs to its point, that lengths are metres, and the field of view."
    )


def twin_of(calibration: Calibration, patch_m: float) -> Rival | None:
    """Return the pose above the ground that best mimics ``calibration`` on a square of ground of ``patch_m`` m in the
    middle of its view; None where there is none.
    """
    camera = calibration.camera
    width, height = camera.size
    rows = np.linspace((height - 1) / 2, height - 1, 12)
    seen = ground_seen(calibration, np.stack([np.full(12, (width - 1) / 2), rows], -1))
    near = np.flatnonzero(np.linalg.norm(seen - camera.center_world, axis=-1) < 30)
    if len(near) == 0:
        return None
    right, up = camera.R_cam_from_world[0], calibration.ground.normal
    across = right - (right @ up) * up
    across = across / np.linalg.norm(across)
    ahead = np.cross(up, across)
    grid = np.stack(np.meshgrid([-0.5, 0, 0.5], [-0.5, 0, 0.5]), -1).reshape(-1, 2) * patch_m
    world = seen[near[0]] + grid @ np.stack([across, ahead])
    pixels, valid = geometry.project(torch.from_numpy(world), camera)
    if not valid.all():
        return None
    problem = _Problem(world, pixels.numpy(), camera, False, calibration.ground, np.inf, _CLICK_PX)
    own = Rotation.from_matrix(camera.R_cam_from_world).as_rotvec()
    for x in _poses(problem, 0.0, []):
        if _apart_deg(x, own) > _OTHER_DEG and problem.above(x) and problem.upright(x):
            rms = float(np.sqrt((problem.errors(x) ** 2).sum(-1).mean()))
            return Rival(Calibration(problem.camera(x), calibration.ground), rms)
    return None
