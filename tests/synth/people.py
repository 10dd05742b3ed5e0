"""Makers of people whose motion is known exactly, for tests of what comes after the fit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.types import (
    BodyFit,
    Calibration,
    Camera,
    ClipResult,
    GroundPlane,
    Keypoints2D,
    Motion3D,
    Person,
    VideoInfo,
)

GROUND = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)


def make_calibration() -> Calibration:
    """Return a level camera 2 m over a z-up ground that looks along +y; 1000 px focal length, 1280 x 720 px."""
    K = np.array([[1000.0, 0, 639.5], [0, 1000.0, 359.5], [0, 0, 1]])
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Calibration(Camera(K, R, -R @ np.array([0, 0, 2.0]), (1280, 720)), GROUND, name="test yard")


def make_person(number: int = 1, count: int = 30, *, speed_m_s: float = 1.0, rate: float = 30.0) -> Person:
    """Return a stiff person 10 m in front of the camera who glides along +x, ankles 9 cm over the ground."""
    calibration = make_calibration()
    camera = calibration.camera
    time_s = np.arange(count) / rate
    height_m = np.interp(np.arange(len(COCO17)), [0, 11, 16], [1.6, 0.9, 0.09])
    joints = np.zeros((count, len(COCO17), 3))
    joints[..., 0] = speed_m_s * time_s[:, None] - 1.0 + 0.05 * (np.arange(len(COCO17)) % 2)
    joints[..., 1] = 10.0
    joints[..., 2] = height_m
    joints[:, 15:, 2] = 0.09
    in_camera = joints @ camera.R_cam_from_world.T + camera.t_cam_from_world
    xy = (in_camera @ camera.K.T)[..., :2] / in_camera[..., 2:]
    frames = np.arange(count)
    body = np.repeat(joints[:, 11:12], len(SMPL24), 1)
    return Person(
        keypoints=Keypoints2D(number, "coco17", frames, time_s, xy, np.full((count, len(COCO17)), 0.8)),
        motion=Motion3D(number, "coco17", frames, time_s, joints, np.full((count, len(COCO17)), 0.02)),
        body=BodyFit(
            person=number,
            gender="neutral",
            betas=np.linspace(-1, 1, 10),
            global_orient=np.full((count, 3), 0.1),
            body_pose=np.arange(count * 23 * 3).reshape(count, 23, 3) / 1000,
            transl=joints[:, 11],
            joints=body,
            residual=np.full(count, 0.03),
        ),
    )


def make_result(*people: Person, path: Path = Path("clip.mp4")) -> ClipResult:
    """Return the result of a clip of 30 frames with these ``people``."""
    video = VideoInfo(path, (1280, 720), Fraction(30), np.arange(30) / 30)
    return ClipResult(video, make_calibration(), people, {})
