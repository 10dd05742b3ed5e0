"""Measure what `export` takes for an hour of people and write docs/benchmarks/exports.md.

    python tools/benchmark_exports.py [--minutes 60] [--rate 30] [--people 1,4] [--formats bvh,glb,...]

The people are made: six seconds of a known walk, over and over. Every format is written by a process of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from processes import run_program

from mocap_video.pipeline.export import EXPORTERS
from mocap_video.pipeline.results import PersonRecord, person_files, read_person, write_person_parts
from synth.performers import LONGEST_S, make_performer, write_performers

PART = Path(__file__).parents[1] / "docs" / "benchmarks" / "exports.md"


def write_hour(folder: Path, people: int, minutes: float, rate: float) -> int:
    """Write a results folder of ``people`` who are there for ``minutes`` and return how many frames each has."""
    time_s = np.arange(round((LONGEST_S - 0.5) * rate)) / rate
    laps = round(60 * minutes * rate / len(time_s))
    write_performers(folder, *(make_performer(number + 1, time_s) for number in range(people)))
    for path in person_files(folder):
        record = read_person(path)
        write_person_parts((_later(record, lap, rate) for lap in range(laps)), path)
    return laps * len(time_s)


def _later(record: PersonRecord, lap: int, rate: float) -> PersonRecord:
    frame = record.frame + lap * len(record.frame)
    return replace(record, frame=frame, time_s=frame / rate, mocap_framerate=rate)


def rows(folder: Path, people: Sequence[int], formats: Sequence[str], minutes: float, rate: float) -> Iterator[str]:
    """Yield the table, a row a format."""
    head = [f"{count} {'person' if count == 1 else 'people'}: {what}" for count in people
            for what in ("peak memory MB", "CPU s", "MB written")]  # fmt: skip
    yield f"| format | {' | '.join(head)} |"
    yield "|---" * (len(head) + 1) + "|"
    for count in people:
        write_hour(folder / str(count), count, minutes, rate)
    for name in formats:
        cells = []
        for count in people:
            usage = run_program("export", str(folder / str(count)), "--to", name)
            written = list((folder / str(count) / "export").glob(f"*.{name}"))
            cells += [usage.peak_mb, usage.cpu_s, sum(path.stat().st_size for path in written) / 1e6]
            for path in written:
                path.unlink()
        yield f"| `{name}` | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second")
    parser.add_argument("--people", default="1,4", help="so many in one clip, all the time")
    parser.add_argument("--formats", default=",".join(name for name in EXPORTERS if name != "c3d"))
    chosen = parser.parse_args()
    people, formats = [int(count) for count in chosen.people.split(",")], chosen.formats.split(",")
    command = f"python tools/benchmark_exports.py --minutes {chosen.minutes:g} --rate {chosen.rate:g}"
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"<!-- {command} --people {chosen.people} --formats {chosen.formats} -->",
            f"## `export` of {chosen.minutes:g} minutes at {chosen.rate:g} Hz\n",
            *rows(Path(folder), people, formats, chosen.minutes, chosen.rate),
            f"\nEach format by a process of its own, on {os.cpu_count()} cores, {platform.machine()}. The motion "
            "repeats itself, so what USD writes is less than of a real hour.",
        ]
    PART.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
