"""A results folder read back with numpy alone: its report, and people.csv as arrays. What writes it is ``results``."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocap_video.errors import ArtifactError

VIDEO_NAMES = ("overlay.mp4", "topview.mp4", "review.mp4")

_ADVICE = "Run the clip again: finished stages are reused."


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


def read_report(folder: Path) -> dict[str, Any]:
    """Return report.json of a results ``folder``; ``ArtifactError`` where it is absent or is not one."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder}: not a results folder: it has no report.json. Give the -o of a run.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: expected a report (JSON): {error}. {_ADVICE}") from error
    if not isinstance(report, dict):
        raise ArtifactError(f"{path}: expected a report, got {type(report).__name__}. {_ADVICE}")
    return report


def read_people_csv(path: Path) -> dict[int, PersonRows]:
    """Return every person's rows by number. Columns are found by name; a file without ``flags`` has none.

    ``ArtifactError`` for a file that is absent, or that holds something else.
    """
    gathered: dict[int, list[tuple[list[float], str, tuple[str, ...]]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows)
            column = {name: place for place, name in enumerate(header)}
            numbers = [column[name] for name in ("time_s", "x", "y", "z", "speed", "trust")]
            person, contact, flags = column["person"], column["contact"], column.get("flags")
            for row in rows:
                if len(row) != len(header):
                    raise ValueError(f"line {rows.line_num}: {len(row)} columns, not {len(header)}")
                values = [float(row[place] or "nan") for place in numbers]
                raised = () if flags is None or not row[flags] else tuple(row[flags].split(";"))
                gathered.setdefault(int(row[person]), []).append((values, row[contact], raised))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file. {_ADVICE}") from error
    except (OSError, UnicodeError, csv.Error, KeyError, ValueError, IndexError, StopIteration) as error:
        raise ArtifactError(
            f"{path}: expected people.csv as `run` writes it, failed on {error!r}. {_ADVICE}"
        ) from error
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
