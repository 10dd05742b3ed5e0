"""The command ``review``."""

from __future__ import annotations

from pathlib import Path

import click

from mocap_video.pipeline.cli_help import examples

_PORT = 8484


@click.command(
    epilog=examples("mocap-video review out/", "mocap-video review out/ --port 9000 --no-open"),
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def review(results: Path, port: int, no_open: bool) -> None:
    """Look through results in the browser and mark what to accept, reject or work on.

    RESULTS is the folder of one clip, or any folder above many. The page is for this machine alone. Verdicts and notes
    are saved at once, in review.sqlite in RESULTS.
    """
    from mocap_video.pipeline.review import serve

    serve(results, port, lambda text: click.echo(text, err=True), show=not no_open)
