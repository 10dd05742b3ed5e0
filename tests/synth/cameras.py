"""Cameras and simple solids for the tests of the pictures. The site is Z up, metres, its ground z = 0."""

from __future__ import annotations

import numpy as np
import trimesh

from mocap_video.render.mesh import PosedMesh
from mocap_video.types import Camera, DistortionModel, GroundPlane

GROUND = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)
RED, GREEN, BLUE = (np.array(rgb, np.float64) for rgb in ((0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.9)))


def make_camera(
    model: DistortionModel = "none",
    coeffs: tuple[float, ...] = (),
    *,
    size: tuple[int, int] = (640, 360),
    hfov_deg: float = 70.0,
    height_m: float = 2.5,
    tilt_deg: float = 18.0,
) -> Camera:
    """Return a camera above the site's origin that looks along +Y and down by ``tilt_deg``."""
    width, height = size
    half = np.radians(hfov_deg) / 2
    f = width / 2 / (half if model == "fisheye" else np.tan(half))
    K = np.array([[f, 0.0, (width - 1) / 2 + 3.3], [0.0, f * 1.01, (height - 1) / 2 - 2.2], [0.0, 0.0, 1.0]])
    tilt = np.radians(tilt_deg)
    forward = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    right = np.array([1.0, 0.0, 0.0])
    R = np.stack([right, np.cross(forward, right), forward])
    center = np.array([0.0, 0.0, height_m])
    return Camera(K, R, -R @ center, size, model, np.array(coeffs, np.float64))


PINHOLE = make_camera()
BARREL = make_camera("opencv", (-0.3, 0.08, 0.001, -0.002, 0.0), hfov_deg=85.0)
FISHEYE = make_camera("fisheye", (0.03, -0.01, 0.002, 0.0), hfov_deg=150.0, tilt_deg=30.0)


def make_ball(center: tuple[float, float, float], radius: float, colour: np.ndarray = RED) -> PosedMesh:
    """Return a ball as a mesh; ``center`` and ``radius`` in metres, site world."""
    ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return PosedMesh(np.asarray(ball.vertices) + np.array(center), np.asarray(ball.faces), colour)
