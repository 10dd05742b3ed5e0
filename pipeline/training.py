"""Training from the command line: prepare motion, run a stage, export its weights. Controllers alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mocap_video import __version__
from mocap_video.artifacts import digest_file, digest_of
from mocap_video.errors import ConfigError, MissingAsset
from mocap_video.pipeline.config import parse_section, read_config_file

if TYPE_CHECKING:
    from mocap_video.lifter.training import TrainConfig


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


def prepare_tracks(folders: Sequence[Path], calib: Path, output: Path) -> int:
    """Write the 2D tracks of results folders, all of the camera ``calib``; return the number of tracks."""
    from mocap_video.calib.files import read_calibration
    from mocap_video.lifter.data.tracks import tracks_of, write_tracks

    calibration = read_calibration(calib)
    count = write_tracks((track for folder in folders for track in tracks_of(folder, calibration)), output)
    if not count:
        raise ConfigError(f"{folders[0]}: nobody was seen for two frames; nothing was written")
    return count


def training_file(config: str) -> Path:
    """Return the file of a training configuration: a shipped name or a path. Raises ``ConfigError`` for neither."""
    if config in training_names():
        return Path(str(resources.files("mocap_video.configs.training") / f"{config}.py"))
    if not Path(config).is_file():
        raise ConfigError(f"{config}: no such training configuration; known: {', '.join(training_names())}, or a file")
    return Path(config)


def configured(
    config: str,
    bank: Path,
    work_dir: Path,
    *,
    start_from: Path | None = None,
    validation: Path | None = None,
    tracks: tuple[Path, ...] = (),
    tensorboard: bool = False,
) -> TrainConfig:
    """Return the training that ``config`` (a shipped name or a file) describes, on these files."""
    from mocap_video.lifter.training import TrainConfig

    path = training_file(config)
    files: dict[str, object] = {"bank": bank, "work_dir": work_dir, "start_from": start_from, "validation": validation}
    files |= {"tracks": tracks}
    chosen = parse_section(TrainConfig, {**read_config_file(path), **files}, str(path))
    if chosen.stage not in (1, 2):
        raise ConfigError(f"{path}: stage: expected 1 or 2, got {chosen.stage}")
    return replace(chosen, tensorboard=tensorboard or chosen.tensorboard)


def train(config: TrainConfig) -> Path:
    """Run a stage from its last checkpoint on; under ``torchrun`` in all its processes.

    mmengine takes a GPU when there is one. Returns the weights it wrote: ``work_dir/weights.safetensors``.
    """
    from mmengine.dist import barrier, is_main_process

    from mocap_video.lifter.training import build_runner

    build_runner(config).train()
    weights = config.work_dir / "weights.safetensors"
    if is_main_process():
        export(config.work_dir, weights)
    barrier()
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


def export(run: Path, weights: Path, *, best: bool = False) -> None:
    """Write the averaged network of a training run's last checkpoint, or of its best one, as weights."""
    from mocap_video.lifter.training import export_weights

    found = sorted(run.glob("best_*.pth")) if best else []
    if best and not found:
        raise MissingAsset(f"{run}: no best checkpoint there; a run keeps one when it is given --validation")
    if not best:
        from mmengine.runner import find_latest_checkpoint

        latest = find_latest_checkpoint(str(run)) if run.is_dir() else None
        if latest is None:
            raise MissingAsset(f"{run}: no training run there; start one with: mocap-video train finetune -o {run}")
        found = [Path(latest)]
    export_weights(found[-1], weights)


def train_all(motions: Path, output: Path, *, pretrain: str, finetune: str, tensorboard: bool = False) -> Path:
    """Prepare, pretrain, finetune and export: from a motion set to ``output/weights.safetensors``.

    What is finished is kept: the same call goes on where the last one was stopped. Returns the weights.
    """
    from mmengine.dist import barrier, is_main_process

    from mocap_video.lifter.training import join_processes

    join_processes()
    banks = {split: output / "prepared" / f"{split}.safetensors" for split in ("train", "val")}
    if is_main_process():
        for split, bank in banks.items():
            _prepare_once(motions, split, bank)
    barrier()
    held_out = banks["val"]
    begin = configured(pretrain, banks["train"], output / "stage1", validation=held_out, tensorboard=tensorboard)
    first = train(begin)
    go_on = configured(finetune, banks["train"], output / "stage2", validation=held_out, tensorboard=tensorboard)
    second = train(replace(go_on, start_from=first))
    weights = output / second.name
    if is_main_process():
        shutil.copyfile(second, weights)
    return weights


def _prepare_once(motions: Path, split: str, bank: Path) -> None:
    """Prepare ``split`` unless ``bank`` was made from this very motion set by this version."""
    manifest = motions / "manifest.csv"
    key = digest_of(digest_file(manifest), split, __version__) if manifest.is_file() else ""
    mark = bank.with_suffix(".made-from")
    if bank.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == key:
        return
    prepare(motions, bank, split=split)
    mark.write_text(key, encoding="utf-8")
