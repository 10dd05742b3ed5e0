"""Held-out motion before random cameras: how far off the lifter is, in millimetres (method 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.augment import posed_joints
from mocap_video.lifter.data.bank import Windows, bank_of
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.motions import read_motions
from mocap_video.lifter.data.noise import DETECTOR_LIKE, NoiseConfig
from mocap_video.lifter.data.retarget import BANK_FPS, retarget
from mocap_video.lifter.data.sources import SourceClip
from mocap_video.lifter.data.synthetic import Sample, SyntheticConfig, observe
from mocap_video.lifter.metrics import MotionErrors, frame_errors, pool_errors
from mocap_video.lifter.views import Observation, Scene, build_scene
from mocap_video.skeletons import COCO17, SMPL24, Skeleton

EXACT = NoiseConfig(noisy=0.0, no_face=0.0, cut=0.0)
NOISES = {"exact": EXACT, "detector-like": DETECTOR_LIKE}

_LIMBS = list(range(5, 17))
_SMPL_LIMBS = [
    SMPL24.index(f"{side}_{part}")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


@dataclass(frozen=True)
class ValidationConfig:
    """What is measured: windows of ``frames`` frames, every ``stride``-th of 30 a second, ``repeats`` cameras each.

    ``shapes``: every window wears the mean shape, or one drawn at ``random`` (each beta from a unit Gaussian).
    """

    frames: int = 32
    stride: int = 2
    repeats: int = 2
    seed: int = 7
    cameras: CameraConfig = field(default_factory=CameraConfig)
    shapes: Literal["mean", "random"] = "mean"


def held_out(
    folder: Path, split: str, truth: str, noise: NoiseConfig, body: BodyModel, config: ValidationConfig
) -> Sample:
    """Return samples of ``split``: all of it, cut into windows without overlap, each before random cameras.

    ``truth`` ``body``: motion of our body with exact COCO-17; ``source``: the clips' own twelve limb joints as they
    are, their own proportions and floor included, the face unseen. Only clips that stay on the floor.
    """
    clips = [clip for clip in read_motions(folder, split) if "climbing_not_on_floor" not in clip.flags]
    shapes = torch.Generator().manual_seed(config.seed + 1)  # of their own: cameras and noise stay what they are
    parts = [_windows_of(clip, truth, body, config, shapes) for clip in clips]
    joints, time_s, valid, betas = (
        torch.cat(part).repeat(config.repeats, *[1] * (part[0].ndim - 1)) for part in zip(*parts, strict=True)
    )
    generator = torch.Generator().manual_seed(config.seed)
    synthetic = SyntheticConfig(augment=None, noise=noise, cameras=config.cameras)
    sample = observe(joints, time_s, valid, COCO17, synthetic, generator, betas if truth == "body" else None)
    if truth == "source":
        unknown = torch.ones(17, dtype=torch.bool)
        unknown[_LIMBS] = False
        sample.joints[:, :, unknown] = torch.nan
    return sample


def _windows_of(
    clip: SourceClip, truth: str, body: BodyModel, config: ValidationConfig, shapes: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Joints ``(W,T,17,3)`` m about each window's middle, times ``(W,T)`` s, validity ``(W,T)`` and betas ``(W,10)`` of
    a clip.
    """
    span = config.frames * config.stride
    count = max(1, len(clip.joints) // span)
    first = torch.arange(count) * span
    betas = torch.zeros(count, 10)
    if config.shapes == "random":
        betas = torch.randn(count, 10, generator=shapes)
    if truth == "body":
        bank = bank_of([retarget(clip, body)])
        zero = torch.zeros(count, dtype=torch.int64)
        stride = torch.full((count,), config.stride)
        windows: Windows = bank.windows(zero, first, stride, config.frames, torch.ones(count))
        return posed_joints(windows, body, COCO17, None, betas=betas), windows.time_s, windows.valid, betas
    offset = first[:, None] + config.stride * torch.arange(config.frames)
    valid = offset < len(clip.joints)
    source = torch.as_tensor(clip.joints)[offset.clamp_max(len(clip.joints) - 1)]
    joints = torch.full((count, config.frames, 17, 3), torch.nan)
    joints[:, :, _LIMBS] = source[:, :, _SMPL_LIMBS]
    middle = joints[:, config.frames // 2, 11:13].mean(1)
    joints[..., 0] -= middle[:, None, None, 0]
    joints[..., 2] -= middle[:, None, None, 2]
    time_s = (torch.arange(config.frames) * config.stride / BANK_FPS).expand(count, -1)
    return joints, time_s, valid, betas


def flat_baseline(scene: Scene) -> Tensor:
    """The no-learning baseline ``(B,T,17,3)`` m: a vertical plane that faces the camera where the lower ankle stands.

    The lower ankle's ray meets the ground at 9 cm; every joint lies on that plane. Frames without ankles take the
    anchor's distance.
    """
    seen: Observation = scene.seen
    origin = geometry.camera_center(seen.R, seen.t)
    directions = geometry.ray_directions(seen.xy, seen.R[:, None, None])
    pair = scene.skeleton.pair("ankle")
    ankles = directions[:, :, pair]
    down = -ankles[..., 1]
    reach = (
        (origin[:, None, None, 1] - scene.skeleton.stance.ankle_m)
        / down.clamp_min(1e-4)
        * ankles[..., [0, 2]].norm(dim=-1)
    )
    known = (seen.score[:, :, pair] > 0) & (down > 0.01)
    reach = torch.where(known, reach, torch.inf).amin(-1)
    fallback = (scene.anchor.point - origin[:, None])[..., [0, 2]].norm(dim=-1)
    reach = torch.where(torch.isfinite(reach), reach, fallback)
    ahead = torch.nn.functional.normalize((scene.anchor.point - origin[:, None])[..., [0, 2]], dim=-1)
    along = (directions[..., [0, 2]] * ahead[:, :, None]).sum(-1)
    return origin[:, None, None] + directions * (reach[..., None] / along.clamp_min(1e-3))[..., None]


def evaluate(
    sample: Sample, lift: Callable[[Scene], Tensor], batch: int = 64, skeleton: Skeleton = COCO17
) -> MotionErrors:
    """Return the errors of ``lift`` on ``sample``, keypoints of ``skeleton``.

    Each window is a clip; errors are pooled over the frames whose truth is known.
    """
    parts = []
    for first in range(0, len(sample.joints), batch):
        seen = sample.seen.select(slice(first, first + batch))
        used = seen.valid & (seen.score > 0).any(-1)
        truth = torch.where(used[..., None, None], sample.joints[first : first + batch], torch.nan)
        fps = 1 / seen.time_s.diff(dim=1).median(1).values
        parts += [
            frame_errors(p.numpy(), g.numpy(), skeleton, float(rate))
            for p, g, rate in zip(lift(build_scene(seen, skeleton)), truth, fps, strict=True)
            if torch.isfinite(g).any()
        ]
    return pool_errors(parts)
