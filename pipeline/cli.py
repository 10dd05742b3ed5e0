"""The command line: options in, controllers called, exit codes out. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mocap_video import __version__
from mocap_video.errors import ConfigError, MissingAsset, MocapVideoError
from mocap_video.pipeline.cli_batch import batch
from mocap_video.pipeline.cli_calib import calib
from mocap_video.pipeline.cli_eval import evaluate
from mocap_video.pipeline.cli_help import examples
from mocap_video.pipeline.cli_review import review
from mocap_video.pipeline.cli_train import train
from mocap_video.pipeline.cli_weights import weights

if TYPE_CHECKING:
    from mocap_video.pipeline.lifting import Settings
    from mocap_video.pipeline.progress import Progress

EXIT_INTERRUPTED = 130
"""What a shell reports for a program stopped by Ctrl-C."""

Command = TypeVar("Command", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
FORMAT_NAMES = "bvh,glb,csv,trc,c3d,npz,usd"


class Shell(click.Group):
    """Turns errors into one line and an exit code; a traceback is for ``-v`` and for faults of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except MocapVideoError as error:
            self._explain(error)
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped. Finished stages are kept: the same command goes on from there.", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: a fault of ours still gets a clean line
            self._explain(error)
            click.echo(
                f"error: unexpected {type(error).__name__}: {error}. This is a fault of mocap-video; finished stages "
                "are kept. Run again with -v to see where, and please report it.",
                err=True,
            )
            ctx.exit(1)

    @staticmethod
    def _explain(error: Exception) -> None:
        if logging.getLogger("mocap_video").isEnabledFor(logging.INFO):
            click.echo("".join(traceback.format_exception(error)), err=True)


def _set_level(_ctx: click.Context, _option: click.Parameter, count: int) -> None:
    if count:
        logging.getLogger("mocap_video").setLevel(logging.INFO if count == 1 else logging.DEBUG)


verbosity = click.option(
    "-v", "--verbose", count=True, expose_value=False, callback=_set_level,
    help="Say what is done and where an error comes from; -vv says everything.",
)  # fmt: skip


@click.group(
    cls=Shell,
    epilog=examples("mocap-video run clip.mp4 --calib cam.yaml"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="mocap-video")
@verbosity
def main() -> None:
    """Metric 3D motion of everyone in a fixed-camera video, in the site's own coordinates.

    Exit codes: 0 fine, 1 a fault of ours, 2 bad option or config, 3 the input cannot be used, 4 something is not
    installed or cannot be written, 5 some clips of a batch failed, 130 stopped by Ctrl-C.
    """
    # Threads that spin while they wait for each other cost fifty times the work on a machine that does something else.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)


def _people(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...] | None:
    """Parse ``all`` or ``1,3``."""
    if value == "all":
        return None
    try:
        numbers = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        numbers = ()
    if not numbers or numbers[0] < 1:
        raise click.BadParameter(f"expected 'all' or numbers such as 1,3, got {value!r}")
    return numbers


def _moment(_ctx: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """Parse a date with its time of day, ISO 8601."""
    if value is None:
        return None
    try:
        if len(value) <= len("2026-03-01"):
            raise ValueError
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", value))  # Python 3.10 knows no Z
    except ValueError as error:
        raise click.BadParameter(
            f"expected a date and time in ISO 8601, such as 2026-03-01T22:00:00+01:00, got {value!r}"
        ) from error


def _formats(_ctx: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Parse ``bvh,glb,...`` against the formats there are and the packages that they need."""
    if not value:
        return ()
    from mocap_video.pipeline.export import check_formats

    names = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    check_formats(names)
    return names


def _keypoint_format(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a name of ``lift --format``."""
    from mocap_video.detectors.files.formats import FORMATS

    return value if value is None else _one_of(FORMATS, value)


def _layout(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a name of ``lift --skeleton``."""
    from mocap_video.detectors.files.formats import LAYOUT_NAMES

    return value if value is None else _one_of(LAYOUT_NAMES, value)


def _one_of(names: Iterable[str], value: str) -> str:
    if value not in names:
        raise click.BadParameter(f"expected one of {', '.join(names)}, got {value!r}")
    return value


def lifting_options(command: Command) -> Command:
    """Add the options that ``run``, ``lift`` and ``demo`` share."""
    options = [
        click.option("--config", default="embedded", show_default=True, metavar="NAME|FILE",
                     help="embedded, vitpose, vitpose-hf, auto (the best that is installed), or a file of yours."),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                     help="Where the networks and the fit run."),
        click.option("--samples", type=click.IntRange(min=1), help="Samples of the lifter: their mean is taken."),
        click.option("--seed", type=click.IntRange(min=0), help="Seed of the samples."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout."),
    ]  # fmt: skip
    return _with_options(command, options)


def body_options(command: Command) -> Command:
    """Add the options about the person's body."""
    height = click.option(
        "--height", type=click.FloatRange(0.4, 2.6), metavar="METRES", help="The person's known height."
    )
    return _with_options(command, [height, smpl_options])


def smpl_options(command: Command) -> Command:
    """Add the options about a body of the user's own."""
    options = [
        click.option("--smpl-model", type=PATH, help="Your own SMPL file instead of the body that ships."),
        click.option("--trust", is_flag=True, help="Allow that file to hold Python pickles, which can run code."),
    ]
    return _with_options(command, options)


def export_option(command: Command) -> Command:
    """Add ``--export`` of the commands that make results."""
    option = click.option(
        "--export", "formats", callback=_formats, metavar=FORMAT_NAMES, help="Also write these formats."
    )
    return option(command)


def _with_options(command: Command, options: list[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


@main.command(
    epilog=examples(
        "mocap-video run clip.mp4 --calib cam.yaml -o out/clip",
        "mocap-video run clip.mp4 --calib cam.yaml --people 1 --height 1.80 --start 2 --end 12",
        "mocap-video run night.mp4 --calib cam.yaml --motion-gate --start-time 2026-03-01T22:00:00+01:00",
        "mocap-video run clip.mp4 --calib cam.yaml --export bvh,glb --blur-faces",
    )
)
@verbosity
@click.argument("clip", type=PATH)
@click.option("--calib", type=PATH, required=True, help="The camera's cam.yaml.")
@click.option("-o", "--output", type=PATH, help="Results folder.  [default: out/<name of the clip>]")
@click.option("--people", default="all", show_default=True, callback=_people, help="All, or numbers such as 1,3.")
@click.option("--start", type=click.FloatRange(min=0), metavar="S", help="Seconds into the clip to begin at.")
@click.option("--end", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds to end before.")
@click.option(
    "--start-time",
    "began",
    callback=_moment,
    metavar="ISO8601",
    help="Wall clock at the video's first frame; people.csv then has the clock of every row.",
)
@click.option("--motion-gate", is_flag=True, help="Skip stretches in which nothing moves, and say which.")
@click.option("--blur-faces", is_flag=True, help="Make every face in the videos unrecognisable.")
@click.option("--no-video", is_flag=True, help="Keep motion only: write no videos, and remove earlier ones.")
@export_option
@body_options
@lifting_options
def run(
    clip: Path,
    calib: Path,
    output: Path | None,
    people: tuple[int, ...] | None,
    start: float | None,
    end: float | None,
    began: datetime | None,
    motion_gate: bool,
    formats: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Turn a video and its camera's calibration into motion, meshes over the video and a top view.

    Run again with other options and only the stages they touch are computed anew. A long recording is worked on in
    pieces; killed at any point, the same command goes on from the last finished one.
    """
    from dataclasses import replace

    from mocap_video.pipeline.run import Clip, run_clip

    output = output or Path("out") / clip.stem
    settings = _settings(**options)
    if motion_gate:
        config = replace(settings.config, gate=replace(settings.config.gate, on=True))
        settings = replace(settings, config=config)
    run_clip(Clip(clip, start, end, began), calib, output, settings, _progress(), only=people, formats=formats)
    _finish(output, as_json)


@main.command(
    epilog=examples(
        "mocap-video lift person.npz --calib cam.yaml -o out/person",
        "mocap-video lift openpose_json/ --calib cam.yaml --fps 59.94",
        "mocap-video lift annotations.json --calib cam.yaml --fps 25 --people 1",
    )
)
@verbosity
@click.argument("keypoints", type=PATH)
@click.option("--calib", type=PATH, required=True, help="The camera's cam.yaml.")
@click.option("-o", "--output", type=PATH, help="Results folder.  [default: out/<name of the file>]")
@click.option(
    "--format", "kind", callback=_keypoint_format, metavar="NAME",
    help="npz, results, openpose, mmpose, coco, coco-results or alphapose.  [default: what it looks like]",
)  # fmt: skip
@click.option("--skeleton", "layout", callback=_layout, metavar="NAME", help="Joint set, where its length misleads.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Frames a second, where it has no times.")
@click.option("--people", "only", default="all", show_default=True, callback=_people, help="All, or such as 1,3.")
@export_option
@body_options
@lifting_options
def lift(
    keypoints: Path,
    calib: Path,
    output: Path | None,
    kind: str | None,
    layout: str | None,
    fps: float | None,
    only: tuple[int, ...] | None,
    formats: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Turn 2D keypoints from anywhere into motion; the same results as `run`, videos aside.

    KEYPOINTS is an npz (keypoints2d, time_s), a results folder of ours, a folder of OpenPose json (Pose2Sim, Sports2D),
    or a json of COCO annotations, COCO results, MMPose or AlphaPose; in pixels of the image that cam.yaml describes.
    """
    from mocap_video.pipeline.lift2d import KeypointSource, lift_file

    output = output or Path("out") / keypoints.stem
    source = KeypointSource(keypoints, kind, layout, fps)
    lift_file(source, calib, output, _settings(**options), _progress(), only=only, formats=formats)
    _finish(output, as_json)


@main.command(epilog=examples("mocap-video demo", "mocap-video demo -o /tmp/demo --device cpu"))
@verbosity
@click.option("-o", "--output", type=PATH, default=Path("demo"), show_default=True, help="Where to write.")
@lifting_options
def demo(output: Path, as_json: bool, **options: Any) -> None:
    """Render a known person in a known site, run the whole pipeline on it, and print the error in mm."""
    from mocap_video.pipeline.demo import run_demo

    outcome = run_demo(output, _settings(**options), _progress())
    if as_json:
        click.echo(json.dumps(outcome.as_json(), indent=1))
        return
    click.echo(outcome.as_text())


@main.command(epilog=examples("mocap-video doctor"))
@verbosity
@click.option("-o", "--output", type=PATH, default=Path("out"), show_default=True, help="Folder to test writing to.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(output: Path, as_json: bool) -> None:
    """Say what works on this machine and how to mend what does not."""
    from dataclasses import asdict

    from mocap_video.pipeline.doctor import diagnose

    checks = diagnose(output)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL' if check.needed else 'none'}  {check.name:<24}{check.detail}")
            if check.fix:
                click.echo(f"{'':<30}to mend it: {check.fix}")
    if not all(check.ok for check in checks if check.needed):
        raise click.exceptions.Exit(MissingAsset.exit_code)


@main.command(
    epilog=examples(
        "mocap-video export out/clip --to bvh,glb",
        "mocap-video export out/clip --to trc,c3d",
        "mocap-video export out/clip --to glb --smpl-model SMPL_NEUTRAL.npz",
    )
)
@verbosity
@click.argument("results", type=PATH)
@click.option("--to", "formats", required=True, callback=_formats, metavar=FORMAT_NAMES, help="Formats to write.")
@smpl_options
@click.option("--json", "as_json", is_flag=True, help="Print the files written as JSON.")
def export(results: Path, formats: tuple[str, ...], smpl_model: Path | None, trust: bool, as_json: bool) -> None:
    """Write the results of a run in other formats.

    glb and usd hold everyone in one scene, the others one person a file. Axes, units and names: docs/exports.md.
    glb and usd of a run with --smpl-model need the same file again.
    """
    from mocap_video.lifter.smpl import load_smpl
    from mocap_video.pipeline import export as exporting

    _refuse_lone_trust(smpl_model, trust=trust)
    body = load_smpl(smpl_model, trust=trust) if smpl_model else None
    written = [str(path) for path in exporting.export(results, formats, body=body)]
    click.echo(json.dumps(written, indent=1) if as_json else "\n".join(written))


main.add_command(batch)
main.add_command(calib)
main.add_command(evaluate)
main.add_command(review)
main.add_command(train)
main.add_command(weights)


def _finish(output: Path, as_json: bool) -> None:
    """Say where the results are, or print their report."""
    report = output / "report.json"
    click.echo(report.read_text(encoding="utf-8") if as_json else f"results: {output}", nl=not as_json)


def _progress() -> Progress:
    """Return what shows the progress: what a batch gave the command to report to, else the terminal."""
    from mocap_video.pipeline.progress import TerminalProgress

    return click.get_current_context().obj or TerminalProgress()


def _settings(
    *,
    config: str,
    device: str,
    samples: int | None,
    seed: int | None,
    height: float | None = None,
    smpl_model: Path | None = None,
    trust: bool = False,
    blur_faces: bool = False,
    no_video: bool = False,
) -> Settings:
    """Return the settings of a command: its config file with the options laid over it."""
    from dataclasses import replace

    from mocap_video.pipeline.config import load_config
    from mocap_video.pipeline.lifting import Settings, choose_device

    chosen = load_config(config)
    over = {name: value for name, value in (("samples", samples), ("seed", seed)) if value is not None}
    try:
        chosen = replace(chosen, lift=replace(chosen.lift, **over))
        if height is not None:
            chosen = replace(chosen, fit=replace(chosen.fit, height_m=height))
        look = chosen.render
        look = replace(look, blur_faces=look.blur_faces or blur_faces, videos=look.videos and not no_video)
        chosen = replace(chosen, render=look)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    _refuse_lone_trust(smpl_model, trust=trust)
    return Settings(chosen, choose_device(device), smpl_model=smpl_model, trust=trust, command=tuple(sys.argv[1:]))


def _refuse_lone_trust(smpl_model: Path | None, *, trust: bool) -> None:
    if trust and smpl_model is None:
        raise ConfigError("--trust: expected --smpl-model FILE with it: there is no other file to trust.")
