"""Training from the command line: prepare motion, run a stage, export its weights. Controllers alone."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from mocap_video.errors import ConfigError
from mocap_video.pipeline.config import parse_section, read_config_file

logger = logging.getLogger(__name__)


def training_names() -> tuple[str, ...]:
    """Return the names of the training configurations that ship with the package."""
    names = (entry.name for entry in resources.files("mocap_video.configs.training").iterdir())
    return tuple(sorted(name[:-3] for name in names if name.endswith(".py") and not name.startswith("_")))


def prepare(
    folder: Path,
    output: Path,
    *,
    form: str | None = None,
    split: str | None = None,
    tiers: tuple[str, ...] = ("A",),
    trust: bool = False,
) -> int:
    """Make a folder of motion motion of our body and write the bank; return the number of clips."""
    from mocap_video.lifter.body import load_body
    from mocap_video.lifter.data.bank import write_bank
    from mocap_video.lifter.data.readers import read_clips
    from mocap_video.lifter.data.retarget import to_body
    from mocap_video.lifter.data.sources import Choice

    body = load_body()
    clips = read_clips(folder, Choice(split, tiers, trust), form)
    count = write_bank((to_body(clip, body) for clip in clips), output)
    if not count:
        raise ConfigError(f"{folder}: no clip of the chosen split and tiers; nothing was written")
    return count


def train(config: str, bank: Path, work_dir: Path, *, start_from: Path | None = None) -> Path:
    """Run the stage that ``config`` (a shipped name or a file) describes, from its last checkpoint on.

    mmengine takes a GPU when there is one. Returns the weights it wrote: ``work_dir/weights.safetensors``.
    """
    from mmengine.dist import is_main_process

    from mocap_video.lifter.training import TrainConfig, build_runner, export_weights

    path = Path(config)
    if config in training_names():
        path = Path(str(resources.files("mocap_video.configs.training") / f"{config}.py"))
    elif not path.is_file():
        raise ConfigError(f"{config}: no such training configuration; known: {', '.join(training_names())}, or a file")
    values = {**read_config_file(path), "bank": bank, "work_dir": work_dir, "start_from": start_from}
    chosen = parse_section(TrainConfig, values, str(path))
    if chosen.stage not in (1, 2):
        raise ConfigError(f"{path}: stage: expected 1 or 2, got {chosen.stage}")
    build_runner(chosen).train()
    weights = work_dir / "weights.safetensors"
    if is_main_process():
        export_weights(work_dir / f"iter_{chosen.steps}.pth", weights)
    return weights


def calibrate(weights: Path, bank: Path, output: Path) -> None:
    """Train the spread head of ``weights`` on motion of ``bank`` and write both to ``output``.

    Raises ``MissingAsset`` or ``ArtifactError`` when one of the two files is absent or not what it should be.
    """
    import torch

    from mocap_video.lifter.body import load_body
    from mocap_video.lifter.data.bank import read_bank
    from mocap_video.lifter.spread import SpreadTraining, train_spread
    from mocap_video.lifter.weights import load_weights, save_weights

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded, config = load_weights(weights, device), SpreadTraining()
    head = train_spread(loaded.model, loaded.skeleton, read_bank(bank), load_body().to(device), config)
    save_weights(loaded.model, loaded.skeleton, output, loaded.notes | {"spread": json.dumps(asdict(config))}, head)
