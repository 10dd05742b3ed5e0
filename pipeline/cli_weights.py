"""``mocap-video weights``: list, fetch and verify the weights that do not ship."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mocap_video.errors import MissingAsset
from mocap_video.pipeline.cli_help import examples

if TYPE_CHECKING:
    from mocap_video.pipeline.weights import Status


_json = click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")


@click.group()
def weights() -> None:
    """Weights of the optional detectors: which there are, fetching them, checking them.

    The default needs none of them. They lie in the user's cache folder, or where the environment variable
    MOCAP_VIDEO_WEIGHTS says.
    """


@weights.command("list", epilog=examples("mocap-video weights list"))
@_json
def list_(as_json: bool) -> None:
    """Say which weights there are, how large, what for, and which of them are here.

    Sizes are those on disk; of weights that are not here, those to fetch, "size ?" where nobody publishes them.
    """
    from mocap_video.detectors.weights import weights_folder
    from mocap_video.pipeline.weights import list_weights

    _show(list_weights(), as_json)
    if not as_json:
        click.echo(f"folder: {weights_folder()}")


@weights.command(epilog=examples("mocap-video weights fetch rtmdet-m vitpose-b"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Download weights; an interrupted download goes on where it stopped."""
    from mocap_video.detectors.weights import weights_named
    from mocap_video.pipeline.progress import TerminalProgress
    from mocap_video.pipeline.weights import fetch_weights

    for entry in [weights_named(name) for name in names]:  # a wrong name is refused before anything is fetched
        click.echo(f"{entry.name}: {fetch_weights(entry.name, TerminalProgress())}")


@weights.command(epilog=examples("mocap-video weights verify", "mocap-video weights verify vitpose-b"))
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_json
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Read weights through and compare their SHA-256 with what was published; all that are here unless named."""
    from mocap_video.pipeline.weights import verify_weights

    found = verify_weights(names)
    _show(found, as_json)
    if any(status.state != "verified" for status in found):
        raise click.exceptions.Exit(MissingAsset.exit_code)


def _show(found: list[Status], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(status) for status in found], indent=1))
        return
    for status in found:
        known = status.size or status.published_size
        size = "size ?" if known is None else f"{known / 1e6:.1f} MB"
        click.echo(f"{status.state:<11}{status.name:<15}{size:>9}  {status.detail or status.purpose}")
