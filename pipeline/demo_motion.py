"""A person walks in, squats, turns and walks on waving: made from footsteps, so no recorded data ships with the demo.

The feet come first: planted where a step puts them, rolling over heel and toe. The pelvis follows the mean of the
feet, the legs are solved for the ankles (two bones in closed form), and the arms swing with the opposite foot.
All of it happens in the body's frame of ``lifter.body``: +Y up, the ground is y = 0, metres, radians.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, minimum_filter1d
from scipy.spatial.transform import Rotation

from mocap_video.lifter.body import SOLES, BodyModel
from mocap_video.skeletons import SMPL24

STEP_S, SWING_S, STRIDE_M, HALF_WIDTH_M = 0.5, 0.38, 0.62, 0.09
LIFT_M, HEEL_UP, TOE_UP = 0.05, np.radians(32), np.radians(-14)
ROLL_OFF_S, ROLL_ON_S = 0.14, 0.08
SQUAT_START_S, SQUAT_S, SQUAT_DEPTH_M = 2.1, 1.3, 0.32
WAVE_START_S, WAVE_HZ = 3.9, 1.6
SIDES = ("left", "right")
R_SITE_FROM_BODY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Turns the body's +Y up into the site's +Z up."""


@dataclass(frozen=True)
class BodyMotion:
    """A posed body over time: ``time_s (T)`` s, ``betas (10)``, ``rotations (T,24,3,3)`` each relative to its parent,
    ``transl (T,3)`` m; the site world, +Z up, ground at z = 0.
    """

    time_s: np.ndarray
    betas: np.ndarray
    rotations: np.ndarray
    transl: np.ndarray


@dataclass(frozen=True)
class _Step:
    """One step of a foot: leaves the ground at ``start_s``, lands on ``target (2)`` (x, z) m turned by ``yaw`` rad."""

    start_s: float
    target: np.ndarray
    yaw: float


@dataclass(frozen=True)
class _FootPath:
    """``ball (T,3)`` m: where the ball of the flat foot would be; ``yaw (T)``, ``pitch (T)`` rad, positive: heel up."""

    ball: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray


@dataclass(frozen=True)
class _Rest:
    """The shaped body at rest: ``joints (24,3)`` m and per side the sole's ``heel``, ``ball`` and ``toe`` ``(3)`` m."""

    joints: np.ndarray
    toe: dict[str, np.ndarray]
    ball: dict[str, np.ndarray]
    heel: dict[str, np.ndarray]

    def __getitem__(self, joint: str) -> np.ndarray:
        return self.joints[SMPL24.index(joint)]


def walk_squat_wave(body: BodyModel, betas: np.ndarray, *, seconds: float, rate: float) -> BodyMotion:
    """Return the demo's motion of ``body`` with ``betas (10)``, ``rate`` frames a second."""
    time_s = np.arange(round(seconds * rate)) / rate
    rest = _rest(body, betas)
    feet = {side: _foot_path(steps, time_s) for side, steps in _footsteps().items()}
    yaw = _smooth(np.mean([foot.yaw for foot in feet.values()], 0), 0.15, rate)
    forward = np.stack([np.sin(yaw), np.zeros_like(yaw), np.cos(yaw)], -1)
    squat = _bump(time_s, SQUAT_START_S, SQUAT_S)
    center = _smooth(np.mean([foot.ball for foot in feet.values()], 0), 0.16, rate)
    center = center - (0.05 + 0.13 * squat)[:, None] * forward
    reach = {side: np.einsum("tc,tc->t", foot.ball - center, forward) / STRIDE_M for side, foot in feet.items()}
    R_pelvis = _turn("y", yaw - np.radians(8) * (reach["left"] - reach["right"])) * _turn("x", np.radians(28) * squat)
    ankles = {side: _ankle(foot, rest, side) for side, foot in feet.items()}
    pelvis = _pelvis_height(center, R_pelvis, ankles, rest, squat, rate)
    local = {"pelvis": R_pelvis, **_torso_and_arms(time_s, reach, squat, rate)}
    for side in SIDES:
        local |= _leg(side, pelvis, R_pelvis, ankles[side], feet[side], forward, rest)
    rotations = np.tile(np.eye(3), (len(time_s), 24, 1, 1))
    for joint, rotation in local.items():
        rotations[:, SMPL24.index(joint)] = rotation.as_matrix()
    rotations[:, 0] = R_SITE_FROM_BODY @ rotations[:, 0]
    return BodyMotion(time_s, betas, rotations, pelvis @ R_SITE_FROM_BODY.T - rest["pelvis"])


def _rest(body: BodyModel, betas: np.ndarray) -> _Rest:
    posed = body.pose(torch.as_tensor(betas, dtype=torch.float32), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    soles: dict[str, np.ndarray] = dict(zip(SOLES, posed.soles.double().numpy(), strict=True))
    return _Rest(
        joints=posed.joints.double().numpy(),
        toe={side: soles[f"{side}_toe"] for side in SIDES},
        ball={side: soles[f"{side}_ball"] for side in SIDES},
        heel={side: soles[f"{side}_heel"] for side in SIDES},
    )


def _footsteps() -> dict[str, list[_Step]]:
    """Return each foot's steps: four strides in, one to close, the squat, a turn of 100 degrees, and strides out."""
    walk_in = [(-0.5 + STEP_S * i, STRIDE_M, 0.0) for i in range(4)] + [(1.5, 0.0, 0.0)]
    restart = SQUAT_START_S + SQUAT_S - 0.1
    turns = [35.0, 70.0, 100.0, 100.0, 100.0, 100.0]
    walk_out = [(restart + STEP_S * i, STRIDE_M * (0.6 if i < 2 else 1.0), turn) for i, turn in enumerate(turns)]
    steps: dict[str, list[_Step]] = {}
    front = np.zeros(2)
    for side, sign in (("left", 1), ("right", -1)):
        steps[side] = [_Step(-9.0, np.array([sign * HALF_WIDTH_M, 0.0]), 0.0)]
    for number, (start_s, length, turn_deg) in enumerate(walk_in + walk_out):
        side, sign = (("right", -1), ("left", 1))[number % 2]
        yaw = np.radians(turn_deg)
        front = front + length * np.array([np.sin(yaw), np.cos(yaw)])
        target = front + sign * HALF_WIDTH_M * np.array([np.cos(yaw), -np.sin(yaw)])
        steps[side].append(_Step(start_s, target, yaw))
    return steps


def _foot_path(steps: list[_Step], time_s: np.ndarray) -> _FootPath:
    position = np.tile(steps[0].target, (len(time_s), 1))
    yaw = np.full(len(time_s), steps[0].yaw)
    height, pitch = np.zeros(len(time_s)), np.zeros(len(time_s))
    for before, step in itertools.pairwise(steps):
        phase = ((time_s - step.start_s) / SWING_S).clip(0, 1)
        swing = (phase > 0) & (phase < 1)
        position = position + _ease(phase)[:, None] * (step.target - before.target)
        yaw = yaw + _ease(phase) * (step.yaw - before.yaw)
        height = height + LIFT_M * np.sin(np.pi * phase) ** 2
        roll_off = _ease(((time_s - step.start_s) / ROLL_OFF_S + 1).clip(0, 1)) * (phase == 0)
        roll_on = (1 - _ease(((time_s - step.start_s - SWING_S) / ROLL_ON_S).clip(0, 1))) * (phase == 1)
        pitch = pitch + HEEL_UP * roll_off + TOE_UP * roll_on + swing * (HEEL_UP + _ease(phase) * (TOE_UP - HEEL_UP))
    ball = np.stack([position[:, 0], height, position[:, 1]], -1)
    return _FootPath(ball, yaw, pitch)


def _ankle(foot: _FootPath, rest: _Rest, side: str) -> np.ndarray:
    """Return the ankle ``(T,3)`` m: the foot turns about its toe while the heel is up, about its heel otherwise."""
    ankle, toe, ball, heel = rest[f"{side}_ankle"], rest.toe[side], rest.ball[side], rest.heel[side]
    flat, pitched = _turn("y", foot.yaw), _turn("y", foot.yaw) * _turn("x", foot.pitch)
    about_toe = flat.apply(toe - ball) + pitched.apply(ankle - toe)
    about_heel = flat.apply(heel - ball) + pitched.apply(ankle - heel)
    return foot.ball + np.where(foot.pitch[:, None] > 0, about_toe, about_heel)


def _pelvis_height(
    center: np.ndarray, R_pelvis: Rotation, ankles: dict[str, np.ndarray], rest: _Rest, squat: np.ndarray, rate: float
) -> np.ndarray:
    """Return the pelvis ``(T,3)`` m over ``center (T,3)``: as high as both legs reach, less what the squat takes."""
    highest = []
    for side in SIDES:
        hip, knee, ankle = (rest[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        leg = 0.985 * (np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
        offset = R_pelvis.apply(hip - rest["pelvis"])
        level = ((center + offset - ankles[side])[:, [0, 2]] ** 2).sum(-1)
        highest.append(ankles[side][:, 1] + np.sqrt((leg**2 - level).clip(0.01)) - offset[:, 1])
    allowed = minimum_filter1d(np.min(highest, 0), round(0.24 * rate) | 1)
    pelvis = center.copy()
    pelvis[:, 1] = _smooth(allowed, 0.06, rate) - SQUAT_DEPTH_M * squat
    return pelvis


def _torso_and_arms(
    time_s: np.ndarray, reach: dict[str, np.ndarray], squat: np.ndarray, rate: float
) -> dict[str, Rotation]:
    counter = np.radians(5) * (reach["left"] - reach["right"])
    wave = _ease(((time_s - WAVE_START_S) / 0.4).clip(0, 1))
    out = {name: _turn("y", counter) * _turn("x", np.radians(2 + 7 * squat)) for name in ("spine1", "spine2", "spine3")}
    out["neck"] = _turn("x", np.radians(-14) * squat) * _turn("y", -counter)
    for side, sign, other in (("left", 1, "right"), ("right", -1, "left")):
        raised = wave if side == "right" else np.zeros_like(wave)
        swing = (np.radians(30) * _smooth(reach[other], 0.05, rate) + np.radians(105) * squat) * (1 - raised)
        down = np.radians(74) * (1 - raised) - np.radians(15) * raised
        flex = np.radians(22) * (1 + 0.5 * swing) * (1 - raised)
        waving = raised * np.radians(70 + 25 * np.sin(2 * np.pi * WAVE_HZ * time_s))
        out[f"{side}_collar"] = _turn("z", sign * np.radians(12) * raised)
        out[f"{side}_shoulder"] = _turn("x", -swing) * _turn("z", -sign * down)
        out[f"{side}_elbow"] = _turn("y", -sign * flex) * _turn("z", sign * waving)
    return out


def _leg(
    side: str,
    pelvis: np.ndarray,
    R_pelvis: Rotation,
    ankle: np.ndarray,
    foot: _FootPath,
    forward: np.ndarray,
    rest: _Rest,
) -> dict[str, Rotation]:
    """Solve one leg for its ankle ``(T,3)`` m; the knee bends in the plane of the leg and ``forward (T,3)``."""
    rest_hip, rest_knee, rest_ankle = (rest[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    hip = pelvis + R_pelvis.apply(rest_hip - rest["pelvis"])
    thigh, shank = np.linalg.norm(rest_knee - rest_hip), np.linalg.norm(rest_ankle - rest_knee)
    span = np.linalg.norm(ankle - hip, axis=-1).clip(None, 0.999 * (thigh + shank))
    along = (ankle - hip) / np.linalg.norm(ankle - hip, axis=-1, keepdims=True)
    out_front = forward - np.einsum("tc,tc->t", forward, along)[:, None] * along
    out_front = out_front / np.linalg.norm(out_front, axis=-1, keepdims=True)
    down_leg = (thigh**2 - shank**2 + span**2) / (2 * span)
    knee = hip + down_leg[:, None] * along + np.sqrt((thigh**2 - down_leg**2).clip(0))[:, None] * out_front
    R_thigh = _align(rest_knee - rest_hip, knee - hip, out_front)
    R_shank = _align(rest_ankle - rest_knee, ankle - knee, out_front)
    R_foot = _turn("y", foot.yaw) * _turn("x", foot.pitch)
    return {
        f"{side}_hip": R_pelvis.inv() * R_thigh,
        f"{side}_knee": R_thigh.inv() * R_shank,
        f"{side}_ankle": R_shank.inv() * R_foot,
    }


def _align(rest_bone: np.ndarray, bone: np.ndarray, front: np.ndarray) -> Rotation:
    """Return the rotations that take ``rest_bone (3)`` to ``bone (T,3)`` and keep the rest's +Z towards ``front``."""
    rest_axes = _axes(rest_bone[None], np.array([[0.0, 0.0, 1.0]]))
    return Rotation.from_matrix(_axes(bone, front) @ rest_axes.transpose(0, 2, 1))


def _axes(bone: np.ndarray, front: np.ndarray) -> np.ndarray:
    y = -bone / np.linalg.norm(bone, axis=-1, keepdims=True)
    x = np.cross(y, front)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -1)


def _turn(axis: str, angle: np.ndarray | float) -> Rotation:
    return Rotation.from_rotvec(np.multiply.outer(angle, np.eye(3)["xyz".index(axis)]))


def _ease(phase: np.ndarray) -> np.ndarray:
    """Return the smoothest rise from 0 to 1 with zero speed and acceleration at both ends."""
    return phase**3 * (10 - 15 * phase + 6 * phase**2)


def _bump(time_s: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
    """Return 0, up to 1 and back within ``seconds``."""
    return np.sin(np.pi * ((time_s - start_s) / seconds).clip(0, 1)) ** 2


def _smooth(values: np.ndarray, sigma_s: float, rate: float) -> np.ndarray:
    return gaussian_filter1d(values, sigma_s * rate, axis=0, mode="nearest")
