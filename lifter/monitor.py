"""What training is measured by as it goes: held-out windows of motion before cameras that are fixed by a seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch.utils.data import Dataset

from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.bank import MotionBank
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.synthetic import Sample, SyntheticConfig, make_samples
from mocap_video.lifter.lift import LiftConfig
from mocap_video.lifter.network import Denoiser
from mocap_video.lifter.objective import lifting_losses
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.validation import NOISES, evaluate
from mocap_video.lifter.views import Scene, build_scene
from mocap_video.skeletons import Skeleton

_SEED = 7
BEST = {1: "detector-like/loss", 2: "detector-like/abs_mm"}
"""The figure by which the best checkpoint of a stage is kept; less is better."""


class NoiseKinds(Dataset[str]):
    """The names of the kinds of 2D that the held-out motion is seen by."""

    def __len__(self) -> int:
        return len(NOISES)

    def __getitem__(self, index: int) -> str:
        return list(NOISES)[index]


class Figures(BaseMetric):
    """Passes on what ``val_step`` measured. Processes share it by messages, not by files in the working directory."""

    def __init__(self) -> None:
        super().__init__(collect_device="gpu")

    def process(self, data_batch: object, data_samples: Sequence[dict[str, float]]) -> None:  # noqa: ARG002 - mmengine's
        """Take the figures of one kind of 2D."""
        self.results += data_samples

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Return the figures of all kinds."""
        return {name: value for figures in results for name, value in figures.items()}


def held_out_samples(
    bank: MotionBank, body: BodyModel, skeleton: Skeleton, count: int, frames: int, cameras: CameraConfig
) -> dict[str, Sample]:
    """Return ``count`` samples on the CPU for each kind of 2D: the same motion and cameras in every run."""
    windows = bank.draw(count, frames, torch.Generator().manual_seed(_SEED))
    configs = {kind: SyntheticConfig(augment=None, cameras=cameras, noise=noise) for kind, noise in NOISES.items()}
    return {
        kind: make_samples(windows, body, skeleton, config, torch.Generator().manual_seed(_SEED))
        for kind, config in configs.items()
    }


@torch.no_grad()
def figures_of(model: Denoiser, stage: int, kind: str, samples: Sample, skeleton: Skeleton) -> dict[str, float]:
    """Measure ``model``: stage 1 by its own loss, stage 2 by errors in millimetres. Names begin with ``kind``."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(_SEED)
    if stage == 1:
        there = Sample(samples.seen.to(device), samples.joints.to(device))
        losses = lifting_losses(model, there, skeleton, multi_view=False, generator=generator)
        return {f"{kind}/loss": float(sum(losses.values()))}

    def lift(scene: Scene) -> torch.Tensor:
        there = build_scene(scene.seen.to(device), skeleton)
        return sample(model, there, skeleton, steps=LiftConfig().steps, generator=generator).cpu()

    errors = evaluate(samples, lift, skeleton=skeleton)
    return {
        f"{kind}/abs_mm": errors.abs_mpjpe_mm,
        f"{kind}/root_mm": errors.root_mm,
        f"{kind}/mpjpe_mm": errors.mpjpe_mm,
        f"{kind}/pa_mm": errors.pa_mpjpe_mm,
    }
