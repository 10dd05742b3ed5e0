"""The pose of a camera over a board that lies on the ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.calib.accuracy import RANGES_M, Uncertainty, ground_seen, pixels_ahead
from mocap_video.calib.board import Board, BoardView
from mocap_video.calib.marks import MarkedPoints
from mocap_video.calib.mount import mount_of, zoomed
from mocap_video.calib.points import Rival, calibrate_from_points
from mocap_video.types import Calibration, Camera

_CORNER_PX = 0.15
"""Corners are not found better than this (px, standard deviation), the lens's own errors included."""

_FLAT_M = 0.002
"""A board on a good floor lies along it to this (m, standard deviation, between its edges)."""

_LOOSE_TILT_DEG = 0.5


@dataclass(frozen=True)
class GroundFit:
    """A calibration whose site frame is that of the board (``Board.points``), the ground being z = 0."""

    calibration: Calibration
    rms_px: float
    uncertainty: Uncertainty
    rival: Rival | None

    def warnings(self) -> list[str]:
        """Return what the user should know before trusting the result."""
        said = []
        if self.rival is not None:
            mount = mount_of(self.rival.calibration)
            said.append(
                f"ambiguous: a camera {mount.height_m:.2f} m up that looks {np.degrees(mount.tilt_down):.1f} deg down "
                f"shows the board with {self.rival.rms_px:.2f} px, not {self.rms_px:.2f}. Lay a larger one, nearer."
            )
        if self.uncertainty.tilt_deg > _LOOSE_TILT_DEG:
            said.append(
                f"so small a board leaves the tilt open by {2 * self.uncertainty.tilt_deg:.1f} deg: lay a larger one, "
                "on the flattest place, or mark points that are farther apart with from-points --lens."
            )
        return said


def pose_over_board(
    view: BoardView, board: Board, lens: Camera, *, thickness_m: float, focal_spread: float
) -> GroundFit:
    """Return the camera with the optics of ``lens`` that shows ``board``, lying on the ground, as in ``view``.

    ``thickness_m`` is how far its printed face is above the ground; ``focal_spread`` the relative standard deviation
    of the focal length. Raises ``CalibrationError`` when no pose fits.
    """
    points = board.points[view.rows] + [0, 0, thickness_m]
    names = tuple(f"corner {row}" for row in view.rows.tolist())
    marks = MarkedPoints(names, points, view.pixels, lens.size)
    fit = calibrate_from_points(marks, lens, least_px=_CORNER_PX)
    calibration = replace(fit.calibration, source=f"from-board, {board} on the ground")
    others = [
        calibrate_from_points(replace(marks, world=world), other, least_px=_CORNER_PX).calibration
        for world, other in _disturbed(points, lens, focal_spread)
    ]
    return GroundFit(calibration, fit.rms_px, _with(fit.uncertainty, calibration, others), fit.rival)


def _disturbed(points: np.ndarray, lens: Camera, focal_spread: float) -> Iterator[tuple[np.ndarray, Camera]]:
    """Yield the points and the lens, each off by one standard deviation: the focal length, the board's two slopes."""
    yield points, zoomed(lens, 1 + focal_spread)
    middle = points.mean(0)
    for axis, extent in zip("yx", np.ptp(points[:, :2], axis=0).tolist(), strict=True):
        slope = Rotation.from_euler(axis, _FLAT_M / extent).as_matrix()
        yield (points - middle) @ slope.T + middle, lens


def _with(known: Uncertainty, best: Calibration, others: list[Calibration]) -> Uncertainty:
    """Return ``known`` with what each of ``others`` differs from ``best`` added as one more independent cause."""
    pixels = pixels_ahead(best, np.array(RANGES_M))

    def properties(calibration: Calibration) -> np.ndarray:
        mount = mount_of(calibration)
        numbers = [np.degrees(mount.tilt_down), np.degrees(mount.roll), mount.height_m]
        return np.array([*numbers, np.log(calibration.camera.K[0, 0])])

    own, places = properties(best), ground_seen(best, pixels)
    off = np.array([properties(other) - own for other in others])
    moved = np.array([np.linalg.norm(ground_seen(other, pixels) - places, axis=-1) for other in others])
    tilt, roll, height, focal = np.sqrt(
        np.square(off).sum(0) + np.square([known.tilt_deg, known.roll_deg, known.height_m, known.focal])
    ).tolist()
    ground_m = np.sqrt(np.square(moved).sum(0) + np.square(known.ground_m))
    return Uncertainty(tilt, roll, height, focal, tuple(ground_m.tolist()))
