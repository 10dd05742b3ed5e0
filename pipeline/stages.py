"""Stages that run once: a stage whose inputs, config, version and weights are known answers from disk.

A key is the digest of everything that went in, so a changed option misses from the first stage it touches on, and
nothing else does.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mocap_video.artifacts import Store, digest_file, digest_of
from mocap_video.pipeline.packing import pack, unpack
from mocap_video.pipeline.progress import Advance, Progress

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Stage:
    """A stage's name and version; raise ``version`` when its code gives other results for the same inputs."""

    name: str
    version: int


FILM = Stage("film", 2)
PEOPLE = Stage("people", 1)
LIFT = Stage("lift", 2)
FIT = Stage("fit", 2)
VIDEOS = Stage("videos", 4)

CACHE = ".cache"
"""Where, in a results folder, finished stages lie. It may be deleted: the next run then computes everything."""


@dataclass(frozen=True)
class StageRecord:
    """What became of a stage: ``seconds`` of wall clock, ``reused`` from disk, ``peak_memory_mb`` of the process."""

    name: str
    seconds: float
    reused: bool
    peak_memory_mb: float


class StageRunner:
    """Runs stages against a ``Store`` and keeps a record of each."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.records: list[StageRecord] = []
        self._store = store
        self._progress = progress

    def values(
        self,
        stage: Stage,
        inputs: Sequence[object],
        kind: type[Value],
        compute: Callable[[Advance], list[Value]],
        *,
        total: int | None = None,
    ) -> list[Value]:
        """Return the values of ``kind`` that ``compute`` makes of ``inputs``, from disk where they are known."""
        key = digest_of(stage.name, stage.version, inputs)
        start = time.perf_counter()
        arrays = self._store.get_arrays(stage.name, key)
        found = None if arrays is None else unpack(kind, arrays)
        if found is None:
            with self._progress.stage(stage.name, total) as advance:
                found = compute(advance)
            self._store.put_arrays(stage.name, key, pack(found))
        self._record(stage, start, reused=arrays is not None)
        return found

    def files(
        self,
        stage: Stage,
        inputs: Sequence[object],
        paths: Sequence[Path],
        write: Callable[[Advance], None],
        *,
        total: int | None = None,
    ) -> None:
        """Have ``write`` make ``paths`` of ``inputs``, unless they are there with the content it gave them before."""
        key = digest_of(stage.name, stage.version, inputs)
        start = time.perf_counter()
        known = self._store.get_arrays(stage.name, key)
        reused = known is not None and all(
            path.is_file() and str(known[path.name]) == digest_file(path) for path in paths
        )
        if not reused:
            for path in paths:  # stopped in the middle, the folder must not hold those of other inputs
                path.unlink(missing_ok=True)
            with self._progress.stage(stage.name, total) as advance:
                write(advance)
            self._store.put_arrays(stage.name, key, {path.name: np.asarray(digest_file(path)) for path in paths})
        self._record(stage, start, reused=reused)

    def _record(self, stage: Stage, start: float, *, reused: bool) -> None:
        if reused:
            self._progress.note(f"{stage.name}: nothing changed, kept from the last run")
        record = StageRecord(stage.name, time.perf_counter() - start, reused, peak_memory_mb())
        logger.info("%s: %.1f s%s, peak memory %.0f MB", *_line(record))
        self.records.append(record)


def _line(record: StageRecord) -> tuple[str, float, str, float]:
    return record.name, record.seconds, " (reused)" if record.reused else "", record.peak_memory_mb


def peak_memory_mb() -> float:
    """Return the largest resident memory this process has had, in MB of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.messages:
            self.messages.append(message)


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Yield a list that fills with what the package logs as a warning or worse, each message once."""
    handler = _WarningList()
    root = logging.getLogger("mocap_video")
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)
