"""Training samples: motion, cameras and noise put together; truth and observation in the canonical frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.augment import AugmentConfig, posed_joints
from mocap_video.lifter.data.bank import Windows
from mocap_video.lifter.data.cameras import CameraConfig, place_subject, random_cameras, see
from mocap_video.lifter.data.noise import NoiseConfig, corrupt
from mocap_video.lifter.views import Observation
from mocap_video.skeletons import Skeleton

_STATURE_M = 1.7
_MIN_JOINT_FRAMES = 8


@dataclass(frozen=True)
class SyntheticConfig:
    """How samples are made. ``augment`` None keeps motion and shape as they are."""

    augment: AugmentConfig | None = field(default_factory=AugmentConfig)
    cameras: CameraConfig = field(default_factory=CameraConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)


@dataclass(frozen=True)
class Sample:
    """``seen``: what V0 observed; ``joints (B,T,J,3)`` m: the truth in the canonical frame; ``betas (B,10)``: the shape
    of our body that each window wears, where it is known.
    """

    seen: Observation
    joints: Tensor
    betas: Tensor | None = None

    def select(self, index: Tensor) -> Sample:
        """Return the windows at ``index``."""
        return Sample(self.seen.select(index), self.joints[index], None if self.betas is None else self.betas[index])


def make_samples(
    windows: Windows,
    body: BodyModel,
    skeleton: Skeleton,
    config: SyntheticConfig,
    generator: torch.Generator | None = None,
) -> Sample:
    """Make one sample of each window; windows of which V0 sees almost nothing are replaced by a copy of another."""
    joints = posed_joints(windows, body, skeleton, config.augment, generator)
    return observe(joints, windows.time_s, windows.valid, skeleton, config, generator)


def observe(
    joints: Tensor,
    time_s: Tensor,
    valid: Tensor,
    skeleton: Skeleton,
    config: SyntheticConfig,
    generator: torch.Generator | None = None,
    betas: Tensor | None = None,
) -> Sample:
    """Put ``joints (B,T,J,3)`` m (+Y up, about their middle) before random cameras; joints with NaN are never seen.

    ``betas (B,10)`` go along with their windows.
    """
    known = torch.isfinite(joints).all(-1)
    joints = torch.nan_to_num(joints)
    root = list(skeleton.root)
    reach = (joints[:, :, root].mean(2) * valid[..., None])[..., [0, 2]].norm(dim=-1).amax(1)
    cameras = random_cameras(reach, config.cameras, generator)
    placed = place_subject(joints, cameras, generator)
    xy, visible = see(placed, cameras)
    visible = visible & valid[..., None] & known
    center = torch.stack(
        [torch.zeros_like(reach), -(cameras.R.mT @ cameras.t[..., None])[:, 1, 0], torch.zeros_like(reach)], -1
    )
    distance = (placed[:, :, root].mean(2) - center[:, None]).norm(dim=-1)
    xy, score = corrupt(xy, visible, _STATURE_M / distance, time_s, skeleton, config.noise, generator)
    seen = Observation(xy, score, time_s, valid, cameras.R, cameras.t)
    enough = (score > 0).sum((1, 2)) >= _MIN_JOINT_FRAMES * joints.shape[1] // 2
    good = torch.nonzero(enough)[:, 0]
    index = torch.arange(len(joints), device=joints.device)
    if 0 < len(good) < len(joints):
        index = torch.where(enough, index, good[index % len(good)])
    return Sample(seen, placed, betas).select(index)
