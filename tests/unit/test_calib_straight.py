"""Straight edges: a room drawn through a known lens tells a missing distortion and a wrong roll."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from mocap_video.calib import geometry
from mocap_video.calib.examine import examine_edges
from mocap_video.calib.mount import Mount
from mocap_video.types import Calibration
from synth.cameras import make_camera

BARREL = make_camera("opencv", (-0.2, 0.03, 0.0, 0.0, 0.0), size=(960, 540), hfov_deg=80)
SITE = Mount(2.6, float(np.radians(12)), 0.0).calibration(BARREL)


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """Cupboards that stand about, seen through a barrel lens."""
    rng, (width, height) = np.random.default_rng(0), BARREL.size
    picture = np.full((height, width), 120, np.uint8)
    for _ in range(30):
        foot, wide, tall, yaw = (
            rng.uniform([-6, 5], [6, 14]),
            rng.uniform(0.8, 3),
            rng.uniform(1.5, 4),
            rng.uniform(-0.6, 0.6),
        )
        corner, side = np.append(foot, 0), wide * np.array([np.cos(yaw), np.sin(yaw), 0])
        up = np.array([0, 0, tall])
        ring = [corner, corner + side, corner + side + up, corner + up, corner]
        outline = np.concatenate([np.linspace(a, b, 60) for a, b in pairwise(ring)])
        pixels, valid = geometry.project(torch.from_numpy(outline), SITE.camera)
        if valid.all():
            grey = int(rng.integers(30, 230))
            cv2.fillPoly(picture, [np.rint(16 * pixels.numpy()).astype(np.int32)], grey, cv2.LINE_AA, 4)
    blurred = cv2.GaussianBlur(picture, (0, 0), 0.8)
    return np.clip(blurred + 2 * rng.normal(size=picture.shape), 0, 255).astype(np.uint8)


def levels(calibration: Calibration, picture: np.ndarray) -> dict[str, str]:
    return {finding.topic: finding.level for finding in examine_edges(calibration, picture)}


def test_the_true_lens_leaves_edges_straight_and_posts_upright(room: np.ndarray) -> None:
    found = levels(SITE, room)
    assert found["straight edges"] in ("ok", "note")
    assert found["upright edges"] == "ok"


def test_a_missing_distortion_is_told(room: np.ndarray) -> None:
    ideal = replace(SITE, camera=replace(SITE.camera, distortion="none", coeffs=np.zeros(0)))
    found = {finding.topic: finding for finding in examine_edges(ideal, room)}
    assert found["straight edges"].level == "warning"
    assert "bulge outwards" in found["straight edges"].text


def test_a_wrong_roll_is_told(room: np.ndarray) -> None:
    rolled = Mount(2.6, float(np.radians(12)), float(np.radians(6))).calibration(BARREL)
    assert levels(rolled, room)["upright edges"] == "warning"


def test_a_picture_without_edges_says_nothing() -> None:
    assert levels(SITE, np.full((540, 960), 90, np.uint8)) == {"straight edges": "note"}
