"""Small made-up motion and samples for the lifter's tests: no data set is needed."""

from __future__ import annotations

import torch

from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bank import Windows
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.noise import NoiseConfig
from mocap_video.lifter.data.synthetic import Sample, SyntheticConfig, make_samples
from mocap_video.skeletons import COCO17, Skeleton

EXACT = NoiseConfig(noisy=0.0, no_face=0.0, cut=0.0)
NEAR_CAMERAS = CameraConfig(height_m=(1.5, 5.0), distance_m=(4.0, 9.0))


def walking_windows(count: int = 6, frames: int = 16) -> Windows:
    """People who walk straight ahead and swing their limbs; 15 frames a second."""
    time_s = (torch.arange(frames) / 15.0).expand(count, frames)
    phase = 2 * torch.pi * 0.9 * time_s + torch.arange(count)[:, None]
    rotvec = torch.zeros(count, frames, 24, 3)
    swing = 0.5 * torch.sin(phase)
    rotvec[:, :, 1, 0], rotvec[:, :, 2, 0] = swing, -swing
    rotvec[:, :, 4, 0], rotvec[:, :, 5, 0] = 0.4 * (1 + torch.cos(phase)), 0.4 * (1 - torch.cos(phase))
    rotvec[:, :, 16, 2], rotvec[:, :, 17, 2] = -1.2, 1.2
    path = torch.stack([torch.zeros_like(time_s), 1.3 * (time_s - time_s[:, frames // 2, None])], -1)
    valid = torch.ones(count, frames, dtype=torch.bool)
    return Windows(rotvec, path, torch.zeros(count, frames), torch.ones(count, frames, 2) > 0, time_s, valid)


def walking_samples(
    count: int = 6, frames: int = 16, noise: NoiseConfig = EXACT, seed: int = 0, skeleton: Skeleton = COCO17
) -> Sample:
    """Samples of ``walking_windows`` before random cameras, all of them in view."""
    config = SyntheticConfig(augment=None, cameras=NEAR_CAMERAS, noise=noise)
    generator = torch.Generator().manual_seed(seed)
    return make_samples(walking_windows(count, frames), load_body(), skeleton, config, generator)
