"""``mocap-video calib``: every way to a cam.yaml, and the proof that it is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.pipeline.cli_help import examples

if TYPE_CHECKING:
    from mocap_video.pipeline.calibrate import Made
    from mocap_video.pipeline.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_MARKS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "wrong": "WRONG  "}

_json = click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
_output = click.option(
    "-o", "--output", type=_PATH, default=Path("cam.yaml"), show_default=True, help="The cam.yaml to write."
)


def _optics(command: Command) -> Command:
    """Add the two ways of saying what the lens is."""
    lens = click.option("--lens", type=_PATH, help="Take the optics from this cam.yaml or lens.yaml.")
    hfov = click.option(
        "--hfov-deg", type=click.FloatRange(1, 170), metavar="DEG", help="Field of view across the picture, if known."
    )
    return lens(hfov(command))


@click.group()
def calib() -> None:
    """Calibrate a fixed camera, and see whether a calibration is right.

    With a few measured points on the ground: from-points. With nothing but people who walk about: from-people. With a
    tape and a level: from-mount. For the lens, and a board on the ground: from-board. With a calibration from another
    tool: import. Then look at the picture of check.
    """


@calib.command(
    epilog=examples(
        "mocap-video calib check clip.mp4 --calib cam.yaml",
        "mocap-video calib check clip.mp4 --calib cam.yaml -o proof --no-people",
    )
)
@click.argument("clip", type=_PATH)
@click.option("--calib", "calib_path", type=_PATH, required=True, help="The camera's cam.yaml.")
@click.option("-o", "--output", type=_PATH, help="Folder of the picture.  [default: out/<name of the clip>]")
@click.option("--people/--no-people", default=True, show_default=True, help="Find people and measure them.")
@_json
def check(clip: Path, calib_path: Path, output: Path | None, people: bool, as_json: bool) -> None:
    """Draw what a calibration claims over the clip, and look for what is wrong with it.

    Exit code 3 when it cannot be right; what merely looks wrong is a warning.
    """
    from mocap_video.pipeline import calibrate

    found = calibrate.check(clip, calib_path, output or Path("out") / clip.stem, _progress(), people=people)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    else:
        click.echo(found.claim)
        for finding in found.findings:
            click.echo(f"{_MARKS[finding.level]}  {finding.text}")
        click.echo(f"look at the picture: {found.proof}")
    if found.wrong:
        raise CalibrationError(f"{calib_path}: " + " ".join(finding.text for finding in found.wrong))


@calib.command(
    "from-points",
    epilog=examples(
        "mocap-video calib from-points clip.mp4 --court tennis -o cam.yaml",
        "mocap-video calib from-points clip.mp4 --court 4x2.5 --hfov-deg 68",
        "mocap-video calib from-points clip.mp4 --points marks.yaml -o cam.yaml",
    ),
)
@click.argument("clip", type=_PATH)
@click.option("--points", type=_PATH, help="Points with their metres and pixels; those without pixels are clicked.")
@click.option("--court", metavar="NAME|WxH", help="A court with standard lines, or a rectangle's sides in metres.")
@click.option("--click/--no-click", "ask", default=None, help="Mark points in a local web page.  [default: if needed]")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port of that page.")
@click.option("--time", "time_s", type=click.FloatRange(min=0), default=0.0, metavar="S", help="Frame to mark.")
@_optics
@_output
@_json
def from_points(clip: Path, output: Path, as_json: bool, **options: Any) -> None:
    """Calibrate from points whose places on the site are known: marks, a rectangle, a court.

    Without --points a web page opens on this machine alone, in which you click them; over SSH, forward its port:
    ssh -L 8765:localhost:8765 HOST.
    """
    from mocap_video.pipeline import calibrate_points

    _show(calibrate_points.from_points(clip, output, _progress(), **options), as_json)


def _pair(_ctx: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Parse ``1920x1080``, or ``9x6``."""
    if value is None:
        return None
    width, _, height = value.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"expected two whole numbers such as 1920x1080 or 9x6, got {value!r}")
    return int(width), int(height)


@calib.command(
    "from-board",
    epilog=examples(
        "mocap-video calib from-board moved.mp4 --pattern 9x6 --square-mm 25 -o lens.yaml",
        "mocap-video calib from-board moved.mp4 --ground lying.mp4 --pattern 9x6 --square-mm 80 -o cam.yaml",
        "mocap-video calib from-board photos --charuco 5X5_100 --pattern 11x7 --square-mm 40 --marker-mm 30",
        "mocap-video calib from-board --lens lens.yaml --ground lying.jpg --pattern 9x6 --square-mm 80",
    ),
)
@click.argument("sources", type=_PATH, nargs=-1)
@click.option(
    "--pattern", callback=_pair, required=True, metavar="CxR", help="Inner corners: one fewer each way than squares."
)
@click.option(
    "--square-mm", type=click.FloatRange(0.1, 10_000), required=True, metavar="MM", help="Side of a square, measured."
)
@click.option("--charuco", metavar="DICTIONARY", help="A ChArUco board with markers of this dictionary: 5X5_100.")
@click.option(
    "--marker-mm", type=click.FloatRange(0.1, 10_000), metavar="MM", help="Side of its markers, with --charuco."
)
@click.option("--ground", type=_PATH, metavar="CLIP|PICTURE", help="The camera in its place, the board on the ground.")
@click.option(
    "--thickness-mm",
    type=click.FloatRange(0, 1000),
    default=0.0,
    show_default=True,
    metavar="MM",
    help="How far the board's face is above the ground it lies on.",
)
@click.option("--lens", type=_PATH, help="Take the optics from this file, not from pictures of the board.")
@click.option(
    "-o", "--output", type=_PATH, help="The file to write.  [default: cam.yaml with --ground, else lens.yaml]"
)
@_json
def from_board(
    sources: tuple[Path, ...],
    output: Path | None,
    as_json: bool,
    pattern: tuple[int, int],
    square_mm: float,
    charuco: str | None,
    marker_mm: float | None,
    thickness_mm: float,
    **options: Any,
) -> None:
    """Calibrate from a checkerboard or ChArUco board, printed and glued to something flat.

    SOURCES are clips or pictures in which the board is moved through the whole picture, near and far, tilted to all
    sides: they give the lens. With --ground, in which it lies still on the ground, they give a cam.yaml.
    """
    from mocap_video.calib.board import Board, Charuco
    from mocap_video.pipeline import calibrate_board

    if (charuco is None) != (marker_mm is None):
        raise ConfigError("--charuco and --marker-mm: expected both or none. Measure a marker's black outline.")
    markers = None if charuco is None or marker_mm is None else Charuco(charuco, marker_mm / 1000)
    board = Board(*pattern, square_mm / 1000, markers)
    made = calibrate_board.from_board(
        sources, output, _progress(), board=board, thickness_m=thickness_mm / 1000, **options
    )
    _show(made, as_json)


@calib.command(
    "from-people",
    epilog=examples(
        "mocap-video calib from-people clip.mp4 -o cam.yaml",
        "mocap-video calib from-people clip.mp4 --hfov-deg 68 --height-m 1.82",
    ),
)
@click.argument("clip", type=_PATH)
@click.option(
    "--height-m",
    type=click.FloatRange(0.8, 2.3),
    metavar="M",
    help="How tall they are.  [default: as adults, 1.70 +- 0.09]",
)
@_optics
@_output
@_json
def from_people(clip: Path, output: Path, as_json: bool, **options: Any) -> None:
    """Calibrate from people who walk about on level ground, near and far, left and right.

    Their feet and shoulders give tilt, roll and height, and the focal length where it shows; their statures the scale.
    The site frame is the mount's: origin on the ground below the camera, y ahead, z up.
    """
    from mocap_video.pipeline import calibrate_people

    _show(calibrate_people.from_people(clip, output, _progress(), **options), as_json)


@calib.command(
    "from-mount",
    epilog=examples(
        "mocap-video calib from-mount clip.mp4 --height-m 3.2 --tilt-deg 24 --hfov-deg 68",
        "mocap-video calib from-mount clip.mp4 --height-m 1.5 --tilt-deg 3 --camera 'iPhone 13'",
        "mocap-video calib from-mount clip.mp4 --height-m 4 --tilt-deg 30 --sensor 1/2.8 --focal-mm 2.8",
    ),
)
@click.argument("clip", type=_PATH)
@click.option("--height-m", type=float, required=True, metavar="M", help="From the ground to the lens.")
@click.option(
    "--tilt-deg",
    "tilt_down_deg",
    type=click.FloatRange(-90, 90),
    required=True,
    metavar="DEG",
    help="How far it looks down; 0 is level.",
)
@click.option(
    "--roll-deg",
    type=click.FloatRange(-180, 180),
    default=0.0,
    show_default=True,
    metavar="DEG",
    help="Positive turns the image's right side down.",
)
@click.option("--focal-35mm", type=click.FloatRange(5, 500), metavar="MM", help="35 mm equivalent focal length.")
@click.option("--sensor", metavar="FORMAT|MM", help="Sensor format such as 1/2.8, or its width.")
@click.option("--focal-mm", type=click.FloatRange(0.5, 1000), metavar="MM", help="True focal length, with --sensor.")
@click.option("--camera", metavar="MODEL", help="A phone whose lens is listed.")
@_optics
@_output
@_json
def from_mount(clip: Path, output: Path, as_json: bool, **options: Any) -> None:
    """Calibrate from height, tilt and roll, measured with tape and level, and what is known of the lens.

    Without an option about the lens, the clip's own metadata are asked.
    """
    from mocap_video.pipeline import calibrate_mount

    _show(calibrate_mount.from_mount(clip, output, **options), as_json)


@calib.command(
    "import",
    epilog=examples(
        "mocap-video calib import Calib.toml --camera cam_01 -o cam.yaml",
        "mocap-video calib import camera_info.yaml -o lens.yaml",
        "mocap-video calib import sparse/0 --camera frame.jpg --scale 0.42 --up -y -o cam.yaml",
    ),
)
@click.argument("path", type=_PATH)
@click.option("--format", "form", metavar="NAME", help="opencv, ros, kalibr, colmap, pose2sim, easymocap, fspy, tsai.")
@click.option("--camera", metavar="NAME", help="Which camera, where there are several.")
@click.option(
    "--up",
    type=click.Choice(["x", "y", "z", "-x", "-y", "-z"]),
    default="z",
    show_default=True,
    help="Its world's axis that points up.",
)
@click.option("--ground", type=float, default=0.0, show_default=True, metavar="M", help="The ground's height on it.")
@click.option("--scale", type=click.FloatRange(1e-6, 1e6), default=1.0, show_default=True, help="Metres per unit.")
@click.option("--image-size", "size", callback=_pair, metavar="WxH", help="Where the format does not say.")
@click.option("--clip", type=_PATH, help="Take the image size from this clip.")
@_output
@_json
def import_(path: Path, output: Path, as_json: bool, **options: Any) -> None:
    """Convert another tool's calibration (a file, or COLMAP's or EasyMocap's folder) to cam.yaml.

    A format without poses gives a lens.yaml, for --lens of the other commands.
    """
    from mocap_video.pipeline import calibrate_convert

    _show(calibrate_convert.import_calibration(path, output, **options), as_json)


@calib.command(epilog=examples("mocap-video calib export cam.yaml --to pose2sim -o Calib.toml"))
@click.argument("calib_path", metavar="CAM_YAML", type=_PATH)
@click.option("--to", "form", type=click.Choice(["opencv", "pose2sim"]), required=True, help="The format to write.")
@click.option("-o", "--output", type=_PATH, required=True, help="The file to write.")
def export(calib_path: Path, form: str, output: Path) -> None:
    """Write a cam.yaml in another tool's format."""
    from mocap_video.pipeline import calibrate_convert

    click.echo(f"written: {calibrate_convert.export_calibration(calib_path, form, output)}")


def _show(made: Made, as_json: bool) -> None:
    """Say what was made."""
    click.echo(json.dumps(made.as_json(), indent=1) if as_json else made.as_text())


def _progress() -> Progress:
    from mocap_video.pipeline.progress import TerminalProgress

    return TerminalProgress()
