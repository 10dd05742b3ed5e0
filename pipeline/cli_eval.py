"""``mocap-video eval``: how far off the lifter is on motion whose truth is known."""

from __future__ import annotations

from pathlib import Path

import click

from mocap_video.pipeline.cli_help import examples

_PATH = click.Path(path_type=Path)


@click.command(
    name="eval",
    epilog=examples(
        "mocap-video eval motions/ --split val --limit 20",
        "mocap-video eval motions/ --split test --fit --json test.json",
    ),
)
@click.argument("motions", type=_PATH)
@click.option("--split", type=click.Choice(["val", "test"]), default="val", show_default=True, help="Held-out motion.")
@click.option(
    "--cameras",
    type=click.Choice(["all", "site", "wide"]),
    default="all",
    show_default=True,
    help="Random cameras as sites have them, or over the whole range of training.",
)
@click.option(
    "--2d",
    "noise",
    type=click.Choice(["all", "exact", "detector-like"]),
    default="all",
    show_default=True,
    help="Keypoints without error, or with the errors that detectors make.",
)
@click.option("--weights", type=_PATH, help="Lifter weights.  [default: those that ship]")
@click.option("--fit", is_flag=True, help="Also fit a body to what was lifted, and measure it.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many 4 s clips of each kind, evenly spread.")
@click.option("--config", default="embedded", show_default=True, metavar="NAME|FILE", help="Settings of lift and fit.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Also write every metric as JSON.")
def evaluate(
    motions: Path,
    split: str,
    cameras: str,
    noise: str,
    weights: Path | None,
    fit: bool,
    limit: int | None,
    config: str,
    device: str,
    json_file: Path | None,
) -> None:
    """Measure the lifter on held-out motion before random cameras, absolute errors first.

    MOTIONS is the folder of the motion set. What each column means: docs/evaluation.md.
    """
    from dataclasses import replace

    from mocap_video.artifacts import atomic_write
    from mocap_video.lifter.validation import NOISES
    from mocap_video.pipeline import evaluate as evaluating
    from mocap_video.pipeline.config import load_config
    from mocap_video.pipeline.lifting import choose_device
    from mocap_video.pipeline.plain_json import strict_json
    from mocap_video.pipeline.progress import TerminalProgress

    chosen, device = load_config(config), choose_device(device)
    plan = evaluating.Plan(
        motions=motions,
        split=split,
        cameras=tuple(evaluating.CAMERAS) if cameras == "all" else (cameras,),
        noises=tuple(NOISES) if noise == "all" else (noise,),
        weights=weights,
        fit=fit,
        limit=limit,
        device=device,
    )
    with TerminalProgress().stage("clips", None) as advance:
        rows = list(evaluating.evaluate_split(plan, chosen.lift, replace(chosen.fit, device=device), advance))
    click.echo(evaluating.table(rows))
    if json_file is not None:
        with atomic_write(json_file) as partial:
            partial.write_text(strict_json(evaluating.as_json(rows)), encoding="utf-8")
