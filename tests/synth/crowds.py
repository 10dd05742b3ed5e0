"""People who walk before a site camera, as a detector would say it: gait, lean, statures, noise that lasts."""

from __future__ import annotations

import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Keypoints2D

RATE_HZ = 8.0
STEP_AT_M = 9.0
_STRIDE_S = 1.05


def crowd(
    calibration: Calibration,
    rng: np.random.Generator,
    people: int = 8,
    *,
    seconds: float = 6.0,
    step_m: float = 0.0,
) -> list[Keypoints2D]:
    """Return ``people`` who walk straight across the ground within 18 m of a mount's camera and are mostly in view.
    Who walks beyond ``STEP_AT_M`` does so on a second ground, higher by ``step_m``.
    """
    found: list[Keypoints2D] = []
    for _ in range(40 * people):
        joints = _walker(rng, seconds)
        if np.linalg.norm(joints[..., :2].mean((0, 1))) > STEP_AT_M:
            joints[..., 2] += step_m
        seen = _seen(len(found) + 1, joints, calibration, rng)
        if seen is not None:
            found.append(seen)
        if len(found) == people:
            break
    return found


def _walker(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Return the joints ``(T,17,3)`` m of somebody of random stature, place, heading, speed and posture; z up."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    stature, speed, heading = rng.normal(1.70, 0.09), abs(rng.normal(1.25, 0.25)), rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(heading), np.sin(heading), 0])
    left = np.array([-forward[1], forward[0], 0])
    angle, distance = rng.uniform(-0.6, 0.6), rng.uniform(3, 18)
    middle = distance * np.array([np.sin(angle), np.cos(angle), 0])
    path = middle + np.outer(speed * (time_s - time_s.mean()), forward)
    phase = 2 * np.pi * time_s / _STRIDE_S + rng.uniform(0, 2 * np.pi)
    lean = rng.normal(0.06, 0.04) + 0.02 * np.sin(2 * phase)
    side = rng.normal(0, 0.015) + 0.02 * np.sin(phase)
    trunk = rng.normal(1, 0.012)  # proportions differ between people
    joints = np.zeros((len(time_s), len(COCO17), 3))

    def put(name: str, ahead: np.ndarray | float, across: np.ndarray | float, up: np.ndarray | float) -> None:
        ahead, across, up = (np.broadcast_to(v, time_s.shape)[:, None] for v in (ahead, across, up))
        joints[:, COCO17.index(name)] = path + ahead * forward + across * left + up * np.array([0, 0, 1.0])

    for sign, name in ((1, "left"), (-1, "right")):
        swing = np.sin(phase) * sign
        lift = 0.05 * stature + 0.015 + 0.13 * np.clip(np.cos(phase) * sign, 0, None) ** 2
        put(f"{name}_ankle", 0.19 * stature * swing, 0.06 * sign, lift)
        put(f"{name}_knee", 0.1 * stature * swing + 0.03, 0.07 * sign, 0.27 * stature)
        put(f"{name}_hip", 0.4 * lean, side * 0.5 + 0.1 * sign, 0.505 * stature)
        put(f"{name}_shoulder", lean, side + 0.17 * sign, 0.795 * trunk * stature)
        put(f"{name}_ear", 1.2 * lean, side + 0.07 * sign, 0.915 * stature)
    return joints


def _seen(number: int, joints: np.ndarray, calibration: Calibration, rng: np.random.Generator) -> Keypoints2D | None:
    """Return what a detector makes of ``joints``; None unless the person is whole in view for a second and a half."""
    xy, valid = geometry.project(torch.from_numpy(joints), calibration.camera)
    xy, size = xy.numpy(), np.array(calibration.camera.size)
    body = [
        COCO17.index(f"{side}_{name}") for side in ("left", "right") for name in ("ankle", "shoulder", "ear", "hip")
    ]
    inside = (valid.numpy() & (xy > 0).all(-1) & (xy < size - 1).all(-1))[:, body].all(-1)
    tall = np.ptp(xy[:, body, 1], axis=1)
    inside &= (tall > 60) & (tall < 0.95 * size.max())
    if inside.sum() < 1.5 * RATE_HZ:
        return None
    noise = 0.006 * rng.normal(size=(1, 17, 2)) + _lasting(0.009, len(xy), rng)
    noise = noise * tall[:, None, None] + 0.5 * rng.normal(size=xy.shape)
    noise += (rng.random((len(xy), 17, 1)) < 0.02) * 0.1 * tall[:, None, None] * rng.normal(size=xy.shape)
    score = np.where(inside[:, None], 0.85, 0.0) * np.ones(17)
    if rng.random() < 0.3:  # seen from behind
        score[:, :5] = 0.0
    xy = np.where(score[..., None] > 0, xy + noise, np.nan)
    time_s = 10.0 * number + np.arange(len(xy)) / RATE_HZ
    return Keypoints2D(number, "coco17", np.arange(len(xy)), time_s, xy, score)


def _lasting(deviation: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise ``(count,17,2)`` that forgets three quarters of itself in 0.2 s or so."""
    out = np.zeros((count, 17, 2))
    state = rng.normal(size=(17, 2))
    for row in range(count):
        state = 0.6 * state + 0.8 * rng.normal(size=(17, 2))
        out[row] = deviation * state
    return out
