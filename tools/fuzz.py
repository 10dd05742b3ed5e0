"""Damage files at random and see that each is read, or refused by a named error; write docs/benchmarks/fuzz.md.

    python tools/fuzz.py [--cases 10000] [--clips 200] [--runs 10] [--seed 0] [--clip FILE] [--frames 8] [--check]

``--cases`` small files: cam.yaml, site.yaml, the npz that `lift` reads, people/NNN.npz, store entries and manifests.
``--clips`` damaged copies of a clip are decoded whole, ``--runs`` of them go through the whole of `run`. Each case is
made from the seed, the kind of file and its number alone, so one that fails can be made again: ``--only KIND:NUMBER``.
Cases run in a process beside, which is watched: its death, or long silence, is counted against the case.
``--check`` writes no table. Exits with 1 if any case ended otherwise than it may.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz_cases import READ, SMALL, case, decode, run_whole, short_clip, subject_of

from mocap_video.errors import MocapVideoError

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "fuzz.md"
KEPT = PAGE.with_suffix(".json")
"""What became of each kind the last time it was tried, for the table."""

SILENCE_S = {"run": 1800.0}
"""A case of which nothing is heard for so long hangs (s); 300 where nothing is said of its kind."""


# --- the process that reads -----------------------------------------------------------------------------------------


def work_through(arguments: argparse.Namespace) -> None:
    """Read cases from ``arguments.first`` on and tell of each on a line; what reading prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kind = arguments.worker
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for number, outcome in outcomes(kind, arguments, work):
            out.write(json.dumps([number, *outcome]) + "\n")
            out.flush()


def outcomes(kind: str, arguments: argparse.Namespace, work: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the number of each case and how reading it ended: in a word, and a traceback where it may not."""
    if kind in SMALL:
        subject = subject_of(kind, work)
        suffix, examples, read = subject.suffix, subject.examples, subject.read
    else:
        suffix, examples = ".mp4", [arguments.clip.read_bytes()]
        read = decode if kind == "clip" else lambda path: run_whole(path, arguments.calib, work)
    for number in range(arguments.first, arguments.count):
        path = work / f"case {number}{suffix}"
        content = case(kind, number, arguments.seed, examples)
        path.write_bytes(content)
        outcome = read_one(path, read)
        if path.read_bytes() != content:
            outcome = ("INPUT CHANGED", "")
        path.unlink()
        yield number, outcome


def read_one(path: Path, read: Callable[[Path], object]) -> tuple[str, str]:
    try:
        found = read(path)
    except MocapVideoError as error:
        return type(error).__name__, ""
    except Exception as error:  # noqa: BLE001 - what is sought
        return f"CRASH {type(error).__name__}", "".join(traceback.format_exception(error)[-4:])
    return (found, "") if isinstance(found, str) else (READ, "")


# --- the process that watches ---------------------------------------------------------------------------------------


def watch(kind: str, count: int, arguments: argparse.Namespace) -> tuple[Counter[str], list[str]]:
    """Have ``count`` cases of ``kind`` read, and return how they ended and what must be mended."""
    found: Counter[str] = Counter()
    faults: list[str] = []
    first = 0
    while first < count:
        for number, outcome, where in _told(kind, first, count, arguments):
            found[outcome] += 1
            first = number + 1
            if is_fault(outcome):
                faults.append(f"{kind}:{number}: {outcome}\n{where}")
    return found, faults


def _told(kind: str, first: int, count: int, arguments: argparse.Namespace) -> Iterator[tuple[int, str, str]]:
    """Yield what a process that reads tells, and its death or silence as the last case's outcome."""
    numbers = {"first": first, "count": count, "seed": arguments.seed}
    given = {"worker": kind, "clip": arguments.clip, "calib": arguments.calib, **numbers}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in given.items())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            pending, number = b"", first - 1
            while True:
                if not selector.select(SILENCE_S.get(kind, 300.0)):
                    process.kill()
                    yield number + 1, "HANG", ""
                    return
                more = os.read(process.stdout.fileno(), 1 << 16)
                *lines, pending = (pending + more).split(b"\n")
                for line in lines:
                    number, outcome, where = json.loads(line)
                    yield number, outcome, where
                if not more:
                    break
        code = process.wait()
        if number + 1 < count:
            yield number + 1, f"DIED {signal.Signals(-code).name if code < 0 else code}", ""


def page(kept: dict[str, dict[str, Any]]) -> str:
    """Return the table of what became of all cases, by kind, each with the command that made it."""
    commands = dict.fromkeys(entry["command"] for entry in kept.values())
    lines = [f"<!-- {'; '.join(commands)} -->", "## Damaged files: what became of them", ""]
    lines += ["| file | cases | read | refused by a named error | anything else |", "|---|---|---|---|---|"]
    for kind, entry in kept.items():
        found: dict[str, int] = entry["found"]
        wrong = {name: n for name, n in found.items() if is_fault(name)}
        well = {name: n for name, n in found.items() if name == READ or name.startswith("finished")}
        named = {name: n for name, n in found.items() if name not in wrong and name not in well}
        cells = [", ".join(f"{name} {n}" for name, n in sorted(part.items())) for part in (well, named, wrong)]
        lines.append(f"| {kind} | {sum(found.values())} | " + " | ".join(cell or "none" for cell in cells) + " |")
    clips = [f"{entry['clip']} (`{kind}`)" for kind, entry in kept.items() if kind not in SMALL]
    lines += [
        "",
        "Each case has one to three faults: truncated, bits flipped, zeros, parts cut out, repeated or put in, and,",
        "for YAML and npz, values, keys, types and shapes that do not belong. `clip`, decoded twice, and `run`, the",
        f"whole of `run` over earlier results: {', '.join(clips)}. No case changed the file that was read.",
        "",
    ]
    return "\n".join(lines)


def is_fault(outcome: str) -> bool:
    """Whether a case ended otherwise than it may."""
    return outcome.isupper() or outcome.startswith(("CRASH", "DIED"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="damaged small files, all kinds together")
    parser.add_argument("--clips", type=int, default=200, help="damaged clips that are decoded")
    parser.add_argument("--runs", type=int, default=10, help="damaged clips that go through the whole of run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clip", type=Path, help="a real clip to damage; its calibration is CLIP.yaml beside it")
    parser.add_argument("--frames", type=int, default=8, help="so many of the clip's; in fewer than 0.5 s is nobody")
    parser.add_argument("--kinds", metavar="KIND,...", help="try these alone")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="write this case to the current folder and stop")
    parser.add_argument("--check", action="store_true", help="write no table")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--calib", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work_through(arguments)
        return
    source = arguments.clip
    with tempfile.TemporaryDirectory() as folder:
        arguments.clip, arguments.calib = Path(folder) / "whole.mp4", Path(folder) / "cam.yaml"
        made_of = short_clip(source, arguments.clip, arguments.frames)
        _write_calibration(source, arguments.calib)
        if arguments.only:
            write_case(arguments, Path(folder))
            return
        faults = try_all(arguments, made_of, source.name if source else "")
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


def try_all(arguments: argparse.Namespace, made_of: str, clip: str) -> list[str]:
    """Try every kind that is asked for, write down what became of it, and return what must be mended."""
    counts = {kind: -(-arguments.cases // len(SMALL)) for kind in SMALL}
    counts |= {"clip": arguments.clips, "run": arguments.runs}
    options = f"--cases {arguments.cases} --clips {arguments.clips} --runs {arguments.runs} --seed {arguments.seed}"
    command = f"python tools/fuzz.py {options} --frames {arguments.frames}" + (f" --clip {clip}" if clip else "")
    command += f" --kinds {arguments.kinds}" if arguments.kinds else ""
    faults = []
    for kind in [kind for kind in counts if not arguments.kinds or kind in arguments.kinds.split(",")]:
        found, more = watch(kind, counts[kind], arguments)
        faults += more
        print(kind, dict(found), flush=True)
        if not arguments.check:
            kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
            kept[kind] = {"found": dict(found), "command": command, "clip": made_of}
            kept = {kind: kept[kind] for kind in counts if kind in kept}
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(page(kept), encoding="utf-8")
    return faults


def _write_calibration(source: Path | None, path: Path) -> None:
    from mocap_video.calib.files import write_calibration
    from mocap_video.pipeline.demo import demo_calibration

    if source is None:
        write_calibration(demo_calibration((640, 360)), path)
    else:
        shutil.copy(source.with_suffix(".yaml"), path)


def write_case(arguments: argparse.Namespace, work: Path) -> None:
    """Write one case, to be looked at."""
    kind, _, number = arguments.only.partition(":")
    examples = subject_of(kind, work).examples if kind in SMALL else [arguments.clip.read_bytes()]
    path = Path(f"{kind.replace(' ', '-')}-{number}{Path(kind).suffix or '.bin'}")
    path.write_bytes(case(kind, int(number), arguments.seed, examples))
    print(path, hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
