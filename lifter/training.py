"""Training with mmengine's Runner: stage 1 (one view, 2D) and stage 2 (all views), resumable at the very step.

Samples are made on the training device from the seed, the step's number and the process's rank alone, so a resumed run
sees what the uninterrupted one would have seen, and no loader can be the bottleneck. Under ``torchrun`` every process
draws samples of its own, and gradients are averaged.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_dist_info
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, distributed
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset

from mocap_video.checkpoints import allow_runner_checkpoints
from mocap_video.errors import ConfigError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.checkpoints import read_checkpoint
from mocap_video.lifter.data.bank import read_bank
from mocap_video.lifter.data.synthetic import Sample, SyntheticConfig, make_samples
from mocap_video.lifter.data.tracks import read_tracks
from mocap_video.lifter.hooks import RateHook, RateSchedule, RunRecordHook, TimedCheckpointHook
from mocap_video.lifter.monitor import BEST, Figures, NoiseKinds, figures_of, held_out_samples
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.objective import ObjectiveConfig, lifting_losses
from mocap_video.lifter.observed import observed_losses
from mocap_video.lifter.optimizer import build_optimizer
from mocap_video.lifter.weights import load_weights, save_weights
from mocap_video.optional import import_torchvision, require
from mocap_video.skeletons import COCO17, SKELETONS

logger = logging.getLogger(__name__)

MAY_CHANGE = frozenset(
    {"steps", "save_every", "log_every", "tensorboard", "validation", "val_every", "val_windows", "bank", "start_from"}
)
"""What may differ when a run is resumed; the learning rate follows the new ``steps``."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. ``stage`` 1 or 2; ``start_from``: weights to begin with (stage 1's for stage 2), or None.

    ``batch``: windows a step in each process. ``bf16``: 16-bit products where the machine has units for them, a GPU or
    a CPU with AMX; others compute in 32 bits.
    ``validation``: held-out motion, of which ``val_windows`` windows measure the averaged network every ``val_every``
    steps; the best checkpoint is kept. ``tracks``: prepared 2D tracks of recordings, with no 3D, of which stage 1 sees
    ``tracks_share`` times ``batch`` windows more a step.
    """

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
    optimizer: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    save_every: int = 200
    log_every: int = 20
    validation: Path | None = None
    val_every: int = 500
    val_windows: int = 128
    tensorboard: bool = False
    bf16: bool = True
    tracks: tuple[Path, ...] = ()
    tracks_share: float = 0.5
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def record(self) -> dict[str, Any]:
        """Return what this run is as JSON values: names of files, not their places."""
        values = asdict(self) | {
            "network": self.network.record(),
            "bank": self.bank.name,
            "start_from": None if self.start_from is None else self.start_from.name,
            "validation": None if self.validation is None else self.validation.name,
            "tracks": [path.name for path in self.tracks],
        }
        del values["work_dir"]
        return json.loads(json.dumps(values))


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
        self.denoiser = _first_network(config)
        self._bank = read_bank(config.bank)
        self._body = load_body()
        self._tracks = read_tracks(config.tracks) if config.tracks else None
        self._held_out: dict[str, Sample] = {}
        if config.validation is not None:
            self._held_out = held_out_samples(
                read_bank(config.validation),
                self._body,
                self.skeleton,
                config.val_windows,
                config.frames,
                config.synthetic.cameras,
            )

    def forward(
        self, inputs: Tensor, data_samples: list[object] | None = None, mode: str = "loss"
    ) -> dict[str, Tensor]:
        """Return the losses of the training step whose number is ``inputs``; the other arguments are mmengine's."""
        if mode != "loss" or data_samples is not None:
            raise ConfigError(f"training forward: expected mode 'loss' and no data samples, got {mode!r}")
        config, device = self.train_config, next(self.denoiser.parameters()).device
        self._body = self._body.to(device)
        rank, processes = get_dist_info()
        draw = int(inputs) * processes + rank  # two processes see in one step what one process sees in two
        seed = config.seed * 1_000_003 + draw
        generator = torch.Generator(device).manual_seed(seed)
        windows = self._bank.draw(config.batch, config.frames, torch.Generator().manual_seed(seed)).to(device)
        with torch.no_grad():
            sample = make_samples(windows, self._body, self.skeleton, config.synthetic, generator)
        half = config.bf16 and _has_half_products(device)
        # on a CPU, torch's fused attention is slower backwards than the rest of a layer together
        attention = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
        with attention, torch.autocast(device.type, torch.bfloat16, enabled=half):
            losses = lifting_losses(
                self.denoiser,
                sample,
                self.skeleton,
                multi_view=config.stage == 2,
                generator=generator,
                objective=config.objective,
            )
            if self._tracks is not None:
                count = max(1, round(config.tracks_share * config.batch))
                seen = self._tracks.draw(count, config.frames, torch.Generator().manual_seed(seed)).to(device)
                losses |= observed_losses(self.denoiser, seen, self.skeleton, generator)
        return losses

    def val_step(self, data: tuple[Any, ...] | dict[str, Any] | list[Any]) -> list[dict[str, float]]:
        """Measure the network, which mmengine has exchanged for its average, on one kind of 2D."""
        assert isinstance(data, dict)
        kind = data["inputs"]
        return [figures_of(self.denoiser, self.train_config.stage, kind, self._held_out[kind], self.skeleton)]


def _has_half_products(device: torch.device) -> bool:
    """Return whether ``device`` has units for products of 16-bit numbers."""
    return device.type == "cuda" or bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16", False))


def _first_network(config: TrainConfig) -> Denoiser:
    """Return the network that training begins with. Weights of another network give all layers that fit."""
    if config.tracks and (config.stage, config.skeleton) != (1, COCO17.name):
        raise ConfigError("tracks: 2D tracks serve stage 1 of a coco17 lifter alone; leave them out")
    if config.stage == 1 and config.network.ablation.direct:
        raise ConfigError("stage 1: a plain regressor (network.ablation.direct) has none; train stage 2 from nothing")
    torch.manual_seed(config.seed)
    if config.start_from is None:
        return Denoiser(config.network)
    start = load_weights(config.start_from)
    if (start.skeleton.name, start.model.config) == (config.skeleton, config.network):
        return start.model
    model = Denoiser(config.network)
    own, given = model.state_dict(), start.model.state_dict()
    fits = {name for name in own if name in given and given[name].shape == own[name].shape}
    if 2 * len(fits) < len(own):
        raise ConfigError(
            f"start_from {config.start_from}: its network has width {start.model.config.width} and "
            f"{start.model.config.layers} layers, which gives {len(fits)} of {len(own)} tensors of this run's, width "
            f"{config.network.width} and {config.network.layers} layers. Take its sizes, or begin from nothing."
        )
    new = sorted(set(own) - fits)
    logger.info("%s: gives %d of %d tensors; new are %s", config.start_from, len(fits), len(own), ", ".join(new))
    model.load_state_dict({name: given[name] if name in fits else own[name] for name in own})
    return model


def _only(items: list[Any]) -> dict[str, Any]:
    return {"inputs": items[0]}


def join_processes() -> bool:
    """Join the other processes if ``torchrun`` started this one, over NCCL with GPUs and Gloo without; say whether."""
    if not distributed.is_torchelastic_launched():
        return False
    if not distributed.is_initialized():  # mmengine would ask for a GPU
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return True


def _wrapper(config: TrainConfig) -> dict[str, Any]:
    """Options of the wrapper that averages gradients over processes. Stage 1 leaves parts of the network unused."""
    devices = [int(os.environ["LOCAL_RANK"])] if torch.cuda.is_available() else None
    return {"type": "MMDistributedDataParallel", "device_ids": devices, "find_unused_parameters": config.stage == 1}


def _validation(config: TrainConfig) -> dict[str, Any]:
    """Options of the Runner that measure the network as it trains; each process takes some kinds of 2D."""
    if config.validation is None:
        return {}
    kinds = NoiseKinds()
    sampler = DefaultSampler(kinds, shuffle=False)
    return {
        "val_dataloader": DataLoader(kinds, batch_size=1, collate_fn=_only, sampler=sampler),
        "val_cfg": {"type": "ValLoop"},
        "val_evaluator": Evaluator(Figures()),
    }


def _log_backends(config: TrainConfig) -> list[dict[str, str]]:
    """Where figures go: a file of lines, and TensorBoard's. Raises ``MissingExtra``."""
    backends = [{"type": "LocalVisBackend"}]
    if config.tensorboard:
        require("tensorboard", "train")
        backends.append({"type": "TensorboardVisBackend"})
    return backends


def build_runner(config: TrainConfig, *, deadline: float | None = None) -> Runner:
    """Return the Runner of ``config``; it resumes from ``work_dir`` when there is a checkpoint.

    At ``deadline``, a value of ``time.monotonic()``, it saves a checkpoint and stops. Training raises ``ConfigError``
    when ``work_dir`` holds a run of another configuration.
    """
    import_torchvision()  # mmengine's log of the environment imports it
    allow_runner_checkpoints()
    together = join_processes()
    model = LifterTraining(config)
    optimizer = build_optimizer(model.denoiser, config.optimizer, config.rate, config.weight_decay)
    return Runner(
        model=model,
        work_dir=str(config.work_dir),
        experiment_name=secrets.token_hex(4),  # mmengine shares logs and log values between runs of one name
        train_dataloader=DataLoader(StepNumbers(config.steps), batch_size=1, collate_fn=_only),
        train_cfg={"type": "IterBasedTrainLoop", "max_iters": config.steps, "val_interval": config.val_every},
        optim_wrapper=OptimWrapper(optimizer, clip_grad={"max_norm": config.clip_norm}),
        **_validation(config),
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": config.log_every, "log_metric_by_epoch": False},
            "checkpoint": TimedCheckpointHook(
                deadline,
                interval=config.save_every,
                max_keep_ckpts=2,
                save_param_scheduler=False,
                save_best=None if config.validation is None else BEST[config.stage],
                rule="less",
            ),
        },
        custom_hooks=[
            EMAHook(ema_type="MomentumAnnealingEMA", momentum=0.002, gamma=50),
            RateHook(RateSchedule(config.rate, config.warmup, config.steps)),
            RunRecordHook(config.record(), MAY_CHANGE | {"bank", "start_from"}),
        ],
        randomness={"seed": config.seed},
        resume=True,
        launcher="pytorch" if together else "none",
        default_scope="mmengine",
        cfg=Config({"model_wrapper_cfg": _wrapper(config)} if together else {}),
        visualizer={"type": "Visualizer", "vis_backends": _log_backends(config)},
        log_processor={"type": "LogProcessor", "by_epoch": False},
        log_level="INFO",
    )


def export_weights(checkpoint: Path, path: Path) -> None:
    """Write the averaged network of a training ``checkpoint`` as weights, with the run's configuration in the header.

    Raises ``MissingAsset`` when it is absent, ``ArtifactError`` when it is no checkpoint of this training.
    """
    stored = read_checkpoint(checkpoint)
    record = json.loads(stored["meta"]["training"])
    # mmengine's EMAHook swaps on saving: what resumes and evaluates as `state_dict` is the average
    prefix = "denoiser."
    state = {name[len(prefix) :]: value for name, value in stored["state_dict"].items() if name.startswith(prefix)}
    model = Denoiser(NetworkConfig.of_record(record["network"]))
    model.load_state_dict(state)
    save_weights(model, SKELETONS[record["skeleton"]], path, {"training": json.dumps(record)})
