"""The manifest of a batch: one line per clip in SQLite, so that whatever ends a batch, the next one goes on from there.

Only the batch writes it, and it holds the output folder's lock; others may read it at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sqlite3
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from mocap_video.artifacts import storage_errors
from mocap_video.errors import ArtifactError, StorageError

FILE = "manifest.sqlite"
VERSION = 1

State = Literal["waiting", "running", "done", "nobody", "failed"]
"""``nobody``: finished, and nobody was in the clip."""

FINISHED: tuple[State, ...] = ("done", "nobody")

_TYPES = {str: "TEXT NOT NULL", int: "INTEGER NOT NULL", float: "REAL NOT NULL", int | None: "INTEGER"}
_KINDS = {"TEXT NOT NULL": str, "INTEGER NOT NULL": int, "REAL NOT NULL": float, "INTEGER": int | None}


@dataclass(frozen=True)
class Inputs:
    """What a result was made of. ``stamp``: size and time of the clip's file, or what its URL tells; ``clip_digest``
    and ``calib_digest``: SHA-256 of the contents, "" where unknown; ``options_digest``: of what ``run`` was given
    besides.
    """

    stamp: str = ""
    clip_digest: str = ""
    calib_digest: str = ""
    options_digest: str = ""


@dataclass(frozen=True)
class Entry:
    """The line of one clip, ``camera`` and ``clip`` being its folders' names.

    ``source``: its path or URL; ``output``: its results; ``attempts``: how often it was begun; ``reason``: why it
    failed, "" otherwise; ``exit_code`` as of ``run``, None where it did not end by itself; ``seconds`` of its last
    attempt; ``worker``: the process, or the machine and process, that worked on it last.
    """

    camera: str
    clip: str
    source: str
    output: str
    state: State = "waiting"
    attempts: int = 0
    reason: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    worker: str = ""
    inputs: Inputs = dataclasses.field(default_factory=Inputs)

    @property
    def key(self) -> tuple[str, str]:
        """Camera and clip."""
        return self.camera, self.clip


@functools.cache
def _columns() -> dict[str, str]:
    own, inputs = typing.get_type_hints(Entry), typing.get_type_hints(Inputs)
    kinds = {name: kind for name, kind in {**own, **inputs}.items() if name != "inputs"}
    return {name: _TYPES.get(kind, "TEXT NOT NULL") for name, kind in kinds.items()}


class Manifest:
    """``with Manifest(folder) as manifest: ...``; ``ArtifactError`` for a file that is no manifest of ours."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._columns = _columns()

    def __enter__(self) -> Manifest:
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._sqlite_errors():
            self._database = sqlite3.connect(self.path)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise
        return self

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise ArtifactError(
                f"{self.path}: expected version {VERSION} of a manifest, got {version}. Use the mocap-video that wrote "
                "it, or choose another -o."
            )
        columns = ", ".join(f"{name} {kind}" for name, kind in self._columns.items())
        with self._database:
            self._database.execute(f"CREATE TABLE IF NOT EXISTS clips ({columns}, PRIMARY KEY (camera, clip))")
            self._database.execute(f"PRAGMA user_version = {VERSION}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def entries(self) -> dict[tuple[str, str], Entry]:
        """Return every line by camera and clip."""
        names = list(self._columns)
        with self._sqlite_errors():
            rows = self._database.execute(f"SELECT {', '.join(names)} FROM clips ORDER BY camera, clip").fetchall()
            entries = [_entry(dict(zip(names, row, strict=True))) for row in rows]
        return {entry.key: entry for entry in entries}

    def put(self, *entries: Entry) -> None:
        """Write these lines, all or none, over those of the same clips."""
        names = list(self._columns)
        marks = ", ".join("?" * len(names))
        rows = [[_flat(entry)[name] for name in names] for entry in entries]
        with self._sqlite_errors(), self._database:
            self._database.executemany(f"INSERT OR REPLACE INTO clips ({', '.join(names)}) VALUES ({marks})", rows)

    @contextlib.contextmanager
    def _sqlite_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self.path}: cannot be written ({error}). Free some space, or choose another -o; not a network disk."
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError, _DamagedLineError) as error:
            # UnicodeDecodeError: what SQLite says of a damaged file quotes its bytes
            raise ArtifactError(
                f"{self.path}: not a manifest, or a damaged one ({error}). Move it away: finished results are taken "
                "over, clip by clip, in little time."
            ) from error


def _flat(entry: Entry) -> dict[str, object]:
    values = {**dataclasses.asdict(entry), **dataclasses.asdict(entry.inputs)}
    return {name: _bound(value) for name, value in values.items()}


def _bound(value: object) -> object:
    """Return ``value`` as SQLite takes it: a name that is no UTF-8 goes in as its bytes."""
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return os.fsencode(value)
    return value


class _DamagedLineError(Exception):
    """A line holds what no batch wrote."""


def _entry(row: dict[str, typing.Any]) -> Entry:
    row = {name: os.fsdecode(value) if isinstance(value, bytes) else value for name, value in row.items()}
    for name, value in row.items():
        if not isinstance(value, _KINDS[_columns()[name]]):
            raise _DamagedLineError(f"{row['camera']!r}, {row['clip']!r}: {name} is {value!r}")
    if row["state"] not in typing.get_args(State):
        raise _DamagedLineError(f"{row['camera']!r}, {row['clip']!r}: state is {row['state']!r}")
    inputs = Inputs(**{field.name: row.pop(field.name) for field in dataclasses.fields(Inputs)})
    return Entry(**row, inputs=inputs)
