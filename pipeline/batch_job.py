"""One clip of a batch, and how its run ended: the same for a process of its own and for a worker that does many."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from mocap_video.artifacts import full_disk_errors
from mocap_video.errors import InUseError, MocapVideoError, NoPersonError
from mocap_video.pipeline import remote_files
from mocap_video.pipeline.progress import Advance, Progress, Transferred
from mocap_video.pipeline.remote_files import is_url

logger = logging.getLogger(__name__)

LOG = "run.log"
"""What a clip's run says, beside its results."""

IN_USE_PATIENCE_S = 60.0
"""So long a clip waits for a folder that another run holds (seconds): a worker whose batch was killed ends in less."""

_LOOK_AGAIN_S = 0.5
_TELL_EVERY_S = 0.2


@dataclass(frozen=True)
class Job:
    """A clip to run: ``source``, ``calib`` and ``output`` are paths or fsspec URLs; ``arguments`` of ``run`` besides;
    ``timeout_s`` seconds it may take.
    """

    source: str
    calib: str
    output: str
    arguments: tuple[str, ...] = ()
    timeout_s: float = 86_400.0


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``exit_code`` as of ``run``, None where it was stopped from outside or crashed; ``reason``: in
    words, "" where all is well; ``nobody``: it came to its end and nobody was in the clip; ``elsewhere``: another
    worker may succeed; ``clip_digest``: SHA-256 of the clip, "" where unknown.
    """

    exit_code: int | None
    reason: str = ""
    nobody: bool = False
    elsewhere: bool = False
    clip_digest: str = ""


@dataclass(frozen=True)
class Sign:
    """A sign of life: the ``stage`` a clip is in, ``done`` of ``total`` frames (None: unknown); ``worker``: who works
    on it, "" where that is known.
    """

    stage: str
    done: int = 0
    total: int | None = None
    worker: str = ""


Tell = Callable[[Sign], None]


class RelayedProgress:
    """Passes on what a run reports from wherever it runs: signs of life, at most five a second; lines go to the log."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        """Leave ``text`` in the log."""
        sys.stderr.write(f"{text}\n")

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Advance]:
        """Tell how far the stage is."""
        self.note(f"{name} ...")
        done, told = 0, time.monotonic()

        def advance(more: int) -> None:
            nonlocal done, told
            done += more
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                self._tell(Sign(name, done, total))

        self._tell(Sign(name, 0, total))
        yield advance

    @contextlib.contextmanager
    def transfer(self, name: str) -> Iterator[Transferred]:
        """Tell that a file is on its way."""
        self._tell(Sign(f"fetching {name}"))
        yield lambda _done, _total: None


def perform(job: Job, progress: Progress) -> Ending:
    """Run ``job`` in this process and return how it ended; nothing is raised but what ends the process too."""
    try:
        with (
            full_disk_errors(Path(tempfile.gettempdir() if is_url(job.output) else job.output)),
            tempfile.TemporaryDirectory(prefix="mocap-video-") as scratch,
        ):
            return _perform(job, progress, Path(scratch))
    except NoPersonError as error:
        return Ending(error.exit_code, str(error), nobody=True, clip_digest=_digest_in(job))
    except MocapVideoError as error:
        return Ending(error.exit_code, str(error), elsewhere=error.exit_code == 4)
    except click.ClickException as error:
        return Ending(error.exit_code, error.format_message())
    except MemoryError:
        reason = "memory ran out: use fewer --workers, or a part of the clip by the options start and end"
        return Ending(None, reason, elsewhere=True)
    except Exception as error:
        logger.exception("%s", job.source)
        return Ending(
            1, f"unexpected {type(error).__name__}: {error}. This is a fault of mocap-video; see {LOG}", elsewhere=True
        )


def _perform(job: Job, progress: Progress, scratch: Path) -> Ending:
    clip, calib = (_fetched(place, scratch) for place in (job.source, job.calib))
    output = scratch / "results" if is_url(job.output) else Path(job.output)
    try:
        _run_when_free(["run", str(clip), f"--calib={calib}", f"--output={output}", *job.arguments], progress)
    finally:
        if is_url(job.output) and output.is_dir():
            files = [path for path in output.rglob("*") if path.is_file() and not _is_hidden(path, output)]
            remote_files.push(output, job.output, files)
    return Ending(0, clip_digest=_digest_of_results(output))


def _fetched(place: str, scratch: Path) -> Path:
    if not is_url(place):
        return Path(place)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    return remote_files.fetch(place, folder)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _run_when_free(words: list[str], progress: Progress) -> None:
    """Run the command line ``words`` in this process, its report of progress to ``progress``."""
    sys.argv = ["mocap-video", *words]  # what results say they were made by
    deadline = time.monotonic() + IN_USE_PATIENCE_S
    done = False
    while not done:
        done = _try_to_run(words[1:], progress, patient=time.monotonic() < deadline)


def _try_to_run(arguments: list[str], progress: Progress, *, patient: bool) -> bool:
    """Whether ``run`` came to its end; if not, another run held the folder, and some time has passed."""
    from mocap_video.pipeline.cli import run

    try:
        with run.make_context("run", arguments, obj=progress) as context:
            run.invoke(context)
    except InUseError as error:
        if not patient:
            raise
        progress.note(f"waiting: {error}")
        time.sleep(_LOOK_AGAIN_S)
        return False
    return True


def _digest_in(job: Job) -> str:
    return "" if is_url(job.output) else _digest_of_results(Path(job.output))


def _digest_of_results(output: Path) -> str:
    """Return the clip's digest that the report in ``output`` names, "" where it names none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((output / "report.json").read_text(encoding="utf-8"))["provenance"]["inputs"]["clip"])
    return ""
