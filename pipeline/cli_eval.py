"""``mocap-video eval``: how far off the lifter is on motion whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mocap_video.pipeline.cli_help import examples

_PATH = click.Path(path_type=Path)


def _compare(
    pred: Path | None,
    json_file: Path | None,
    weights: Path | None,
    config: str,
    device: str,
    *,
    fit: bool,
    truth: Path,
    form: str | None,
    truth_format: str | None,
    calib: Path | None,
    smpl_model: Path | None,
    person: str | None,
    fps: float | None,
    truth_fps: float | None,
    offset_s: float,
    scale: bool,
    trust: bool,
) -> None:
    from mocap_video.artifacts import atomic_write
    from mocap_video.lifter.comparison import Terms
    from mocap_video.lifter.others.base import ReadOptions
    from mocap_video.lifter.others.readers import READERS
    from mocap_video.pipeline import compare as comparing
    from mocap_video.pipeline.config import load_config
    from mocap_video.pipeline.lifting import choose_device
    from mocap_video.pipeline.plain_json import strict_json

    for name in (form, truth_format):
        if name is not None and name not in READERS:
            raise click.UsageError(f"no such layout {name!r}; known: {', '.join(READERS)}")
    plan = comparing.ComparePlan(
        prediction=pred,
        truth=truth,
        form=form,
        truth_form=truth_format,
        calib=calib,
        truth_fps=truth_fps,
        options=ReadOptions(trust=trust, body=smpl_model, person=person),
        terms=Terms(fps=fps, offset_s=offset_s, scale=scale),
    )
    if pred is None:
        methods = comparing.lift_truths(plan, load_config(config), weights, choose_device(device), fit=fit)
    else:
        methods = {pred.stem: comparing.compare_all(plan)}
    for method, scored in methods.items():
        click.echo(f"{method}\n{comparing.comparison_table(scored)}")
    if json_file is not None:
        values = {method: comparing.comparison_json(scored) for method, scored in methods.items()}
        with atomic_write(json_file) as partial:
            partial.write_text(strict_json(values), encoding="utf-8")


@click.command(
    name="eval",
    epilog=examples(
        "mocap-video eval motions/ --split val --limit 20",
        "mocap-video eval motions/ --split test --fit --json test.json",
        "mocap-video eval motions/ --fit --baselines --shapes random --height --limit 20",
        "mocap-video eval --pred out/clip/people/001.npz --truth truth.npz",
        "mocap-video eval --truth gt.npz --calib cam.yaml --fit",
        "mocap-video eval --pred hmr4d_results.pt --truth gt.npz --calib cam.yaml "
        "--smpl-model SMPLX_NEUTRAL.npz --trust",
    ),
)
@click.argument("motions", type=_PATH, required=False)
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
@click.option("--against", type=_PATH, multiple=True, help="Other weights to measure beside, such as a regressor's.")
@click.option("--baselines", is_flag=True, help="Also fit a body to the 2D from a mean pose, without a lifter.")
@click.option(
    "--shapes", type=click.Choice(["mean", "random"]), default="mean", show_default=True, help="Bodies of the clips."
)
@click.option("--height", is_flag=True, help="Also fit with each clip's true stature (with --shapes random).")
@click.option("--fit", is_flag=True, help="Also fit a body to what was lifted, and measure it.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many 4 s clips of each kind, evenly spread.")
@click.option("--config", default="embedded", show_default=True, metavar="NAME|FILE", help="Settings of lift and fit.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--pred", type=_PATH, help="Score this result instead: a file, or a folder of one a sequence.")
@click.option("--truth", type=_PATH, help="A truth, or a folder of truths of the names in --pred.")
@click.option("--format", "form", metavar="NAME", help="Layout of --pred.  [default: what it looks like]")
@click.option("--truth-format", metavar="NAME", help="Layout of --truth.  [default: what it looks like]")
@click.option("--calib", type=_PATH, help="Camera of a result told in the camera's axes, or a folder of NAME.yaml.")
@click.option("--smpl-model", type=_PATH, help="SMPL or SMPL-X file, for results that hold its parameters.")
@click.option("--person", metavar="NAME", help="Which track of a result.  [default: the longest]")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Rate of a result that does not say.")
@click.option("--truth-fps", type=click.FloatRange(min=0, min_open=True), help="Rate of a truth that does not say.")
@click.option("--offset", "offset_s", type=float, default=0.0, help="Seconds by which the result's clock is ahead.")
@click.option("--scale", is_flag=True, help="Bring results without metres to the truth's limb lengths.")
@click.option("--trust", is_flag=True, help="Open results that are published as Python pickles.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Also write every metric as JSON.")
def evaluate(
    motions: Path | None,
    pred: Path | None,
    truth: Path | None,
    weights: Path | None,
    config: str,
    fit: bool,
    json_file: Path | None,
    split: str,
    cameras: str,
    noise: str,
    against: tuple[Path, ...],
    baselines: bool,
    shapes: str,
    height: bool,
    limit: int | None,
    device: str,
    **comparing: Any,
) -> None:
    """Measure the lifter on held-out motion before random cameras, absolute errors first.

    MOTIONS is the folder of the motion set. With --pred and --truth it scores a result instead, ours or another
    method's; with --truth and --calib it lifts what that camera would see of the truth. Layouts, protocols and what
    each column means: docs/evaluation.md.
    """
    if (motions is None) == (truth is None) or (pred is not None and truth is None):
        raise click.UsageError("give MOTIONS, or --truth with --pred or with --calib")
    if truth is not None:
        _compare(pred, json_file, weights, config, device, fit=fit, truth=truth, **comparing)
        return
    plan = {"motions": motions, "split": split, "weights": weights, "against": against, "fit": fit, "limit": limit}
    plan |= {"baselines": baselines, "shapes": shapes, "height": height}
    _measure(json_file, config, device, cameras, noise, **plan)


def _measure(json_file: Path | None, config: str, device: str, cameras: str, noise: str, **plan: Any) -> None:
    from dataclasses import replace

    from mocap_video.artifacts import atomic_write
    from mocap_video.lifter.validation import NOISES
    from mocap_video.pipeline import evaluate as evaluating
    from mocap_video.pipeline.config import load_config
    from mocap_video.pipeline.lifting import choose_device
    from mocap_video.pipeline.plain_json import strict_json
    from mocap_video.pipeline.progress import TerminalProgress

    chosen, device = load_config(config), choose_device(device)
    views = tuple(evaluating.CAMERAS) if cameras == "all" else (cameras,)
    noises = tuple(NOISES) if noise == "all" else (noise,)
    whole = evaluating.Plan(cameras=views, noises=noises, device=device, **plan)
    with TerminalProgress().stage("clips", None) as advance:
        rows = list(evaluating.evaluate_split(whole, chosen.lift, replace(chosen.fit, device=device), advance))
    click.echo(evaluating.table(rows))
    if json_file is not None:
        with atomic_write(json_file) as partial:
            partial.write_text(strict_json(evaluating.as_json(rows)), encoding="utf-8")
