"""People who walk, squat and wave in the body that ships: joints, poses and surface belong together."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.pipeline.demo_motion import BodyMotion, walk_squat_wave
from mocap_video.pipeline.results import write_results
from mocap_video.types import (
    BodyFit,
    Calibration,
    ClipResult,
    GroundPlane,
    Keypoints2D,
    Motion3D,
    Person,
    VideoInfo,
)
from synth.people import make_calibration

BETAS = np.array([0.8, -1.2, 0.6, 0.3, -0.5, 0.2, 0.0, 0.4, -0.1, 0.1])
FINE_HZ, LONGEST_S = 500.0, 6.0
R_SITE_FROM_ZUP = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "x": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "tilted": Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix(),
}
"""Site worlds by their up axis; the last has none of its axes upright."""


def make_performer(
    number: int, time_s: np.ndarray, *, up: str = "z", place: tuple[float, float] = (0.0, 10.0), first_frame: int = 0
) -> Person:
    """Return a person who moves from ``time_s[0]`` to ``time_s[-1]`` s, both under ``LONGEST_S``, starting about
    ``place`` m; ``up`` names one of ``R_SITE_FROM_ZUP``.
    """
    body = _body()
    fine = _motion(number % 2 == 0)
    rows = np.rint(time_s * FINE_HZ).astype(int)
    R = R_SITE_FROM_ZUP[up]
    rotations = fine.rotations[rows].copy()
    rotations[:, 0] = R @ rotations[:, 0]
    betas = torch.as_tensor(fine.betas, dtype=torch.float32)
    rest = (body.rest_joints + body.rest_joints_shape @ betas).numpy().astype(float)
    transl = (fine.transl[rows] + rest[0] + [*place, 0.0]) @ R.T - rest[0]
    posed = body.pose(betas, *(torch.as_tensor(a, dtype=torch.float32) for a in (rotations, transl)))
    vectors = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 24, 3)
    frames = first_frame + np.arange(len(time_s))
    xy, score = np.full((len(time_s), 17, 2), 300.0), np.full((len(time_s), 17), 0.8)
    return Person(
        keypoints=Keypoints2D(number, "coco17", frames, time_s, xy, score),
        motion=Motion3D(number, "coco17", frames, time_s, posed.coco.numpy().astype(float), 0.02 * np.ones_like(score)),
        body=BodyFit(
            person=number,
            gender="neutral",
            betas=fine.betas,
            global_orient=vectors[:, 0],
            body_pose=vectors[:, 1:],
            transl=transl,
            joints=posed.joints.numpy().astype(float),
            residual=np.full(len(time_s), 0.01),
        ),
    )


@lru_cache
def _body() -> BodyModel:
    return load_body("neutral")


@lru_cache
def _motion(even: bool) -> BodyMotion:
    return walk_squat_wave(_body(), BETAS if even else -BETAS, seconds=LONGEST_S, rate=FINE_HZ)


def site_calibration(up: str = "z") -> Calibration:
    """Return a camera 2 m over the ground of a site world whose up axis is ``up``."""
    calibration, R = make_calibration(), R_SITE_FROM_ZUP[up]
    camera = replace(calibration.camera, R_cam_from_world=calibration.camera.R_cam_from_world @ R.T)
    return Calibration(camera, GroundPlane(R @ calibration.ground.normal, 0.0), name="test yard")


def write_performers(folder: Path, *people: Person, up: str = "z", rate: Fraction = Fraction(30)) -> Path:
    """Write the results folder of a clip at ``rate`` with these ``people``."""
    body = _body()
    video = VideoInfo(Path("clip.mp4"), (1280, 720), rate, np.arange(30) / float(rate))
    result = ClipResult(video, site_calibration(up), people, {})
    write_results(folder, result, body_model=f"{body.name} {body.digest}", stages=(), warnings=())
    return folder
