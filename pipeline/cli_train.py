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


@train.command(
    epilog=examples(
        "mocap-video train prepare motions/ -o prepared/train.safetensors",
        "mocap-video train prepare AMASS/ --format amass -o prepared/amass.safetensors",
    )
)
@click.argument("folder", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="The prepared bank to write.")
@click.option("--format", "form", metavar="NAME", help="Such as amass or bvh.  [default: what it looks like]")
@click.option("--split", help="Split of a set that has splits.  [default: train]")
@click.option("--tier", "tiers", multiple=True, default=("A",), show_default=True, help="Licence tiers of motions.")
@click.option("--trust", is_flag=True, help="Open sets that are published as Python pickles.")
def prepare(
    folder: Path, output: Path, form: str | None, split: str | None, tiers: tuple[str, ...], trust: bool
) -> None:
    """Make recorded motion motion of our body, standing on its soles, and write one file for training.

    FOLDER holds the open motion set, BVH files, AMASS, BEDLAM, Human3.6M, RICH or AIST++: docs/data.md.
    """
    from mocap_video.pipeline import training

    count = training.prepare(folder, output, form=form, split=split, tiers=tiers, trust=trust)
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


@train.command(
    epilog=examples(
        "mocap-video train calibrate --bank prepared/train.safetensors "
        "--weights runs/stage2/weights.safetensors -o lifter.safetensors"
    )
)
@click.option("--bank", type=_PATH, required=True, help="Prepared motion.")
@click.option("--weights", type=_PATH, required=True, help="Trained weights; their network stays as it is.")
@click.option("-o", "--output", type=_PATH, required=True, help="The weights to write, able to say how sure they are.")
def calibrate(bank: Path, weights: Path, output: Path) -> None:
    """Learn the error to expect of every joint, for spread_m (5 minutes on 2 cores)."""
    from mocap_video.pipeline import training

    training.calibrate(weights, bank, output)
    click.echo(f"weights: {output}")
