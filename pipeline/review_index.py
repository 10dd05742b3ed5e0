"""An index of the results below a folder: what the list of the review shows, cached in SQLite beside them.

The cache may be deleted: it is made anew from report.json and people.csv. What the reviewer said is not in it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.errors import ArtifactError
from mocap_video.pipeline.results_folder import VIDEO_NAMES, PersonRows, read_people_csv, read_report

logger = logging.getLogger(__name__)

INDEX = ".review-index.sqlite"
_VERSION = 1
_COMMIT_EVERY = 50
_SCHEMA = """
create table if not exists clip (
    id integer primary key, folder text unique not null, stat text not null, stamp text not null, name text not null,
    duration real, first_drawn real, trust real, people integer not null, flags text not null, flagged real,
    warnings integer not null, videos text not null, problem text not null, finished real not null, best real);
create table if not exists person (
    clip integer not null references clip (id) on delete cascade, number integer not null, trust real, frames integer,
    first_s real, last_s real, flags text not null, flagged real, best real, primary key (clip, number));
create table if not exists thumb (
    clip integer not null references clip (id) on delete cascade, number integer not null, jpeg blob,
    primary key (clip, number));
create index if not exists person_clip on person (clip);
"""


@dataclass(frozen=True)
class PersonSummary:
    """One person of a clip: mean ``trust``, ``frames``, times in s, ``flags`` that occur, the share of frames
    ``flagged`` with any, and ``best_s``: when the person is trusted most.
    """

    number: int
    trust: float
    frames: int
    first_s: float
    last_s: float
    flags: tuple[str, ...]
    flagged: float
    best_s: float


@dataclass(frozen=True)
class ClipSummary:
    """A results folder in short. ``folder`` is relative to the root, with slashes; ``stamp`` changes when the motion
    does; ``problem`` says why the results cannot be read (then the rest is empty).
    """

    folder: str
    stamp: str
    name: str
    duration_s: float
    first_drawn_s: float
    warnings: int
    videos: tuple[str, ...]
    finished: float
    problem: str
    people: tuple[PersonSummary, ...]


def connect(path: Path) -> sqlite3.Connection:
    """Open the index at ``path``, made anew where it is of another version or damaged."""
    for attempt in (1, 2):
        database = sqlite3.connect(path, timeout=20, check_same_thread=False)
        try:
            database.execute("pragma foreign_keys = on")
            version = database.execute("pragma user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            database.executescript(_SCHEMA)
            database.execute(f"pragma user_version = {_VERSION}")
            return database
        except sqlite3.DatabaseError:
            database.close()
            if attempt == 2:
                raise
            path.unlink(missing_ok=True)
    raise AssertionError("unreachable")


def results_below(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each folder below ``root`` (or itself) that has a report.json, relative with slashes, and that file's stat.

    Links are not followed, hidden folders and those inside results are not entered.
    """
    for folder, inner, files in os.walk(root, followlinks=False):
        inner[:] = [] if "report.json" in files else sorted(name for name in inner if not name.startswith("."))
        if "report.json" not in files:
            continue
        report = Path(folder) / "report.json"
        relative = Path(folder).relative_to(root).as_posix()
        try:
            relative.encode()
            yield relative, report.lstat()
        except UnicodeEncodeError:
            logger.warning("%a: left out: its name is not UTF-8", folder)
        except OSError as error:
            logger.warning("%s: left out: %s", report, error)


def summarize_results(root: Path, relative: str) -> ClipSummary:
    """Return the summary of the results in ``root / relative``; files that cannot be read make its ``problem``."""
    folder = root / relative
    finished = (folder / "report.json").stat().st_mtime
    name = folder.resolve().name if relative == "." else folder.name
    try:
        report = read_report(folder)
        table = folder / "people.csv"
        rows = read_people_csv(table)
        clip = report["clip"]
        return ClipSummary(
            folder=relative,
            stamp=hashlib.sha256(table.read_bytes()).hexdigest(),
            name=name,
            duration_s=float(clip["last_frame_s"]),
            first_drawn_s=float(clip.get("first_drawn_s", 0.0)),
            warnings=len(report.get("warnings", ())),
            videos=tuple(video for video in VIDEO_NAMES if (folder / video).is_file()),
            finished=finished,
            problem="",
            people=tuple(_summary_of(number, person) for number, person in sorted(rows.items())),
        )
    except (ArtifactError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        problem = str(error) if isinstance(error, ArtifactError) else f"report.json: failed on {error!r}"
        return ClipSummary(relative, "", name, 0.0, 0.0, 0, (), finished, problem, ())


def _summary_of(number: int, rows: PersonRows) -> PersonSummary:
    return PersonSummary(
        number=number,
        trust=float(np.nanmean(rows.trust)),
        frames=len(rows.time_s),
        first_s=float(rows.time_s[0]),
        last_s=float(rows.time_s[-1]),
        flags=tuple(sorted({flag for raised in rows.flags for flag in raised})),
        flagged=float(np.mean([bool(raised) for raised in rows.flags])),
        best_s=float(rows.time_s[int(np.nanargmax(rows.trust))]),
    )


@dataclass
class Scan:
    """How far a scan is: ``done`` of ``total`` folders that had to be read; ``running`` until it has ended."""

    done: int = 0
    total: int = 0
    running: bool = False


def scan(root: Path, database: sqlite3.Connection, progress: Scan) -> None:
    """Bring the index up to date with what lies below ``root``: only what is new or has changed is read."""
    progress.running = True
    try:
        known = dict(database.execute("select folder, stat from clip"))
        found = {folder: f"{stat.st_mtime_ns}/{stat.st_size}" for folder, stat in results_below(root)}
        database.executemany(
            "delete from clip where folder = ?", [(folder,) for folder in known if folder not in found]
        )
        database.commit()
        changed = [folder for folder, stat in found.items() if known.get(folder) != stat]
        progress.total = len(changed)
        for folder in changed:
            try:
                _store(database, summarize_results(root, folder), found[folder])
            except FileNotFoundError:
                logger.warning("%s: vanished while it was read", root / folder)
            progress.done += 1
            if progress.done % _COMMIT_EVERY == 0:
                database.commit()
        database.commit()
    finally:
        progress.running = False


def _store(database: sqlite3.Connection, clip: ClipSummary, stat: str) -> None:
    people = clip.people
    frames = sum(person.frames for person in people)
    values = {
        "folder": clip.folder, "stat": stat, "stamp": clip.stamp, "name": clip.name, "duration": clip.duration_s,
        "first_drawn": clip.first_drawn_s,
        "trust": sum(person.trust * person.frames for person in people) / frames if frames else None,
        "people": len(people), "flags": ";".join(sorted({flag for person in people for flag in person.flags})),
        "flagged": sum(person.flagged * person.frames for person in people) / frames if frames else None,
        "warnings": clip.warnings, "videos": ";".join(clip.videos), "problem": clip.problem, "finished": clip.finished,
        "best": max(people, key=lambda person: person.frames).best_s if people else 0.0,
    }  # fmt: skip
    updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "folder")
    row = database.execute(
        f"insert into clip ({', '.join(values)}) values ({', '.join(':' + name for name in values)}) "
        f"on conflict (folder) do update set {updates} returning id",
        values,
    ).fetchone()
    database.execute("delete from person where clip = ?", row)
    database.execute("delete from thumb where clip = ?", row)
    database.executemany(
        "insert into person values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (row[0], person.number, person.trust, person.frames, person.first_s, person.last_s,
             ";".join(person.flags), person.flagged, person.best_s)
            for person in people
        ],
    )  # fmt: skip
