"""``mocap-video train``: prepare motion, pretrain on one view, finetune on all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mocap_video.pipeline.cli_help import examples

Command = TypeVar("Command", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_tensorboard = click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard (extra `train`).")


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


@train.command(epilog=examples("mocap-video train tracks out/deck/ --calib deck.yaml -o prepared/deck_2d.safetensors"))
@click.argument("results", type=_PATH, nargs=-1, required=True)
@click.option("--calib", type=_PATH, required=True, help="The camera that recorded them all.")
@click.option("-o", "--output", type=_PATH, required=True, help="The prepared tracks to write.")
def tracks(results: tuple[Path, ...], calib: Path, output: Path) -> None:
    """Prepare 2D tracks of your own recordings for stage 1: no 3D is taken from them.

    RESULTS are folders that `run`, `lift` or `batch` wrote, or folders of such; all of one camera.
    """
    from mocap_video.pipeline import training

    click.echo(f"{output}: {training.prepare_tracks(results, calib, output)} tracks")


def stage_options(config: str) -> Callable[[Command], Command]:
    """Add the options that both stages share; ``config`` is the default of ``--config``."""
    options = [
        click.option("--bank", type=_PATH, required=True, help="Prepared motion."),
        click.option("-o", "--output", type=_PATH, required=True, help="Folder of checkpoints and weights."),
        click.option("--config", default=config, show_default=True, metavar="NAME|FILE", help="How to train."),
        click.option("--validation", type=_PATH, help="Prepared held-out motion to measure as training goes."),
        _tensorboard,
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _stage(config: str, bank: Path, output: Path, **options: Any) -> None:
    from mocap_video.pipeline import training

    click.echo(f"weights: {training.train(training.configured(config, bank, output, **options))}")


@train.command(
    epilog=examples(
        "mocap-video train pretrain --bank prepared/train.safetensors -o runs/stage1",
        "mocap-video train pretrain --bank prepared/train.safetensors --tracks prepared/deck_2d.safetensors "
        "-o runs/deck1",
    )
)
@stage_options("coco17_pretrain")
@click.option(
    "--tracks", type=_PATH, multiple=True, help="Prepared 2D tracks of your own recordings, to learn from too."
)
def pretrain(
    config: str,
    bank: Path,
    output: Path,
    validation: Path | None,
    tensorboard: bool,
    tracks: tuple[Path, ...],
) -> None:
    """Stage 1: learn single views of motion from noise, cameras and ground."""
    _stage(config, bank, output, validation=validation, tensorboard=tensorboard, tracks=tracks)


@train.command(
    epilog=examples(
        "mocap-video train finetune --bank train.safetensors --start-from stage1/weights.safetensors -o stage2",
    )
)
@stage_options("coco17_finetune")
@click.option("--start-from", type=_PATH, help="Stage 1's weights; without them stage 2 starts from nothing.")
def finetune(
    config: str, bank: Path, output: Path, validation: Path | None, tensorboard: bool, start_from: Path | None
) -> None:
    """Stage 2: learn all views together, given the observed one."""
    _stage(config, bank, output, validation=validation, tensorboard=tensorboard, start_from=start_from)


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


@train.command(epilog=examples("mocap-video train export runs/stage2 --best -o weights.safetensors"))
@click.argument("run", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="The weights to write.")
@click.option("--best", is_flag=True, help="The checkpoint that measured best, instead of the last one.")
def export(run: Path, output: Path, best: bool) -> None:
    """Write a run's averaged network as weights, finished or not."""
    from mocap_video.pipeline import training

    training.export(run, output, best=best)
    click.echo(f"weights: {output}")


@train.command(
    epilog=examples(
        "mocap-video train pack -o job/ --bank prepared/train.safetensors --validation prepared/val.safetensors",
    )
)
@click.option("-o", "--output", type=_PATH, required=True, help="The empty folder that becomes the job.")
@click.option("--bank", type=_PATH, required=True, help="Prepared motion.")
@click.option("--validation", type=_PATH, help="Prepared held-out motion to measure as training goes.")
@click.option("--pretrain", default="coco17_pretrain", show_default=True, metavar="NAME|FILE", help="Stage 1.")
@click.option("--finetune", default="coco17_finetune", show_default=True, metavar="NAME|FILE", help="Stage 2.")
@click.option("--tracks", type=_PATH, multiple=True, help="Prepared 2D tracks of recordings, for stage 1.")
def pack(
    output: Path, bank: Path, validation: Path | None, pretrain: str, finetune: str, tracks: tuple[Path, ...]
) -> None:
    """Put training into one folder, for a machine with a GPU and without a network.

    Where there is a network, its get_wheels.sh fetches what is to be installed; on the other machine, run.sh trains for
    some minutes: again and again until it says finished.
    """
    from mocap_video.pipeline import job

    job.pack(output, bank, validation=validation, pretrain=pretrain, finetune=finetune, tracks=tracks)
    click.echo(f"{output}: fetch wheels with get_wheels.sh, then run.sh on the other machine")


@train.command(name="slice", epilog=examples("mocap-video train slice job/ --minutes 9 --shards shards/"))
@click.argument("job", type=_PATH)
@click.option("--minutes", type=click.FloatRange(min=0), default=9.0, show_default=True, help="When to stop.")
@click.option("--shards", type=_PATH, help="Where a slice begins and what it leaves.  [default: JOB/shards]")
def one_slice(job: Path, minutes: float, shards: Path | None) -> None:
    """Train a packed job for some minutes, from shards to shards of at most 16 MiB, eight in a folder."""
    from mocap_video.pipeline.job import run_slice

    finished = run_slice(job, 60 * minutes, shards)
    click.echo("finished: runs/stage2/weights.safetensors" if finished else "to be continued: run it again")


@train.command(name="all", epilog=examples("mocap-video train all motions/ -o runs/"))
@click.argument("motions", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of prepared motion, runs and weights.")
@click.option("--pretrain", default="coco17_pretrain", show_default=True, metavar="NAME|FILE", help="Stage 1.")
@click.option("--finetune", default="coco17_finetune", show_default=True, metavar="NAME|FILE", help="Stage 2.")
@_tensorboard
def everything(motions: Path, output: Path, pretrain: str, finetune: str, tensorboard: bool) -> None:
    """Prepare a motion set, run both stages, and write weights: one command from nothing.

    The motion set's split val is measured as training goes. Run it again to go on where it was stopped.
    """
    from mocap_video.pipeline import training

    weights = training.train_all(motions, output, pretrain=pretrain, finetune=finetune, tensorboard=tensorboard)
    click.echo(f"weights: {weights}")
