"""``mocap-video train``: prepare motion, pretrain on one view, finetune on all."""

from __future__ import annotations

from pathlib import Path

import click

from mocap_video.pipeline.cli_help import examples

_PATH = click.Path(path_type=Path)


@click.group()
def train() -> None:
    """Train the lifter: prepare motion, then pretrain (stage 1), then finetune (stage 2).

    Every stage saves itself as it goes: the same command continues an interrupted run at the very step.
    """


@train.command(epilog=examples("mocap-video train prepare motions/ -o prepared/train.safetensors"))
@click.argument("motions", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="The prepared bank to write.")
@click.option("--split", default="train", show_default=True, help="Split of the motion set's manifest.")
@click.option("--tier", "tiers", multiple=True, default=("A",), show_default=True, help="Licence tiers to take.")
def prepare(motions: Path, output: Path, split: str, tiers: tuple[str, ...]) -> None:
    """Retarget a motion set to our body, standing on its soles, and write one file for training."""
    from mocap_video.pipeline import training

    count = training.prepare(motions, split, output, tiers=tiers)
    click.echo(f"{output}: {count} clips")


def _stage(config: str, bank: Path, output: Path, start_from: Path | None) -> None:
    from mocap_video.pipeline import training

    click.echo(f"weights: {training.train(config, bank, output, start_from=start_from)}")


@train.command(epilog=examples("mocap-video train pretrain --bank prepared/train.safetensors -o runs/stage1"))
@click.option("--bank", type=_PATH, required=True, help="Prepared motion.")
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of checkpoints and weights.")
@click.option("--config", default="coco17_pretrain", show_default=True, metavar="NAME|FILE", help="How to train.")
def pretrain(config: str, bank: Path, output: Path) -> None:
    """Stage 1: learn single views of motion from noise, cameras and ground."""
    _stage(config, bank, output, None)


@train.command(
    epilog=examples(
        "mocap-video train finetune --bank prepared/train.safetensors "
        "--start-from runs/stage1/weights.safetensors -o runs/stage2"
    )
)
@click.option("--bank", type=_PATH, required=True, help="Prepared motion.")
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of checkpoints and weights.")
@click.option("--start-from", type=_PATH, help="Stage 1's weights; without them stage 2 starts from nothing.")
@click.option("--config", default="coco17_finetune", show_default=True, metavar="NAME|FILE", help="How to train.")
def finetune(config: str, bank: Path, output: Path, start_from: Path | None) -> None:
    """Stage 2: learn all views together, given the observed one."""
    _stage(config, bank, output, start_from)
