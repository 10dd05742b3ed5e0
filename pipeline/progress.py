"""How a run tells what it is doing: a protocol, one that says nothing, and bars in a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int], None]
"""Called with how many more frames are done."""

Transferred = Callable[[int, int | None], None]
"""Called with how many bytes of a file have arrived, and how many there are, None where that is unknown."""


class Progress(Protocol):
    """What a run reports while it works."""

    def note(self, text: str) -> None:
        """Say one line that the user should see."""
        ...

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Advance]:
        """Show a stage of ``total`` frames (None: unknown) until the block ends."""
        ...

    def transfer(self, name: str) -> AbstractContextManager[Transferred]:
        """Show the download of the file ``name`` until the block ends."""
        ...


class SilentProgress:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Drop ``text``."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Advance]:  # noqa: ARG002 - the protocol's
        """Count nothing."""
        return contextlib.nullcontext(lambda _: None)

    def transfer(self, name: str) -> AbstractContextManager[Transferred]:  # noqa: ARG002 - the protocol's
        """Count nothing."""
        return contextlib.nullcontext(lambda _done, _total: None)


class TerminalProgress:
    """Bars with the stages' names on stderr, plain lines where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # a run without a terminal, as in a test, need not import rich

        self._console = Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Print ``text``."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Advance]:
        """Show a bar; when the block ends, leave a line with the time it took."""
        from rich import progress

        columns = (
            progress.TextColumn("{task.description:<10}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn() if total is not None else progress.SpinnerColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(elapsed_when_finished=False),
        )
        if not self._console.is_terminal:
            self.note(f"{name} ...")
        with progress.Progress(*columns, console=self._console, disable=not self._console.is_terminal) as bars:
            task = bars.add_task(name, total=total)
            yield lambda frames: bars.update(task, advance=frames)
            bars.update(task, total=total or 1, completed=total or 1)

    @contextlib.contextmanager
    def transfer(self, name: str) -> Iterator[Transferred]:
        """Show a bar with bytes and their speed."""
        from rich import progress, table

        columns = (
            progress.TextColumn(
                "{task.description}", table_column=table.Column(max_width=30, no_wrap=True, overflow="ellipsis")
            ),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(elapsed_when_finished=True),
        )
        if not self._console.is_terminal:
            self.note(f"{name} ...")
        with progress.Progress(*columns, console=self._console, disable=not self._console.is_terminal) as bars:
            task = bars.add_task(name, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
