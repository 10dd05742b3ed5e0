"""What the review knows: the index of results joined with the reviewer's verdicts, asked for and written by the page.

Verdicts are in ``review.sqlite`` in the folder that is reviewed, each saved before the page is answered.
"""

from __future__ import annotations

import datetime
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocap_video.errors import ArtifactError, StorageError
from mocap_video.pipeline import review_index
from mocap_video.pipeline.viewer_pack import hex_colour

VERDICTS = ("accept", "reject", "needs work")
DATABASE = "review.sqlite"
LONGEST_NOTE = 4000

_SCHEMA = """
create table if not exists verdict (
    folder text not null, person integer not null default 0, verdict text not null, note text not null,
    stamp text not null, changed text not null, primary key (folder, person));
"""
_SORTS = {
    "trust": "trust is null, trust", "name": "folder", "duration": "duration", "people": "people",
    "flagged": "flagged is null, flagged", "finished": "finished", "verdict": "verdict", "changed": "changed",
}  # fmt: skip
_CLIPS = """
select clip.id, clip.folder, clip.name, clip.duration, clip.trust, clip.people, clip.flags, clip.flagged, clip.warnings,
    clip.videos, clip.problem, clip.finished, clip.stamp, 0 as number, 0.0 as first_s, clip.duration as last_s,
    coalesce(said.verdict, '') as verdict, coalesce(said.note, '') as note, coalesce(said.stamp, '') as said_of,
    coalesce(said.changed, '') as changed
from clip left join saved.verdict as said on said.folder = clip.folder and said.person = 0
"""
_PEOPLE = """
select clip.id, clip.folder, clip.name, person.last_s - person.first_s as duration, person.trust, 1 as people,
    person.flags, person.flagged, 0 as warnings, clip.videos, clip.problem, clip.finished, clip.stamp, person.number,
    person.first_s, person.last_s, coalesce(said.verdict, '') as verdict, coalesce(said.note, '') as note,
    coalesce(said.stamp, '') as said_of, coalesce(said.changed, '') as changed
from person join clip on clip.id = person.clip
left join saved.verdict as said on said.folder = clip.folder and said.person = person.number
"""


@dataclass(frozen=True)
class Query:
    """What to list: ``of`` clips or people; ``text`` in the folder's name; ``verdict`` one of ``VERDICTS``, ``none``,
    ``any`` or empty (all); a ``flag`` id or empty; ``sort`` by a name of the page, ``descending``; from ``offset`` on,
    at most ``limit``.
    """

    of: str = "clips"
    text: str = ""
    verdict: str = ""
    flag: str = ""
    sort: str = "trust"
    descending: bool = False
    offset: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        if self.of not in ("clips", "people") or self.sort not in _SORTS:
            raise ValueError(f"of, sort: expected clips or people and one of {sorted(_SORTS)}")
        if self.verdict not in ("", "none", "any", *VERDICTS):
            raise ValueError(f"verdict: expected none, any or one of {VERDICTS}")
        if not (0 <= self.offset < 10_000_000 and 0 < self.limit <= 500):
            raise ValueError("offset, limit: expected 0 or more, and 1 to 500")


@dataclass(frozen=True)
class PersonDot:
    """A person of a clip in the list: number, colour, mean trust."""

    number: int
    colour: str
    trust: float


@dataclass(frozen=True)
class Row:
    """A clip of the list, or one of its people (``number`` above 0). ``stale``: the motion has changed since the
    verdict. ``crew``: a clip's first people.
    """

    id: int
    number: int
    folder: str
    name: str
    duration: float
    first_s: float
    last_s: float
    trust: float | None
    people: int
    flags: Sequence[str]
    flagged: float | None
    warnings: int
    videos: Sequence[str]
    problem: str
    finished: float
    verdict: str
    note: str
    stale: bool
    changed: str
    crew: Sequence[PersonDot]


@dataclass(frozen=True)
class Listing:
    """Rows of a query from its offset on, of ``total``."""

    total: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class Overview:
    """Counts over everything: ``clips``, ``people``; clips by verdict ('' is none) and by flag; how far the scan is."""

    clips: int
    people: int
    verdicts: dict[str, int]
    flags: dict[str, int]
    scanned: int
    to_scan: int
    scanning: bool


@dataclass(frozen=True)
class Said:
    """A verdict as it is exported; ``person`` 0 stands for the clip. ``stale`` as in ``Row``; ``found``: the results
    still lie there.
    """

    folder: str
    person: int
    verdict: str
    note: str
    changed: str
    stale: bool
    found: bool


MOST_DOTS = 8


class ReviewStore:
    """The databases of the review of ``root``. Any thread may call; one at a time gets through."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not self.root.is_dir():
            raise ArtifactError(f"{root}: no such folder. Give the folder that holds the results, or one clip's.")
        self.scan = review_index.Scan()
        self._lock = threading.RLock()
        try:
            self._database = self._connect()
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.root / DATABASE}: cannot be used ({error}). The verdicts are kept there, so the folder must be "
                "yours to write; a damaged file is best moved away."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        database = review_index.connect(self.root / review_index.INDEX)
        database.row_factory = sqlite3.Row
        database.execute("attach database ? as saved", (str(self.root / DATABASE),))
        database.executescript(_SCHEMA.replace("verdict (", "saved.verdict (", 1))
        return database

    def start_update(self) -> None:
        """Scan the folder for what is new in a thread of its own, unless one is at it; ``scan`` says how far it is."""
        with self._lock:
            if self.scan.running:
                return
            self.scan = review_index.Scan(running=True)
        threading.Thread(target=self.update, daemon=True).start()

    def update(self) -> None:
        """Scan the folder for what is new and wait for it."""
        database = review_index.connect(self.root / review_index.INDEX)
        try:
            review_index.scan(self.root, database, self.scan)
        finally:
            database.close()

    def close(self) -> None:
        """Close the databases."""
        with self._lock:
            self._database.close()

    def _all(self, sql: str, values: Any = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def listing(self, query: Query) -> Listing:
        """Return the rows that ``query`` asks for."""
        where, values = ["1"], {}
        for number, word in enumerate(query.text.split()):
            where.append(f"instr(lower(folder || ' ' || note), :word{number}) > 0")
            values[f"word{number}"] = word.lower()
        if query.verdict in VERDICTS:
            where.append("verdict = :verdict")
            values["verdict"] = query.verdict
        elif query.verdict:
            where.append("verdict = ''" if query.verdict == "none" else "verdict <> ''")
        if query.flag:
            where.append("instr(';' || flags || ';', ';' || :flag || ';') > 0")
            values["flag"] = query.flag
        source = f"from ({_CLIPS if query.of == 'clips' else _PEOPLE}) where {' and '.join(where)}"
        total = self._all(f"select count(*) {source}", values)[0][0]
        order = _SORTS[query.sort] + (" desc" if query.descending else "")
        rows = self._all(
            f"select * {source} order by {order}, folder, number limit :limit offset :offset",
            {**values, "limit": query.limit, "offset": query.offset},
        )
        return Listing(total, self._rows(rows))

    def clip(self, clip: int) -> Listing:
        """Return the clip, then each of its people; empty where there is none of that id."""
        rows = self._all(f"select * from ({_CLIPS}) where id = ?", (clip,))
        rows += self._all(f"select * from ({_PEOPLE}) where id = ? order by number", (clip,))
        return Listing(len(rows), self._rows(rows))

    def _rows(self, rows: Sequence[sqlite3.Row]) -> list[Row]:
        wanted = sorted({row["id"] for row in rows if row["number"] == 0})
        marks = ",".join("?" * len(wanted))
        dots: dict[int, list[PersonDot]] = {}
        for clip, number, trust in self._all(
            f"select clip, number, trust from person where clip in ({marks}) order by clip, frames desc, number", wanted
        ):
            of_clip = dots.setdefault(clip, [])
            if len(of_clip) < MOST_DOTS:
                of_clip.append(PersonDot(number, hex_colour(number), trust))
        return [
            Row(
                **{name: row[name] for name in (
                    "id", "number", "folder", "name", "duration", "first_s", "last_s", "trust", "people", "flagged",
                    "warnings", "problem", "finished", "verdict", "note", "changed")},
                flags=_split(row["flags"]),
                videos=_split(row["videos"]),
                stale=bool(row["verdict"] or row["note"]) and row["said_of"] != row["stamp"],
                crew=dots.get(row["id"], ()) if row["number"] == 0 else (
                    PersonDot(row["number"], hex_colour(row["number"]), row["trust"]),),
            )
            for row in rows
        ]  # fmt: skip

    def overview(self) -> Overview:
        """Return the counts over everything."""
        flags: dict[str, int] = {}
        for raised, count in self._all("select flags, count(*) from clip group by flags"):
            for flag in _split(raised):
                flags[flag] = flags.get(flag, 0) + count
        verdicts = dict(map(tuple, self._all(f"select verdict, count(*) from ({_CLIPS}) group by verdict")))
        return Overview(
            clips=self._all("select count(*) from clip")[0][0],
            people=self._all("select count(*) from person")[0][0],
            verdicts=verdicts,
            flags=dict(sorted(flags.items())),
            scanned=self.scan.done,
            to_scan=self.scan.total,
            scanning=self.scan.running,
        )

    def folder_of(self, clip: int) -> str | None:
        """Return the folder of the clip, relative to the root."""
        rows = self._all("select folder from clip where id = ?", (clip,))
        return rows[0][0] if rows else None

    def say(self, clip: int, person: int, verdict: str, note: str) -> None:
        """Save what the reviewer says of the clip (``person`` 0) or of a person; nothing at all takes it back.

        ``ValueError`` for a clip or person that is not there, an unknown verdict or a note that is too long.
        """
        with self._lock:
            rows = self._all("select folder, stamp from clip where id = ?", (clip,))
            there = person == 0 or self._all("select 1 from person where clip = ? and number = ?", (clip, person))
            if not rows or not there:
                raise ValueError(f"clip {clip}, person {person}: not there")
            if verdict not in ("", *VERDICTS) or len(note) > LONGEST_NOTE:
                raise ValueError(
                    f"expected a verdict of {VERDICTS} or none, and a note of at most {LONGEST_NOTE} letters"
                )
            folder, stamp = rows[0]
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            with self._database:
                if verdict or note:
                    self._database.execute(
                        "insert or replace into saved.verdict values (?, ?, ?, ?, ?, ?)",
                        (folder, person, verdict, note, stamp, now),
                    )
                else:
                    self._database.execute(
                        "delete from saved.verdict where folder = ? and person = ?", (folder, person)
                    )

    def said(self) -> list[Said]:
        """Return all verdicts, by folder and person."""
        rows = self._all(
            "select said.*, clip.stamp as stamp_now from saved.verdict as said left join clip "
            "on clip.folder = said.folder order by said.folder, said.person"
        )
        return [
            Said(row["folder"], row["person"], row["verdict"], row["note"], row["changed"],
                 stale=row["stamp_now"] is not None and row["stamp_now"] != row["stamp"],
                 found=row["stamp_now"] is not None)
            for row in rows
        ]  # fmt: skip

    def moment(self, clip: int, person: int) -> tuple[float, float] | None:
        """Return when the clip's longest person, or the given one, is trusted most, and when its videos begin, s."""
        if person == 0:
            rows = self._all("select best, first_drawn from clip where id = ?", (clip,))
        else:
            rows = self._all(
                "select person.best, first_drawn from person join clip on id = clip where id = ? and number = ?",
                (clip, person),
            )
        return (float(rows[0][0]), float(rows[0][1])) if rows else None

    def thumb(self, clip: int, person: int) -> bytes | None:
        """Return the picture kept for the clip or person; empty bytes where it is known that there can be none."""
        rows = self._all("select jpeg from thumb where clip = ? and number = ?", (clip, person))
        return bytes(rows[0][0]) if rows else None

    def keep_thumb(self, clip: int, person: int, jpeg: bytes) -> None:
        """Keep a picture; a clip that has gone meanwhile keeps none."""
        with self._lock, self._database:
            self._database.execute(
                "insert or replace into thumb select id, ?, ? from clip where id = ?", (person, jpeg, clip)
            )


def _split(joined: str) -> tuple[str, ...]:
    return tuple(part for part in joined.split(";") if part)
