"""What a batch shows while it works: bars for all that runs in a terminal, a line for each clip where there is none."""

from __future__ import annotations

from types import TracebackType

from rich import progress
from rich.console import Console

from mocap_video.pipeline.batch_job import Sign
from mocap_video.pipeline.manifest import Entry

_WORDS = {"done": "done", "nobody": "done, nobody in it", "failed": "FAILED", "waiting": "will be tried again"}


class BatchDisplay:
    """``with BatchDisplay() as display: ...``; writes to stderr and may be told things from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._live = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._whole: progress.TaskID | None = None
        self._tasks: dict[tuple[str, str], progress.TaskID] = {}
        self._count = (0, 0)

    def __enter__(self) -> BatchDisplay:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """Say one line that the user should see."""
        self._console.print(text, markup=False, soft_wrap=True)

    def plan(self, total: int, kept: int, machine: str) -> None:
        """Say what there is to do: ``total`` clips, of which ``kept`` need nothing."""
        waiting = total - kept
        rest = f", {kept} of them kept from before" if kept else ""
        self.note(
            f"{total} clips{rest}; {waiting} to run {machine}" if waiting else f"{total} clips{rest}; nothing to run"
        )
        self._count = (0, waiting)
        self._whole = self._live.add_task("clips", total=waiting)

    def begun(self, entry: Entry) -> None:
        """Show that a clip is being worked on."""
        self._tasks[entry.key] = self._live.add_task(f"  {_name(entry)}", total=None)

    def signed(self, entry: Entry, sign: Sign) -> None:
        """Show how far a clip is."""
        task = self._tasks.get(entry.key)
        if task is not None:
            text = f"  {_name(entry)}: {sign.stage}"
            self._live.update(task, description=text, completed=sign.done, total=sign.total)

    def ended(self, entry: Entry) -> None:
        """Show what became of a clip; ``waiting`` is one that is tried again."""
        task = self._tasks.pop(entry.key, None)
        if task is not None:
            self._live.remove_task(task)
        if entry.state != "waiting" and self._whole is not None:
            self._count = (self._count[0] + 1, self._count[1])
            self._live.update(self._whole, advance=1)
        reason = f": {entry.reason}" if entry.state in ("failed", "waiting") else ""
        self.note(
            f"[{self._count[0]}/{self._count[1]}] {_name(entry)}: {_WORDS[entry.state]}, {entry.seconds:.0f} s{reason}"
        )


def _name(entry: Entry) -> str:
    return f"{entry.camera}/{entry.clip}"
