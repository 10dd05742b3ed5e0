"""Measure memory, speed and seams over the length of a recording and write docs/benchmarks/long.md.

    python tools/benchmark_long.py --data DATA [--minutes 1,10,60] [--rate HZ] [--width PX] [--work FOLDER]

The content is a real clip (pose2sim_single, cam03), forwards and backwards in turn, so that nobody jumps, as often as
fills the time; --rate and --width thin and shrink it where the full one would take days. DATA (or MOCAP_VIDEO_DATA) is
the folder that holds real/. A run that is there already is not made again; delete --work for figures of one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mocap_video.calib.files import read_calibration, write_calibration
from mocap_video.pipeline.joining import Segment, join_videos
from mocap_video.pipeline.results import PersonRecord, person_files, read_person
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from mocap_video.skeletons import COCO17
from mocap_video.stretches import cut_pieces
from mocap_video.types import Calibration

PART = Path(__file__).parents[1] / "docs" / "benchmarks" / "long.md"
STAGES = ("people", "tracks", "lift", "shape", "fit", "videos")
SEAM_PIECE_S, WHOLE_S = 10.0, 1e9


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


def run(clip: Path, material: Material, output: Path, piece_s: float | None = None) -> dict:
    """Run the installed program in a process of its own and return its report."""
    report = output / "report.json"
    if not report.exists():
        options = []
        if piece_s is not None:
            config = output.parent / f"{output.name}.py"
            config.write_text(f"pieces = dict(length_s={piece_s})\n", encoding="utf-8")
            options = ["--config", str(config)]
        code = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"
        command = ["run", str(clip), "--calib", str(material.calib), "-o", str(output), *options]
        subprocess.run([sys.executable, "-c", code, *command], check=True)
    return json.loads(report.read_text(encoding="utf-8"))


def cost_rows(material: Material, work: Path, minutes: Sequence[float]) -> Iterator[str]:
    """Yield time and memory for each length."""
    yield f"| recording | frames | {' | '.join(f'{name} s' for name in STAGES)} | ms a frame | peak memory MB |"
    yield "|---" * (len(STAGES) + 4) + "|"
    for length in minutes:
        clip = recording(material, length, work / f"{length:g}min.mp4")
        report = run(clip, material, work / f"{length:g}min")
        seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
        peak = max(stage["peak_memory_mb"] for stage in report["stages"])
        frames, total = report["clip"]["frames"], sum(seconds.values())
        figures = " | ".join(f"{seconds[name]:.1f}" for name in STAGES)
        yield f"| {length:g} min | {frames} | {figures} | {1000 * total / frames:.0f} | {peak:.0f} |"


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
    clip = recording(material, 2, work / "2min.mp4")
    for name, piece_s in (("pieces", SEAM_PIECE_S), ("whole", WHOLE_S)):
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
    material = prepare(Path(chosen.data), chosen.work, chosen.rate, chosen.width)
    rate = float(probe(material.loop).rate)
    command = f"python tools/benchmark_long.py --minutes {chosen.minutes} --rate {chosen.rate:g} --width {chosen.width}"
    lines = [
        f"<!-- {command} -->",
        f"## Long recordings: {material.size[0]} x {material.size[1]} at {rate:.3g} Hz, one person all the time\n",
        *cost_rows(material, chosen.work, [float(length) for length in chosen.minutes.split(",")]),
        f"\nPieces of 60 s. {os.cpu_count()} cores, {platform.machine()}; wall clock. {chosen.note}".rstrip() + "\n",
        f"Seams, in pieces of {SEAM_PIECE_S:g} s over 2 minutes: how far a frame lies off the straight way through its "
        "neighbours, mean over the points, of the two frames that meet and of all others.\n",
        *seam_rows(material, chosen.work),
    ]
    PART.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
