"""Training with mmengine's Runner: stage 1 (one view, 2D) and stage 2 (all views), resumable at the very step.

Samples are made on the training device from the step's number and the seed alone, so a resumed run sees what the
uninterrupted one would have seen, and no loader can be the bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mocap_video.errors import ConfigError, MissingAsset
from mocap_video.lifter.body import load_body
from mocap_video.lifter.checkpoints import allow_runner_checkpoints
from mocap_video.lifter.data.bank import read_bank
from mocap_video.lifter.data.synthetic import SyntheticConfig, draw_samples
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.objective import lifting_losses
from mocap_video.lifter.weights import load_weights, save_weights
from mocap_video.skeletons import SKELETONS


@dataclass(frozen=True)
class TrainConfig:
    """One training run. ``stage`` 1 or 2; ``start_from``: weights to begin with (stage 1's for stage 2), or None."""

    bank: Path
    work_dir: Path
    stage: int
    network: NetworkConfig = field(default_factory=NetworkConfig)
    start_from: Path | None = None
    skeleton: str = "coco17"
    steps: int = 20000
    warmup: int = 200
    batch: int = 64
    frames: int = 48
    rate: float = 1e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    save_every: int = 200
    log_every: int = 20
    bf16: bool = False
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


class StepNumbers(Dataset[Tensor]):
    """The numbers of the training steps: all the data there is to load."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Tensor:
        return torch.tensor(step)


class LifterTraining(BaseModel):
    """mmengine's view of training: ``forward(step)`` makes the step's batch and returns its losses."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.train_config = config
        self.skeleton = SKELETONS[config.skeleton]
        if config.start_from is None:
            torch.manual_seed(config.seed)
            self.denoiser = Denoiser(config.network)
        else:
            self.denoiser = load_weights(config.start_from).model
        self._bank = read_bank(config.bank)
        self._body = load_body()

    def forward(
        self, inputs: Tensor, data_samples: list[object] | None = None, mode: str = "loss"
    ) -> dict[str, Tensor]:
        """Return the losses of the training step whose number is ``inputs``; the other arguments are mmengine's."""
        if mode != "loss" or data_samples is not None:
            raise ConfigError(f"training forward: expected mode 'loss' and no data samples, got {mode!r}")
        config, device = self.train_config, next(self.denoiser.parameters()).device
        if self._bank.rotvec.device != device:
            self._bank, self._body = self._bank.to(device), self._body.to(device)
        generator = torch.Generator(device).manual_seed(config.seed * 1_000_003 + int(inputs))
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            sample = draw_samples(self._bank, self._body, config.batch, config.frames, config.synthetic, generator)
        return lifting_losses(self.denoiser, sample, self.skeleton, multi_view=config.stage == 2, generator=generator)


def _only(items: list[Tensor]) -> dict[str, Tensor]:
    return {"inputs": items[0]}


def build_runner(config: TrainConfig) -> Runner:
    """Return the Runner of ``config``; it resumes from ``work_dir`` when there is a checkpoint."""
    allow_runner_checkpoints()
    loop = {"type": "IterBasedTrainLoop", "max_iters": config.steps, "val_interval": config.steps + 1}
    optimizer = {"type": "AdamW", "lr": config.rate, "weight_decay": config.weight_decay, "betas": (0.9, 0.98)}
    wrapper = {
        "type": "AmpOptimWrapper" if config.bf16 else "OptimWrapper",
        "optimizer": optimizer,
        "clip_grad": {"max_norm": config.clip_norm},
    }
    if config.bf16:
        wrapper |= {"dtype": "bfloat16", "loss_scale": 1.0}
    return Runner(
        model=LifterTraining(config),
        work_dir=str(config.work_dir),
        train_dataloader=DataLoader(StepNumbers(config.steps), batch_size=1, collate_fn=_only),
        train_cfg=loop,
        optim_wrapper=wrapper,
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": config.warmup},
            {
                "type": "CosineAnnealingLR",
                "by_epoch": False,
                "begin": config.warmup,
                "end": config.steps,
                "T_max": config.steps - config.warmup,
                "eta_min": config.rate * 0.02,
            },
        ],
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": config.log_every},
            "checkpoint": CheckpointHook(interval=config.save_every, by_epoch=False, max_keep_ckpts=2),
        },
        custom_hooks=[EMAHook(ema_type="MomentumAnnealingEMA", momentum=0.002, gamma=50)],
        randomness={"seed": config.seed},
        resume=True,
        default_scope="mmengine",
        cfg=Config({}),
        log_level="INFO",
    )


def export_weights(config: TrainConfig, checkpoint: Path, path: Path, notes: dict[str, str]) -> None:
    """Write the averaged network of a training ``checkpoint`` as weights. Raises ``MissingAsset`` when it is absent."""
    if not checkpoint.is_file():
        raise MissingAsset(f"{checkpoint}: no checkpoint there")
    allow_runner_checkpoints()
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    # mmengine's EMAHook swaps on saving: what resumes and evaluates as `state_dict` is the average
    prefix = "denoiser."
    state = {name[len(prefix) :]: value for name, value in stored["state_dict"].items() if name.startswith(prefix)}
    model = LifterTraining(config).denoiser
    model.load_state_dict(state)
    save_weights(model, SKELETONS[config.skeleton], path, notes)
