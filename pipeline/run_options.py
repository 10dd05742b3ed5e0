"""The options of a camera in site.yaml: those of ``run``, checked by ``run`` itself, so that they can never differ."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from mocap_video.calib.fields import Field
from mocap_video.errors import ConfigError, MocapVideoError

BATCHES_OWN = ("calib", "output", "as_json", "help")
"""Parameters of ``run`` that a batch gives itself."""


def run_arguments(field: Field) -> tuple[str, ...]:
    """Return the arguments of ``run`` that the mapping ``field`` stands for; ``ConfigError`` names what is wrong."""
    known = _options()
    entries = field.entries([], open_ended=True)
    arguments: list[str] = []
    for name, entry in entries.items():
        option = known.get(str(name).replace("-", "_"))
        if option is None:
            close = difflib.get_close_matches(str(name), known, n=1)
            advice = f"Did you mean {close[0]!r}? " if close else ""
            raise field.kind.error(
                f"{field.file}: {entry.key}: unknown option; {advice}Those of `mocap-video run`: {', '.join(known)}."
            )
        arguments += _argument(option, entry)
    _let_run_check(field, arguments)
    return tuple(arguments)


def _options() -> dict[str, click.Option]:
    """Return the options of ``run`` by their long names, with ``_`` for ``-``."""
    from mocap_video.pipeline.cli import run

    return {
        max(option.opts, key=len).lstrip("-").replace("-", "_"): option
        for option in run.params
        if isinstance(option, click.Option) and option.name not in BATCHES_OWN and option.expose_value
    }


def _argument(option: click.Option, entry: Field) -> list[str]:
    """Return what is typed for ``entry``; a list stands for values with commas between."""
    value, word = entry.value, max(option.opts, key=len)
    if option.is_flag:
        if not isinstance(value, bool):
            raise entry.refusal("true or false", "Write one of the two, without quotes.")
        if value:
            return [word]
        return [option.secondary_opts[0]] if option.secondary_opts else []
    parts = value if isinstance(value, list) else [value]
    if not parts or any(isinstance(part, bool) or not isinstance(part, (str, int, float)) for part in parts):
        raise entry.refusal(f"what `run` takes for {word}", "Write a text, a number, or a list of them.")
    text = ",".join(str(part) for part in parts)
    beside = entry.file.absolute().parent / text
    names_file = isinstance(option.type, click.Path) or (option.name == "config" and Path(text).suffix)
    return [f"{word}={beside if names_file else text}"]


def _let_run_check(field: Field, arguments: list[str]) -> None:
    from mocap_video.pipeline.cli import run

    try:
        run.make_context("run", ["clip", "--calib=cam.yaml", *arguments])
    except (click.ClickException, MocapVideoError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise field.kind.error(f"{field.file}: {field.key}: {said}") from error


def check_config(arguments: tuple[str, ...], where: str) -> None:
    """Raise ``ConfigError`` that begins with ``where`` unless the config that ``arguments`` name can be read."""
    from mocap_video.pipeline.config import load_config

    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "--config":
            try:
                load_config(value)
            except MocapVideoError as error:
                raise ConfigError(f"{where}: {error}") from error
