"""``mocap-video batch``: all recordings of a site."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mocap_video.pipeline.cli_help import examples

if TYPE_CHECKING:
    from mocap_video.pipeline.batch_crew import Workers

EXIT_SOME_FAILED = 5
_PATH = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "mocap-video batch site.yaml -o out/yard",
        "mocap-video batch recordings/ --workers 4 --timeout 3600",
        "mocap-video batch site.yaml -o out/yard --retry-failed --json",
        "mocap-video batch site.yaml -o out/yard --ray local",
    )
)
@click.argument("site", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", type=_PATH, help="Results folder.  [default: out/<name of SITE>]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Clips at once.  [default: one for every four cores]")
@click.option("--ray", "address", metavar="ADDRESS|local", help="Work on a Ray cluster, one worker for each GPU.")
@click.option("--results", metavar="URL", help="Put each clip's results at this fsspec URL instead of into -o.")
@click.option("--retry-failed", is_flag=True, help="Also run the clips again that failed before.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=86_400.0, show_default=True,
    metavar="S", help="Seconds that one clip may take before it is stopped.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
def batch(
    site: Path,
    output: Path | None,
    workers: int | None,
    address: str | None,
    results: str | None,
    retry_failed: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Run every recording of a site, each in a process of its own; go on where the last batch stopped.

    SITE is a site.yaml, or a folder of videos with <clip>.yaml or cam.yaml beside them: docs/batch.md. Clips that are
    finished are left alone unless the clip, its calibration or its options have changed. Exits with 5 if some failed.
    """
    from mocap_video.errors import ConfigError
    from mocap_video.pipeline.batch import BatchOptions, run_batch, table
    from mocap_video.pipeline.batch_display import BatchDisplay
    from mocap_video.pipeline.remote_files import is_url
    from mocap_video.pipeline.site import read_site

    if results is not None and not is_url(results):
        raise ConfigError(f"--results {results}: expected a URL such as s3://bucket/yard; for a folder use -o.")
    described = read_site(site)
    options = BatchOptions(output or Path("out") / described.name, results, retry_failed, timeout_s)
    with _crew(address, workers) as crew:
        summary = run_batch(described, options, crew, BatchDisplay())
    click.echo(summary.as_json() if as_json else table(summary), nl=not as_json)
    if summary.failed:
        raise click.exceptions.Exit(EXIT_SOME_FAILED)


def _crew(address: str | None, workers: int | None) -> AbstractContextManager[Workers]:
    if address is None:
        from mocap_video.pipeline.batch_local import LocalWorkers

        return LocalWorkers(workers)
    from mocap_video.pipeline.batch_ray import RayWorkers

    return RayWorkers(address, workers)
