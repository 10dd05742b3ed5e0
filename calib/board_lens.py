"""Intrinsics from many views of a board: OpenCV fits lens models, and pictures held back choose among them.

Each model is fitted to four fifths of the views and judged on the last fifth, five times over: there the board's pose
comes from one half of the corners, the error from the other. The simplest model that does about as well as the best is
taken. What the five fits differ by says how well the lens is known (the jackknife of groups, Miller 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.calib.board import Board, BoardView
from mocap_video.errors import CalibrationError
from mocap_video.types import Camera, DistortionModel

LEAST_VIEWS = 6
MOST_VIEWS = 30

_DISTINCT = 0.03
"""Views whose outlines differ by less (root mean square, in the image's longer side) show the same pose."""

_FOLDS = 5
_ABOUT_AS_GOOD = 1.03
_OUTLIER = 3.0
"""A view with so many times the usual error is left out: a bent board, a moving one, or a wrong find."""

_ALIKE_DEG, _BETTER_DEG = 12.0, 30.0
"""Boards must be turned against each other by so much at least, and better by so much."""

_LOOSE_FOCAL = 0.01
_CELLS = (8, 6)
_FLAT = 1e-9

_FREE = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
_MODELS: dict[str, tuple[DistortionModel, int]] = {
    "no distortion": ("none", _FREE | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2),
    "opencv, k1 and k2": ("opencv", _FREE),
    "opencv, five coefficients": ("opencv", 0),
    "fisheye": ("fisheye", 0),
}
"""The candidates, the simplest first."""


@dataclass(frozen=True)
class ModelScore:
    """How large the error of ``model`` is on views that it has not seen, px, the median over views; infinite where it
    cannot be fitted.
    """

    model: str
    error_px: float


@dataclass(frozen=True)
class LensFit:
    """Intrinsics (``lens``, whose pose means nothing) from V ``views``; ``error_px (V)``, root mean squares.

    ``focal_spread`` (relative) and ``center_spread_px`` are standard deviations; ``turned_deg`` is the largest angle
    between two boards; ``left_out`` names views that disagree; ``covered`` is the share of the picture in which the
    board was seen, ``bare`` the places where it was not.
    """

    lens: Camera
    model: str
    scores: tuple[ModelScore, ...]
    views: tuple[BoardView, ...]
    error_px: np.ndarray
    left_out: tuple[str, ...]
    focal_spread: float
    center_spread_px: float
    turned_deg: float
    covered: float
    bare: tuple[str, ...]

    @property
    def rms_px(self) -> float:
        """The error over all corners, root mean square."""
        counts = [len(view.rows) for view in self.views]
        return float(np.sqrt(np.average(np.square(self.error_px), weights=counts)))

    def warnings(self) -> list[str]:
        """Return what the user should know before trusting the result."""
        said = []
        if self.turned_deg < _BETTER_DEG or self.focal_spread > _LOOSE_FOCAL:
            said.append(
                f"the focal length is known to {2 * self.focal_spread:.1%} (95 %): tilt the board more, by 20 to 45 "
                f"degrees to all sides; the poses differ by {self.turned_deg:.0f} degrees."
            )
        if self.bare:
            said.append(
                f"the board was not seen at the {', '.join(self.bare)}: the lens is a guess there. Hold it there too."
            )
        if self.left_out:
            said.append(f"{len(self.left_out)} views disagree and were left out: {', '.join(self.left_out[:5])}.")
        folded = [score.model for score in self.scores if not np.isfinite(score.error_px)]
        if self.rms_px > 1.0 and folded:
            said.append(
                f"{', '.join(folded)}: what these fit leaves parts of the picture without a ray, so they were not "
                "taken. Hold the board into every corner."
            )
        if self.rms_px > 1.0:
            said.append(
                f"an error of {self.rms_px:.1f} px is large: is the board flat and stiff, and the picture not blurred?"
            )
        return said


def distinct_views(views: Sequence[BoardView], size: tuple[int, int]) -> list[BoardView]:
    """Return at most ``MOST_VIEWS`` of ``views``, sharp ones that differ as much as they can in place and slant."""
    if not views:
        return []
    outlines = np.stack([view.outline.ravel() for view in views]) / max(size)
    sharp = np.array([view.sharpness for view in views])
    worth = np.clip(sharp / np.quantile(sharp, 0.8), 0, 1) ** 2
    chosen = [int(np.argmax(worth))]
    while len(chosen) < MOST_VIEWS:
        apart = np.sqrt(4 * np.square(outlines[:, None] - outlines[chosen]).mean(-1) / 2).min(-1)
        gain = np.where(apart < _DISTINCT, 0, apart * worth)
        if gain.max() <= 0:
            break
        chosen.append(int(np.argmax(gain)))
    return [views[row] for row in sorted(chosen)]


def calibrate_lens(views: Sequence[BoardView], board: Board, size: tuple[int, int]) -> LensFit:
    """Return the lens of images of ``size`` (W, H) px that shows ``board`` as in ``views``.

    Raises ``CalibrationError`` when there are too few, or all poses are alike.
    """
    chosen = distinct_views(views, size)
    if len(chosen) < LEAST_VIEWS:
        raise _too_few(len(views), len(chosen))
    kept, left_out = _consistent(chosen, board, size)
    fits = {
        name: (np.inf, []) if _fitted(name, kept, board, size) is None else _cross_validated(name, kept, board, size)
        for name in _MODELS
    }
    scores = tuple(ModelScore(name, fit[0]) for name, fit in fits.items())
    best = min(score.error_px for score in scores)
    if not np.isfinite(best):
        raise CalibrationError("no lens model fits the views of the board: are they all from one camera and mode?")
    model = next(score.model for score in scores if score.error_px <= _ABOUT_AS_GOOD * best)
    lens = _fitted(model, kept, board, size)
    assert lens is not None  # it was fitted to less
    poses = [_pose(lens, view, board) for view in kept]
    normals = np.stack([R[:, 2] for R, _ in poses])
    turned = float(np.degrees(np.arccos(np.clip(normals @ normals.T, -1, 1).min())))
    if turned < _ALIKE_DEG:
        raise CalibrationError(
            f"the board's poses are all alike: they are turned by {turned:.0f} degrees at most, expected "
            f"{_ALIKE_DEG:.0f}. A board held straight before the camera does not show the focal length: tilt it by 20 "
            "to 45 degrees to the left, right, up and down."
        )
    covered, bare = _coverage(kept, size)
    return LensFit(
        lens=lens,
        model=model,
        scores=scores,
        views=tuple(kept),
        error_px=np.array([_rms(lens, view, board, pose) for view, pose in zip(kept, poses, strict=True)]),
        left_out=left_out,
        **_spreads(fits[model][1], lens),
        turned_deg=turned,
        covered=covered,
        bare=bare,
    )


def _too_few(found: int, distinct: int) -> CalibrationError:
    if found >= LEAST_VIEWS:
        return CalibrationError(
            f"the board's poses are all alike: of {found} pictures with the board only {distinct} differ, expected "
            f"{LEAST_VIEWS}. Move it through the whole picture, near and far, tilted to all sides."
        )
    return CalibrationError(
        f"expected at least {LEAST_VIEWS} pictures in which the whole board is found, got {found}. Take more, or a "
        "clip in which the board moves slowly through the whole picture."
    )


def _consistent(views: list[BoardView], board: Board, size: tuple[int, int]) -> tuple[list[BoardView], tuple[str, ...]]:
    """Return the views that agree with the others under the best-fitting model, and the names of the rest."""
    tries = [lens for name in _MODELS if (lens := _fitted(name, views, board, size)) is not None]
    if not tries:
        return views, ()
    errors = np.array([[_rms(lens, view, board, _pose(lens, view, board)) for view in views] for lens in tries])
    own = errors[np.argmin(np.median(errors, axis=1))]
    good = own <= max(_OUTLIER * float(np.median(own)), 0.3)
    if good.sum() < LEAST_VIEWS:
        return views, ()
    kept = [view for view, is_good in zip(views, good, strict=True) if is_good]
    return kept, tuple(view.source for view, is_good in zip(views, good, strict=True) if not is_good)


def _cross_validated(
    name: str, views: list[BoardView], board: Board, size: tuple[int, int]
) -> tuple[float, list[Camera]]:
    """Return the error (px) of the model called ``name`` on views held back, the median over them, since a fold may
    lack the only view of a corner; and the lenses of the folds.
    """
    errors, lenses = [], []
    for fold in range(_FOLDS):
        others = [view for i, view in enumerate(views) if i % _FOLDS != fold]
        lens = _fitted(name, others, board, size, np.concatenate([view.pixels for view in views]))
        if lens is None:
            return np.inf, []
        lenses.append(lens)
        for view in views[fold::_FOLDS]:
            half = np.arange(len(view.rows)) % 2 == 0
            pose = _pose(lens, _part(view, half), board)
            errors.append(_rms(lens, _part(view, ~half), board, pose))
    return float(np.median(errors)), lenses


def _part(view: BoardView, rows: np.ndarray) -> BoardView:
    return replace(view, rows=view.rows[rows], pixels=view.pixels[rows])


def _fitted(
    name: str, views: list[BoardView], board: Board, size: tuple[int, int], reach_px: np.ndarray | None = None
) -> Camera | None:
    """Return OpenCV's fit of the model called ``name``; None where it fails or leaves pixels without a ray: any of
    the picture's, or of ``reach_px (N,2)``.
    """
    model, flags = _MODELS[name]
    world = [board.points[view.rows] for view in views]
    pixels = [view.pixels for view in views]
    try:
        K, coeffs = _fisheye(world, pixels, size) if model == "fisheye" else _pinhole(world, pixels, size, flags)
    except cv2.error:
        return None
    coeffs = np.ravel(coeffs)[: {"none": 0, "opencv": 5, "fisheye": 4}[model]]
    if not (np.isfinite(K).all() and np.isfinite(coeffs).all() and K[0, 0] > 0):
        return None
    lens = Camera(np.asarray(K, float), np.eye(3), np.zeros(3), size, model, coeffs)
    grid = np.stack(np.meshgrid(*(np.linspace(0, side - 1, 17) for side in size)), -1)
    asked = torch.from_numpy(grid if reach_px is None else reach_px)
    seen = torch.isfinite(geometry.normalized_from_pixels(asked, lens)[..., 0])
    return lens if bool(seen.all()) else None


def _pinhole(
    world: list[np.ndarray], pixels: list[np.ndarray], size: tuple[int, int], flags: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return K and coefficients; with all free, it starts from a simpler fit, else it may end far from the best."""
    points = [w.astype(np.float32) for w in world], [p.astype(np.float32) for p in pixels]
    K, coeffs = np.array([[1.0, 0, (size[0] - 1) / 2], [0, 1.0, (size[1] - 1) / 2], [0, 0, 1]]), np.zeros(5)
    if flags == 0:
        _, K, coeffs, _, _ = cv2.calibrateCamera(*points, size, K, coeffs, flags=_FREE)
        flags = cv2.CALIB_USE_INTRINSIC_GUESS
    _, K, coeffs, _, _ = cv2.calibrateCamera(*points, size, K, coeffs, flags=flags)
    return K, coeffs


def _fisheye(world: list[np.ndarray], pixels: list[np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    flags = cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC | cv2.fisheye.CALIB_FIX_SKEW
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-7)
    points = [w[None] for w in world], [p[None] for p in pixels]
    try:
        _, K, coeffs, _, _ = cv2.fisheye.calibrate(*points, size, np.eye(3), np.zeros(4), flags=flags, criteria=stop)
    except cv2.error:  # its own first guess, 180 degrees across, is too wide for many lenses
        K, _ = _pinhole(world, pixels, size, _MODELS["no distortion"][1])
        flags |= cv2.fisheye.CALIB_USE_INTRINSIC_GUESS
        _, K, coeffs, _, _ = cv2.fisheye.calibrate(*points, size, K, np.zeros(4), flags=flags, criteria=stop)
    return K, coeffs


def _pose(lens: Camera, view: BoardView, board: Board) -> tuple[np.ndarray, np.ndarray]:
    """Return ``R_cam_from_board (3,3)`` and ``t (3)`` m with the least error in px."""
    world = board.points[view.rows]
    normalized = geometry.normalized_from_pixels(torch.from_numpy(view.pixels), lens).numpy()
    _, turn, shift = cv2.solvePnP(world, normalized[:, None], np.eye(3), np.zeros(0), flags=cv2.SOLVEPNP_IPPE)
    start = np.concatenate([turn.ravel(), shift.ravel()])

    def residuals(x: np.ndarray) -> np.ndarray:
        return _errors(lens, view, world, (Rotation.from_rotvec(x[:3]).as_matrix(), x[3:])).ravel()

    x = least_squares(residuals, start, x_scale=np.array([1.0, 1, 1, *[max(shift[2, 0], 0.1)] * 3]), max_nfev=20).x
    return Rotation.from_rotvec(x[:3]).as_matrix(), x[3:]


def _errors(lens: Camera, view: BoardView, world: np.ndarray, pose: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    placed = replace(lens, R_cam_from_world=pose[0], t_cam_from_world=pose[1])
    return geometry.project(torch.from_numpy(world), placed)[0].numpy() - view.pixels


def _rms(lens: Camera, view: BoardView, board: Board, pose: tuple[np.ndarray, np.ndarray]) -> float:
    return float(np.sqrt(np.square(_errors(lens, view, board.points[view.rows], pose)).sum(-1).mean()))


def _spreads(lenses: list[Camera], lens: Camera) -> dict[str, float]:
    """Return the standard deviations of the focal length (relative) and of the centre (px) from fits without a fold."""
    focal = np.array([fold.K[0, 0] for fold in lenses]) / lens.K[0, 0]
    center = np.array([fold.K[:2, 2] for fold in lenses])
    factor = np.sqrt((_FOLDS - 1) / _FOLDS)
    off = np.square(center - center.mean(0)).sum(0).max()
    return {
        "focal_spread": float(factor * np.sqrt(np.square(focal - focal.mean()).sum())),
        "center_spread_px": float(factor * np.sqrt(off)),
    }


def _coverage(views: list[BoardView], size: tuple[int, int]) -> tuple[float, tuple[str, ...]]:
    """Return the share of the picture's cells that boards covered, and the names of its bare ninths."""
    columns, rows = _CELLS
    seen = np.zeros((rows * 8, columns * 8), np.uint8)
    for view in views:
        inside = (view.pixels + 0.5) / size * seen.shape[::-1]
        cv2.fillConvexPoly(seen, cv2.convexHull(np.rint(inside).astype(np.int32)), 1)
    names = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
    ninths = [part for band in np.array_split(seen, 3) for part in np.array_split(band, 3, axis=1)]
    bare = tuple(name for name, part in zip(names, ninths, strict=True) if part.mean() < 0.15)
    return float(seen.mean()), bare
