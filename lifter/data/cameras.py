"""Random fixed cameras over the range that sites have (method 7.1), and the subject's place before them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.views import AIM_HEIGHT_M


@dataclass(frozen=True)
class CameraConfig:
    """Ranges; heights and distances are drawn evenly in their logarithm."""

    height_m: tuple[float, float] = (0.6, 12.0)
    distance_m: tuple[float, float] = (1.8, 25.0)
    pitch_deg: tuple[float, float] = (-10.0, 80.0)
    roll_std_deg: float = 2.0
    hfov_deg: tuple[float, float] = (30.0, 110.0)
    portrait: float = 0.2


@dataclass(frozen=True)
class CameraBatch:
    """``B`` cameras in their canonical frames: ``R (B,3,3)``, ``t (B,3)`` m, ``half (B,2)`` normalised half
    width and height of the image; ``place (B,2)`` m: x and z of the subject on the ground.
    """

    R: Tensor
    t: Tensor
    half: Tensor
    place: Tensor


def random_cameras(reach_m: Tensor, config: CameraConfig, generator: torch.Generator | None = None) -> CameraBatch:
    """Draw a camera for each subject that moves within ``reach_m (B)`` m of its middle."""
    count, device = len(reach_m), reach_m.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    def spread(bounds: tuple[float, float]) -> Tensor:
        logarithms = torch.log(torch.tensor(bounds))
        return torch.exp(uniform(float(logarithms[0]), float(logarithms[1])))

    height = spread(config.height_m)
    distance = spread(config.distance_m) + reach_m
    half_wide = torch.tan(torch.deg2rad(uniform(*config.hfov_deg) / 2))
    portrait = torch.rand(count, generator=generator, device=device) < config.portrait
    half = torch.stack([half_wide, torch.where(portrait, 16 / 9, 9 / 16) * half_wide], -1)
    aim = torch.stack([uniform(-0.6, 0.6), uniform(-0.6, 0.6)], -1) * half
    down = torch.atan2(height - AIM_HEIGHT_M, distance)
    low, high = torch.deg2rad(torch.tensor(config.pitch_deg)).tolist()
    pitch = (down - torch.atan(aim[:, 1])).clamp(low, high)
    # clamp of pitch may push the subject out of a low image: turn it back with the remaining angle
    side = distance * aim[:, 0] / (torch.cos(pitch) + 1e-6) * torch.cos(down - pitch)
    place = torch.stack([-side.clamp(-distance * 0.9, distance * 0.9), distance], -1)
    roll = torch.deg2rad(config.roll_std_deg * torch.randn(count, generator=generator, device=device))
    return CameraBatch(*_poses(height, pitch, roll), half, place)


def _poses(height: Tensor, pitch: Tensor, roll: Tensor) -> tuple[Tensor, Tensor]:
    """Cameras over the origin that head along +Z: ``R (B,3,3)``, ``t (B,3)`` m."""
    zero = torch.zeros_like(pitch)
    forward = torch.stack([zero, -torch.sin(pitch), torch.cos(pitch)], -1)
    right = torch.stack([-torch.ones_like(pitch), zero, zero], -1)
    down = torch.linalg.cross(forward, right)
    cosine, sine = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
    R = torch.stack([cosine * right + sine * down, cosine * down - sine * right, forward], -2)
    center = torch.stack([zero, height, zero], -1)
    return R, -(R @ center[..., None])[..., 0]


def place_subject(joints: Tensor, cameras: CameraBatch, generator: torch.Generator | None = None) -> Tensor:
    """Turn ``joints (B,T,J,3)`` m by a random yaw and move them to each camera's place, in its canonical frame."""
    yaw = 2 * torch.pi * torch.rand(len(joints), generator=generator, device=joints.device)
    cosine, sine = torch.cos(yaw)[:, None, None], torch.sin(yaw)[:, None, None]
    x, y, z = joints.unbind(-1)
    place = cameras.place[:, None, None]
    return torch.stack([cosine * x + sine * z + place[..., 0], y, cosine * z - sine * x + place[..., 1]], -1)


def see(joints: Tensor, cameras: CameraBatch) -> tuple[Tensor, Tensor]:
    """Return normalised ``xy (B,T,J,2)`` and ``visible (B,T,J)`` bool: in front of the camera and inside the image."""
    xy, depth = geometry.project_normalized(joints, cameras.R[:, None, None], cameras.t[:, None, None])
    inside = (xy.abs() <= cameras.half[:, None, None]).all(-1)
    return xy, inside & (depth > 0.3)
