"""people.csv read back: one person's rows as arrays. Columns are found by name, so later ones do not matter."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.errors import ArtifactError


@dataclass(frozen=True)
class PersonRows:
    """One person's rows: ``time_s (T)`` s, ``root (T,3)`` m, site world, ``speed (T)`` m/s (NaN where there is none),
    ``contact`` T of none, left, right, both; ``trust (T)`` 0..1; ``flags`` T tuples of flag ids.
    """

    time_s: np.ndarray
    root: np.ndarray
    speed: np.ndarray
    contact: tuple[str, ...]
    trust: np.ndarray
    flags: tuple[tuple[str, ...], ...]


def read_people_csv(path: Path) -> dict[int, PersonRows]:
    """Return every person's rows by number; a file without the column ``flags`` has none.

    ``ArtifactError`` for a file that is absent, or that holds something else.
    """
    advice = "Run the clip again: finished stages are reused."
    gathered: dict[int, list[tuple[list[float], str, tuple[str, ...]]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            column = {name: place for place, name in enumerate(next(rows))}
            numbers = [column[name] for name in ("time_s", "x", "y", "z", "speed", "trust")]
            person, contact, flags = column["person"], column["contact"], column.get("flags")
            for row in rows:
                values = [float(row[place] or "nan") for place in numbers]
                raised = () if flags is None or not row[flags] else tuple(row[flags].split(";"))
                gathered.setdefault(int(row[person]), []).append((values, row[contact], raised))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file. {advice}") from error
    except (OSError, UnicodeError, csv.Error, KeyError, ValueError, IndexError, StopIteration) as error:
        raise ArtifactError(f"{path}: expected people.csv as `run` writes it, failed on {error!r}. {advice}") from error
    return {number: _rows_of(of_person) for number, of_person in gathered.items()}


def _rows_of(rows: list[tuple[list[float], str, tuple[str, ...]]]) -> PersonRows:
    values = np.array([numbers for numbers, _, _ in rows])
    return PersonRows(
        time_s=values[:, 0],
        root=values[:, 1:4],
        speed=values[:, 4],
        contact=tuple(contact for _, contact, _ in rows),
        trust=values[:, 5],
        flags=tuple(flags for _, _, flags in rows),
    )
