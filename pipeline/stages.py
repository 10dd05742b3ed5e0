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
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np

from mocap_video.artifacts import Store, digest_file, digest_of
from mocap_video.errors import ArtifactError
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
GATE = Stage("gate", 1)
PEOPLE = Stage("people", 2)
TRACKS = Stage("tracks", 1)
LIFT = Stage("lift", 3)
SHAPE = Stage("shape", 1)
FIT = Stage("fit", 4)
SEGMENTS = Stage("segments", 2)
VIDEOS = Stage("videos", 4)

_NEAR = 4
"""Pieces of a stage that stay in memory."""

CACHE = ".cache"
"""Where, in a results folder, finished stages lie. It may be deleted: the next run then computes everything."""


@dataclass(frozen=True)
class StageRecord:
    """What became of a stage: ``seconds`` of wall clock, ``reused`` from disk, ``peak_memory_mb`` of the process.

    It ran over so many ``pieces`` of the recording, of which ``pieces_reused`` were answered from disk.
    """

    name: str
    seconds: float
    reused: bool
    peak_memory_mb: float
    pieces: int = 1
    pieces_reused: int = 0


class Shelf(Generic[Value]):
    """A stage's values of ``kind``, a list for each piece of a recording, read from disk when they are asked for.

    ``keys`` name the values of the pieces: what is made of them has these among its inputs. The last few pieces stay
    in memory, because neighbours are asked for together.
    """

    def __init__(self, store: Store, stage: Stage, kind: type[Value]) -> None:
        self.keys: list[str] = []
        self._store, self._stage, self._kind = store, stage, kind
        self._near: dict[int, list[Value]] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[list[Value]]:
        return (self[piece] for piece in range(len(self)))

    def __getitem__(self, piece: int, /) -> list[Value]:
        index = range(len(self))[piece]
        if index not in self._near:
            arrays = self._store.get_arrays(self._stage.name, self.keys[index])
            if arrays is None:
                raise ArtifactError(
                    f"{self._store.path_of(self._stage.name, self.keys[index])}: vanished or was damaged while the run "
                    "needed it. Run again: what is missing is computed anew."
                )
            self._remember(index, self.unpacked(arrays))
        return self._near[index]

    def unpacked(self, arrays: dict[str, np.ndarray]) -> list[Value]:
        """Return the values that lie in the store as ``arrays``."""
        return unpack(self._kind, arrays)

    def append(self, key: str, values: list[Value]) -> None:
        """Take in the next piece, whose ``values`` lie in the store under ``key``."""
        self.keys.append(key)
        self._remember(len(self.keys) - 1, values)

    def _remember(self, index: int, values: list[Value]) -> None:
        self._near[index] = values
        while len(self._near) > _NEAR:
            del self._near[next(iter(self._near))]


class StageRunner:
    """Runs stages against a ``Store``, keeps a record of each, and notes which entries, stage and key, it ``used``."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.records: list[StageRecord] = []
        self.used: set[tuple[str, str]] = set()
        self.store = store
        self.progress = progress

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
        with self.in_pieces(stage, kind, total) as pieces:
            return pieces.add(inputs, compute)

    def in_pieces(self, stage: Stage, kind: type[Value], total: int | None = None) -> PieceRunner[Value]:
        """Return what runs ``stage`` a piece at a time, over ``total`` frames in all; a context manager."""
        return PieceRunner(stage, Shelf(self.store, stage, kind), self, total)

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
        start = time.perf_counter()

        def shown() -> None:
            with self.progress.stage(stage.name, total) as advance:
                write(advance)

        reused = self.kept_files(stage, inputs, paths, shown)
        self.record(stage, start, pieces=1, reused=int(reused))

    def kept_files(
        self, stage: Stage, inputs: Sequence[object], paths: Sequence[Path], write: Callable[[], None]
    ) -> bool:
        """Do as ``files`` does for a part of a stage, and return whether the files were there."""
        key = digest_of(stage.name, stage.version, inputs)
        self.used.add((stage.name, key))
        known = self.store.get_arrays(stage.name, key)
        if known is not None and all(path.is_file() and str(known[path.name]) == digest_file(path) for path in paths):
            return True
        for path in paths:  # stopped in the middle, the folder must not hold those of other inputs
            path.unlink(missing_ok=True)
        write()
        self.store.put_arrays(stage.name, key, {path.name: np.asarray(digest_file(path)) for path in paths})
        return False

    def record(self, stage: Stage, start: float, *, pieces: int, reused: int) -> None:
        """Note that ``stage``, begun at ``start``, is done, ``reused`` of its ``pieces`` from disk."""
        if reused == pieces:
            self.progress.note(f"{stage.name}: nothing changed, kept from the last run")
        elif reused:
            self.progress.note(f"{stage.name}: {reused} of {pieces} pieces kept from the last run")
        seconds = time.perf_counter() - start
        record = StageRecord(stage.name, seconds, reused == pieces, peak_memory_mb(), pieces, reused)
        logger.info("%s: %.1f s%s, peak memory %.0f MB", *_line(record))
        self.records.append(record)


class PieceRunner(Generic[Value]):
    """Runs one stage a piece at a time; see ``StageRunner.in_pieces``. ``shelf`` holds what is done."""

    def __init__(self, stage: Stage, shelf: Shelf[Value], runner: StageRunner, total: int | None) -> None:
        self.shelf = shelf
        self._stage, self._runner, self._total = stage, runner, total
        self._stack = contextlib.ExitStack()
        self._advance: Advance | None = None
        self._passed = self._reused = 0

    def __enter__(self) -> PieceRunner[Value]:
        self._start = time.perf_counter()
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is None:
            self._runner.record(self._stage, self._start, pieces=len(self.shelf), reused=self._reused)

    def add(
        self, inputs: Sequence[object], compute: Callable[[Advance], list[Value]], *, frames: int = 0
    ) -> list[Value]:
        """Return the next piece's values, which ``compute`` makes of ``inputs``, from disk where they are known.

        ``frames``: how many of the total the piece is.
        """
        store, stage = self._runner.store, self._stage
        key = digest_of(stage.name, stage.version, inputs)
        self._runner.used.add((stage.name, key))
        arrays = store.get_arrays(stage.name, key)
        if arrays is None:
            values = compute(self._shown())
            store.put_arrays(stage.name, key, pack(values))
        else:
            values = self.shelf.unpacked(arrays)
            self._reused += 1
            self._passed += frames
            if self._advance:
                self._advance(frames)
        self.shelf.append(key, values)
        return values

    def _shown(self) -> Advance:
        """Return what moves the bar on; it appears with the first piece that is not known."""
        if self._advance is None:
            self._advance = self._stack.enter_context(self._runner.progress.stage(self._stage.name, self._total))
            self._advance(self._passed)
        return self._advance


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
