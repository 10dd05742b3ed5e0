"""Measure memory, speed and seams over the length of a recording and write docs/benchmarks/long.md.

    python tools/benchmark_long.py --data DATA [--minutes 1,10,60] [--rate HZ] [--width PX] [--work FOLDER]

The content is a real clip (pose2sim_single, cam03), forwards and backwards in turn, so that nobody jumps, as often as
fills the time; --rate and --width thin and shrink it where the full one would take days. DATA (or MOCAP_VIDEO_DATA) is
the folder that holds real/. What is measured is kept at once in docs/benchmarks/long.json and not measured again, so
lengths may be done on different days; one that was killed goes on, and the page says so. Another --rate or --width, or
other weights, begin anew, as deleting that file does. --work holds the runs' results and may go once a length is done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from processes import run_program

from mocap_video.artifacts import digest_file
from mocap_video.calib.files import read_calibration, write_calibration
from mocap_video.lifter.weights import shipped_weights
from mocap_video.pipeline.joining import Segment, join_videos
from mocap_video.pipeline.results import PersonRecord, person_files, read_person
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from mocap_video.skeletons import COCO17
from mocap_video.stretches import cut_pieces
from mocap_video.types import Calibration

PART = Path(__file__).parents[1] / "docs" / "benchmarks" / "long.md"
KEPT = PART.with_suffix(".json")
"""What was measured, for the page."""

STAGES = ("people", "tracks", "lift", "shape", "fit", "videos")
SEAM_MINUTES, SEAM_PIECE_S, WHOLE_S = 2.0, 10.0, 1e9


@dataclass(frozen=True)
class Material:
    """One loop of the clip, there and back, lasting ``seconds``; its calibration file."""

    loop: Path
    seconds: float
    calib: Path
    size: tuple[int, int]


def prepare(data: Path, work: Path, rate: float, width: int) -> Material:
    """Write one loop at about ``rate`` Hz and ``width`` px."""
    folder = data / "real" / "pose2sim_single"
    clip, source = folder / "cam03.mp4", folder / "cam03.yaml"
    info = probe(clip)
    step = max(1, round(float(info.rate) / rate))
    scale = min(1.0, width / info.size[0])
    size = (round(info.size[0] * scale / 2) * 2, round(info.size[1] * scale / 2) * 2)
    there = [cv2.resize(f.rgb, size, interpolation=cv2.INTER_AREA) for f in read_frames(clip) if f.index % step == 0]
    frames = [*there, *there[-2:0:-1]]
    interval_s = step / float(info.rate)
    loop, calib = work / "loop.mp4", work / "cam.yaml"
    work.mkdir(parents=True, exist_ok=True)
    with VideoWriter(loop, size) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, index * interval_s)
    whole = read_calibration(source)
    write_calibration(Calibration(whole.camera.resized(size), whole.ground, name="cam03"), calib)
    return Material(loop, len(frames) * interval_s, calib, size)


def recording(material: Material, minutes: float, path: Path) -> Path:
    """Write ``minutes`` of the loop, over and over, without encoding again."""
    if not path.exists():
        count = max(1, round(60 * minutes / material.seconds))
        join_videos([Segment(material.loop, lap * material.seconds) for lap in range(count)], path)
    return path


@dataclass(frozen=True)
class Cost:
    """What a run took: ``seconds`` of wall clock by stage, ``cpu_s`` of processors and the largest resident memory,
    ``peak_mb`` (10^6 bytes), of the whole process. ``kept`` of ``pieces`` were there from a run that was killed, so the
    times are those of the rest. ``load``: the machine's load average over a minute at the end; 1 is this run's own.
    """

    frames: int
    seconds: dict[str, float]
    cpu_s: float
    peak_mb: float
    pieces: int
    kept: int
    load: float

    def row(self, minutes: str) -> str:
        """Return a row of the table."""
        figures = " | ".join(f"{self.seconds[name]:.1f}" for name in STAGES)
        each = [f"{1000 * spent / self.frames:.0f}" for spent in (sum(self.seconds.values()), self.cpu_s)]
        if self.kept:
            each = ["", ""]
            minutes += f" min, killed and gone on with {self.kept} of {self.pieces} pieces done"
        else:
            minutes += " min"
        return f"| {minutes} | {self.frames} | {figures} | {' | '.join(each)} | {self.peak_mb:.0f} | {self.load:.0f} |"


def run(clip: Path, material: Material, output: Path, piece_s: float | None = None) -> Cost:
    """Run the installed program in a process of its own."""
    options = []
    if piece_s is not None:
        config = output.parent / f"{output.name}.py"
        config.write_text(f"pieces = dict(length_s={piece_s})\n", encoding="utf-8")
        options = ["--config", str(config)]
    usage = run_program("run", str(clip), "--calib", str(material.calib), "-o", str(output), *options)
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    stages = report["stages"]
    return Cost(
        frames=report["clip"]["frames"],
        seconds={stage["name"]: stage["seconds"] for stage in stages},
        cpu_s=usage.cpu_s,
        peak_mb=usage.peak_mb,
        pieces=sum(stage["pieces"] for stage in stages),
        kept=sum(stage["pieces_reused"] for stage in stages),
        load=os.getloadavg()[0],
    )


def jumps(record: PersonRecord, seams: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return how far, mm, root and joints are off the straight way at ``seams (S)``, frame numbers, and elsewhere."""
    found = {}
    for name, points in (
        ("root, lifted", COCO17.root_of(record.joints_world)[:, None]),
        ("joints, lifted", record.joints_world),
        ("joints, body", record.smpl_joints_world),
    ):
        bend = 1000 * np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1).mean(-1)
        at = np.isin(record.frame[1:-1], seams) | np.isin(record.frame[2:], seams)
        found[name] = bend[at], bend[~at]
    return found


def seam_rows(material: Material, work: Path) -> Iterator[str]:
    """Yield how much people jump where pieces meet against elsewhere, and against a run in one piece."""
    clip = recording(material, SEAM_MINUTES, work / f"{SEAM_MINUTES:g}min.mp4")
    for name, piece_s in (("pieces", SEAM_PIECE_S), ("whole", WHOLE_S)):
        if not (work / f"seams_{name}" / "report.json").exists():
            run(clip, material, work / f"seams_{name}", piece_s)
    info = probe(clip)
    pieces = cut_pieces(np.arange(len(info)), info.time_s, SEAM_PIECE_S)
    seams = np.array([piece.first for piece in pieces[1:]])
    people, whole = (
        [read_person(path) for path in person_files(work / f"seams_{name}")] for name in ("pieces", "whole")
    )
    yield f"| mm a frame | at {len(seams)} seams: median, most | elsewhere: median, 95 %, most |"
    yield "|---|---|---|"
    found = [jumps(record, seams) for record in people]
    for name in found[0]:
        at, off = (np.concatenate([one[name][side] for one in found]) for side in (0, 1))
        yield (
            f"| {name} | {np.median(at):.1f}, {at.max():.1f} | {np.median(off):.1f}, {np.quantile(off, 0.95):.1f}, "
            f"{off.max():.1f} |"
        )
    same = [len(a.frame) for a in people] == [len(b.frame) for b in whole]
    yield ""
    if not same:
        yield f"People in pieces: {len(people)}; in one piece: {len(whole)}; their frames differ."
        return
    for name in ("joints_world", "smpl_joints_world"):
        apart = [
            np.linalg.norm(getattr(a, name) - getattr(b, name), axis=-1) for a, b in zip(people, whole, strict=True)
        ]
        off = 1000 * np.concatenate([part.ravel() for part in apart])
        yield f"- `{name}`, pieces against one piece: median {np.median(off):.3f} mm, most {off.max():.3f} mm."


def settings_of(material: Material) -> dict[str, Any]:
    """Return what figures that stand on one page have in common."""
    rate = round(float(probe(material.loop).rate), 3)
    return {"size": list(material.size), "rate": rate, "weights": digest_file(shipped_weights())[:8]}


def measure(material: Material, work: Path, minutes: Sequence[str], kept: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ``kept`` after each thing that was measured: the cost of ``minutes``, then the seams."""
    for length in minutes:
        if length not in kept["costs"]:
            clip = recording(material, float(length), work / f"{length}min.mp4")
            cost = run(clip, material, work / f"{length}min")
            kept["costs"][length] = asdict(cost)
            yield kept
    if not kept["seams"]:
        kept["seams"] = list(seam_rows(material, work))
    yield kept


def page(kept: dict[str, Any], command: str, note: str) -> str:
    """Return the page on all that is ``kept``."""
    (width, height), rate = kept["settings"]["size"], kept["settings"]["rate"]
    costs = sorted(kept["costs"].items(), key=lambda one: float(one[0]))
    lines = [
        f"<!-- {command}; lifter weights {kept['settings']['weights']} -->",
        f"## Long recordings: {width} x {height} at {rate:.3g} Hz, one person all the time\n",
        f"| recording | frames | {' | '.join(f'{name} s' for name in STAGES)} | ms a frame | CPU ms a frame "
        "| peak memory MB | load |",
        "|---" * (len(STAGES) + 6) + "|",
        *(Cost(**cost).row(length) for length, cost in costs),
        f"\nPieces of 60 s. {os.cpu_count()} cores, {platform.machine()}; wall clock, one after another. Load is the "
        "machine's average over a minute at the end of the run, about 1 where it does nothing else: above that, "
        f"wall-clock times are too long. Memory is that of the whole process. {note}".rstrip()
        + "\n",
    ]
    if kept["seams"]:
        lines += [
            f"Seams, in pieces of {SEAM_PIECE_S:g} s over {SEAM_MINUTES:g} minutes: how far a frame lies off the "
            "straight way through its neighbours, mean over the points, of the two frames that meet and of all "
            "others.\n",
            *kept["seams"],
        ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MOCAP_VIDEO_DATA"), help="folder with real/")
    parser.add_argument("--work", type=Path, default=Path("out/long"), help="where the runs' results go")
    parser.add_argument("--minutes", default="1,10,60", help="lengths of the recordings")
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second, about")
    parser.add_argument("--width", type=int, default=1920, help="px")
    parser.add_argument("--note", default="", help="a remark about the machine, taken into the page")
    chosen = parser.parse_args()
    if chosen.data is None or not (Path(chosen.data) / "real").is_dir():
        parser.error("--data: expected the folder that holds real/ (or set MOCAP_VIDEO_DATA)")
    work = chosen.work / f"{chosen.rate:g}Hz_{chosen.width}px"
    material = prepare(Path(chosen.data), work, chosen.rate, chosen.width)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    settings = settings_of(material)
    if kept.get("settings") != settings:
        kept = {"settings": settings, "costs": {}, "seams": []}
    command = f"python tools/benchmark_long.py --minutes {chosen.minutes} --rate {chosen.rate:g} --width {chosen.width}"
    minutes = [f"{float(length):g}" for length in chosen.minutes.split(",")]
    for known in measure(material, work, minutes, kept):
        KEPT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        PART.write_text(page(known, command, chosen.note), encoding="utf-8")


if __name__ == "__main__":
    main()
