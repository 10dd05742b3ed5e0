"""Straight edges in a picture, as a test of the lens and of the vertical: plumb lines (Brown 1971).

Edges that are straight in the world must be straight once the lens is taken out. What is left of radial distortion
bends an edge at a distance d from the centre and of half length h by -k d h^2, so many edges tell k together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.types import Calibration, Camera

_WORK_PX = 1280
_LEAST_LENGTH = 0.12
"""Edges are at least so long, in the picture's longer side."""

_BULGE = 0.02
_ROUGH_PX = 0.9
"""What strays farther from a parabola is no edge of a building or a kerb."""

_LEAST_PX = 0.15
"""A bulge is not measured better than this."""

_UPRIGHT_DEG = 12.0
_HALVES = 0.5
"""An edge is traced on both sides, so two traces count as one."""


@dataclass(frozen=True)
class Edges:
    """N long, smooth edges of a picture under a calibration, in px of its ideal image, from the optical axis.

    ``bulge (N)`` px is how far the middle is off the chord, positive away from the axis; ``distance (N)`` px is the
    chord's from the axis; ``half (N)`` px half its length; ``lean_deg (N)`` the angle to the claimed vertical, NaN
    for edges that are far from it.
    """

    bulge: np.ndarray
    distance: np.ndarray
    half: np.ndarray
    lean_deg: np.ndarray

    def __len__(self) -> int:
        return len(self.bulge)


@dataclass(frozen=True)
class LeftDistortion:
    """Radial distortion that ``edges`` show beyond the calibration's: px in the corners, and its deviation."""

    edges: int
    corner_px: float
    spread_px: float


def long_edges(grey: np.ndarray, calibration: Calibration) -> Edges:
    """Return the long edges of the picture ``grey (H,W)`` uint8 that was taken under ``calibration``."""
    camera = calibration.camera
    found = [_measured(chain, calibration) for chain in _chains(grey)]
    rows = np.array([row for row in found if row is not None]).reshape(-1, 4)
    half_diagonal = float(np.linalg.norm(camera.size)) / 2
    near = rows[:, 1] < 1.5 * half_diagonal  # an ideal image of a wide lens has no end
    return Edges(*rows[near].T)


def _chains(grey: np.ndarray) -> list[np.ndarray]:
    """Return edges ``(M,2)`` px that bend little, in pixels of ``grey``."""
    scale = min(1.0, _WORK_PX / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    edges = cv2.Canny(cv2.GaussianBlur(small, (0, 0), 1.0), 40, 110)
    contours, _ = cv2.findContours(edges, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    least = _LEAST_LENGTH * max(small.shape)
    chains = []
    for contour in contours:
        points = contour[:, 0]
        if len(points) < least:
            continue
        corners = cv2.approxPolyDP(contour, _BULGE * max(small.shape), True)[:, 0]
        places = sorted(int(np.flatnonzero((points == corner).all(-1))[0]) for corner in corners)
        for start, stop in zip(places, [*places[1:], len(points)], strict=True):
            part = points[start:stop]
            if len(part) > 4 and np.linalg.norm(part[-1] - part[0]) > least:
                chains.append((part.astype(float) + 0.5) / scale - 0.5)
    return chains


def _measured(chain: np.ndarray, calibration: Calibration) -> list[float] | None:
    """Return bulge, distance, half length (px) and lean (deg) of an edge; None if it is rough or out of the lens."""
    camera = calibration.camera
    focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
    trim = max(len(chain) // 20, 2)  # corners round off
    ideal = focal * geometry.normalized_from_pixels(torch.from_numpy(chain[trim:-trim]), camera).numpy()
    if len(ideal) < 8 or not np.isfinite(ideal).all():
        return None
    middle, chord = ideal.mean(0), ideal[-1] - ideal[0]
    along = chord / np.linalg.norm(chord)
    across = np.array([-along[1], along[0]])
    if middle @ across < 0:
        across = -across
    u, v = (ideal - middle) @ along, (ideal - middle) @ across
    half = float(np.ptp(u)) / 2
    curve = np.polyfit(u / half, v, 2)
    rough = float(np.sqrt(np.square(v - np.polyval(curve, u / half)).mean()))
    if rough > _ROUGH_PX * max(1.0, max(camera.size) / _WORK_PX):
        return None
    return [-float(curve[0]), float(middle @ across), half, _lean(middle / focal, along, calibration)]


def _lean(at: np.ndarray, along: np.ndarray, calibration: Calibration) -> float:
    """Return the angle (deg) from the claimed vertical at ``at (2)`` to ``along (2)``; NaN where it is large."""
    up = calibration.camera.R_cam_from_world @ calibration.ground.normal
    vertical = up[:2] - at * up[2]
    cross = vertical[0] * along[1] - vertical[1] * along[0]
    angle = float(np.degrees(np.arctan(cross / (vertical @ along)))) if vertical @ along else 90.0
    return angle if abs(angle) < _UPRIGHT_DEG else np.nan


def left_distortion(edges: Edges, camera: Camera) -> LeftDistortion | None:
    """Return the radial distortion left in the picture; None where fewer than three edges speak of it."""
    lever = edges.distance * edges.half**2
    corner = float(np.linalg.norm(camera.size)) / 2
    useful = np.flatnonzero(lever > 0.02 * corner**3 * _LEAST_LENGTH)
    if len(useful) < 3:
        return None
    lever, bulge = lever[useful] / corner**3, -edges.bulge[useful]
    weight = np.ones(len(lever))
    slope = 0.0
    scale = _LEAST_PX
    for _ in range(20):  # what is curved in the world counts little
        slope = float((weight * lever * bulge).sum() / (weight * lever * lever).sum())
        off = bulge - slope * lever
        scale = max(1.4826 * float(np.median(np.abs(off))), _LEAST_PX)
        weight = 1 / (1 + np.square(off / (2 * scale)))
    spread = scale / np.sqrt(_HALVES * (weight * lever * lever).sum())
    return LeftDistortion(len(useful), slope, float(spread))
