"""Random site cameras and marks on their ground, for the tests of the ways to a calibration."""

from __future__ import annotations

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.calib.marks import MarkedPoints
from mocap_video.calib.mount import Mount, pinhole
from mocap_video.types import Calibration

SIZE = (1920, 1080)


def random_site(rng: np.random.Generator) -> Calibration:
    """Return a camera 2 to 6 m up that looks 10 to 35 degrees down, field of view 45 to 100 degrees."""
    lens = pinhole(SIZE, SIZE[0] / 2 / np.tan(np.radians(rng.uniform(45, 100)) / 2))
    return Mount(rng.uniform(2, 6), np.radians(rng.uniform(10, 35)), np.radians(2 * rng.normal())).calibration(lens)


def marked(calibration: Calibration, world: np.ndarray, rng: np.random.Generator, noise_px: float) -> MarkedPoints:
    """Return those of ``world (N,3)`` m that the camera sees, marked with ``noise_px``."""
    pixels, valid = geometry.project(torch.from_numpy(world), calibration.camera)
    pixels = pixels.numpy() + noise_px * rng.normal(size=(len(world), 2))
    seen = valid.numpy() & (pixels > 0).all(-1) & (pixels < np.array(calibration.camera.size) - 1).all(-1)
    names = tuple(f"mark {row}" for row in np.flatnonzero(seen))
    return MarkedPoints(names, world[seen], pixels[seen], calibration.camera.size)


def ground_marks(calibration: Calibration, rng: np.random.Generator, count: int = 60) -> np.ndarray:
    """Return points ``(N,3)`` m scattered on the ground 3 to 15 m before the camera of a mount."""
    angle = rng.uniform(-0.5, 0.5, count)
    distance = rng.uniform(3, 15, count) + float(calibration.camera.center_world[2])
    return np.stack([distance * np.sin(angle), distance * np.cos(angle), np.zeros(count)], -1)
