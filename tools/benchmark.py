"""Run the pipeline on real recordings and write docs/benchmarks/runs.md, then docs/benchmarks.md from its parts.

    python tools/benchmark.py --data DATA [--work FOLDER] [--only single,multi,jump,cost]

DATA (or the variable MOCAP_VIDEO_DATA) is the folder that holds real/pose2sim_single and so on; it is not part of the
repository. Every figure comes from this command. Parts measured by other commands, such as docs/benchmarks/lifter.md,
are taken in as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.artifacts import digest_file
from mocap_video.calib.files import read_calibration
from mocap_video.lifter.body import load_body
from mocap_video.lifter.metrics import MotionErrors, match_times, motion_errors
from mocap_video.lifter.weights import shipped_weights
from mocap_video.pipeline.evaluate import body_keypoints
from mocap_video.pipeline.results import PersonRecord, person_files, read_person
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from mocap_video.skeletons import COCO17

DOCS = Path(__file__).parents[1] / "docs"
PARTS = DOCS / "benchmarks"
VIEWS = ("cam01", "cam02", "cam03", "cam04")
LATE_FRAMES = {"cam03": 3}
"""Found by triangulating detections: this view runs so many frames behind the truth."""

LOOPS = 10
TRUTH_HZ = 60.0


@dataclass(frozen=True)
class Outcome:
    """A finished run: its people and its report."""

    people: list[PersonRecord]
    report: dict

    def seconds(self, *stages: str) -> float:
        """Return the wall clock of ``stages``, of all where none is named."""
        return sum(s["seconds"] for s in self.report["stages"] if not stages or s["name"] in stages)


def run(clip: Path, calib: Path, output: Path) -> Outcome:
    """Run the installed program in a process of its own, so that its peak memory is its own."""
    code = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"
    arguments = ["run", str(clip), "--calib", str(calib), "-o", str(output)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{clip}: mocap-video run ended with {done.returncode}")
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return Outcome([read_person(path) for path in person_files(output)], report)


def truth_of(folder: Path) -> np.ndarray:
    """Return the man's triangulated COCO-17 joints ``(100,17,3)`` m, site world; NaN where unknown."""
    with np.load(folder / "gt.npz") as truth:
        return truth["xyz_world_filt6hz"][:, : len(COCO17)].astype(float)


def errors_against(person: PersonRecord, joints: np.ndarray, truth: np.ndarray, late: int) -> MotionErrors:
    """Compare ``joints (T,17,3)`` m of ``person`` with ``truth (T,17,3)`` m at 60 Hz, the video being ``late`` frames
    behind.
    """
    time_s = np.arange(len(truth)) / TRUTH_HZ
    mine, theirs = match_times(person.time_s - late / TRUTH_HZ, time_s, 0.4 / TRUTH_HZ)
    return motion_errors(joints[mine], truth[theirs], COCO17, TRUTH_HZ)


def longest(people: list[PersonRecord]) -> PersonRecord:
    """Return the person followed longest."""
    return max(people, key=lambda person: len(person.frame))


def single(data: Path, work: Path) -> Iterator[str]:
    """One man, four views, triangulated truth."""
    folder = data / "real" / "pose2sim_single"
    truth = truth_of(folder)
    yield "## One person, four real views (pose2sim_single), against triangulated truth (1-3 cm)\n"
    yield "| view | people | frames | joints | Abs-MPJPE | Root | MPJPE | PA-MPJPE |\n|---|---|---|---|---|---|---|---|"
    for view in VIEWS:
        outcome = run(folder / f"{view}.mp4", folder / f"{view}.yaml", work / "single" / view)
        for late in sorted({0, LATE_FRAMES.get(view, 0)}):
            name = f"{view}, taken as {late} frames late" if late else view
            if not outcome.people:
                yield f"| {name} | 0 | 0 | | | | | |"
                continue
            person = longest(outcome.people)
            body = body_keypoints(load_body(person.gender), person.betas, person.poses.reshape(-1, 24, 3), person.trans)
            for kind, joints in (("as lifted", person.joints_world), ("of the body", body)):
                e = errors_against(person, joints, truth, late)
                figures = " | ".join(f"{x:.0f}" for x in (e.abs_mpjpe_mm, e.root_mm, e.mpjpe_mm, e.pa_mpjpe_mm))
                yield f"| {name} | {len(outcome.people)} | {e.frames} | {kind} | {figures} |"
    yield "\nMillimetres, COCO-17, the person followed longest, no alignment but in PA-MPJPE.\n"


def multi(data: Path, work: Path) -> Iterator[str]:
    """The same man with a computer-generated woman."""
    folder = data / "real" / "pose2sim_multi"
    truth = truth_of(folder)
    yield "## Two people (pose2sim_multi): who is found, and whether numbers are kept\n"
    yield "| view | frames of each person | the man's number | frames in which another number is nearer to him |"
    yield "|---|---|---|---|"
    for view in VIEWS:
        outcome = run(folder / f"{view}.mp4", folder / f"{view}.yaml", work / "multi" / view)
        lengths = ", ".join(f"{i + 1}: {len(person.frame)}" for i, person in enumerate(outcome.people))
        number, swaps = nearest_to(truth, outcome.people)
        yield f"| {view} | {lengths or 'nobody'} | {number or '-'} | {swaps} |"
    yield ""


def nearest_to(truth: np.ndarray, people: list[PersonRecord]) -> tuple[int, int]:
    """Return the number of the person who is nearest to ``truth (T,17,3)`` m most often, and how often another is."""
    distance = np.full((len(people), len(truth)), np.inf)
    for row, person in enumerate(people):
        used = person.frame < len(truth)
        root = COCO17.root_of(person.joints_world[used])
        distance[row, person.frame[used]] = np.linalg.norm(root - COCO17.root_of(truth)[person.frame[used]], axis=-1)
    distance[np.isnan(distance)] = np.inf
    seen = np.isfinite(distance).any(0)
    if not seen.any():
        return 0, 0
    nearest = distance[:, seen].argmin(0)
    main_row = int(np.bincount(nearest).argmax())
    present = np.isfinite(distance[main_row, seen])
    return main_row + 1, int((present & (nearest != main_row)).sum())


def jump(data: Path, work: Path) -> Iterator[str]:
    """A hand-set phone without a calibration: four numbers by eye."""
    clip = data / "real" / "sports2d_demo" / "demo.mp4"
    calib = work / "sports2d.yaml"
    calib.parent.mkdir(parents=True, exist_ok=True)
    calib.write_text(
        "version: 1\nimage_size: [1768, 994]\nintrinsics: {hfov_deg: 38.7}\n"
        "extrinsics:\n  mount: {height_m: 1.2, tilt_down_deg: 0.0, roll_deg: 0.0}\nsite: {name: sports2d}\n",
        encoding="utf-8",
    )
    outcome = run(clip, calib, work / "jump")
    yield "## A phone on a wall (sports2d_demo), calibration by eye: field of view, height, tilt, roll\n"
    yield "No truth. The overlay is to be looked at.\n"
    yield "| person | seen from s to s | mean score | reprojection px | body against joints mm |\n|---|---|---|---|---|"
    for person in outcome.report["people"]:
        yield (
            f"| {person['person']} | {person['first_s']:.1f} to {person['last_s']:.1f} | {person['mean_score']:.2f} | "
            f"{person['reprojection_px']:.1f} | {1000 * person['median_residual_m']:.0f} |"
        )
    yield ""


def cost(data: Path, work: Path) -> Iterator[str]:
    """Time and memory of 100 frames of 1080p, and of a clip ten times as long."""
    folder = data / "real" / "pose2sim_single"
    short, calib = folder / "cam03.mp4", folder / "cam03.yaml"
    size = read_calibration(calib).camera.size
    yield f"## Time and memory: 100 frames of {size[0]} x {size[1]}, and the same clip {LOOPS} times over\n"
    yield "| clip | people s | lift s | fit s | videos s | whole / people | peak memory MB |"
    yield "|---|---|---|---|---|---|---|"
    clips = {"100 frames": short, f"{100 * LOOPS} frames": looped(short, work / "looped.mp4")}
    for name, clip in clips.items():
        output = work / "cost" / name.replace(" ", "_")
        shutil.rmtree(output, ignore_errors=True)  # a stage answered from disk has no time worth telling
        outcome = run(clip, calib, output)
        columns = (("people", "tracks"), ("lift",), ("shape", "fit"), ("videos",))
        stages = " | ".join(f"{outcome.seconds(*names):.1f}" for names in columns)
        ratio = outcome.seconds() / outcome.seconds("people")
        peak = max(stage["peak_memory_mb"] for stage in outcome.report["stages"])
        yield f"| {name} | {stages} | {ratio:.2f} | {peak:.0f} |"
    yield f"\n{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; wall clock.\n"


def looped(clip: Path, path: Path) -> Path:
    """Write ``clip`` ten times over, forwards and backwards in turn, so that nobody jumps."""
    frames = [frame.rgb for frame in read_frames(clip)]  # a hundred frames fit in memory; the program never does this
    info = probe(clip)
    with VideoWriter(path, info.size) as writer:
        for index in range(LOOPS * len(frames)):
            lap, place = divmod(index, len(frames))
            writer.write(frames[-1 - place if lap % 2 else place], index / float(info.rate))
    return path


SECTIONS: dict[str, Callable[[Path, Path], Iterator[str]]] = {
    "single": single, "multi": multi, "jump": jump, "cost": cost,
}  # fmt: skip


def assemble() -> None:
    """Write docs/benchmarks.md from the parts that are there."""
    parts = sorted(PARTS.glob("*.md"))
    head = "# Benchmarks\n\nWritten by `python tools/benchmark.py`; each part says what made it. Never edit by hand.\n"
    bodies = [path.read_text(encoding="utf-8").strip().replace("](./", "](benchmarks/") for path in parts]
    (DOCS / "benchmarks.md").write_text("\n\n".join([head.strip(), *bodies]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MOCAP_VIDEO_DATA"), help="folder with real/")
    parser.add_argument("--work", type=Path, default=Path("out/benchmark"), help="where the runs' results go")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections to run: " + ", ".join(SECTIONS))
    parser.add_argument("--assemble", action="store_true", help="run nothing, only put docs/benchmarks.md together")
    chosen = parser.parse_args()
    PARTS.mkdir(parents=True, exist_ok=True)
    if not chosen.assemble:
        if chosen.data is None or not (chosen.data / "real").is_dir():
            parser.error("--data: expected the folder that holds real/ (or set MOCAP_VIDEO_DATA)")
        for name in chosen.only.split(","):
            made = (
                f"<!-- python tools/benchmark.py --only {name}; lifter weights {digest_file(shipped_weights())[:8]} -->"
            )
            lines = [made, *SECTIONS[name](chosen.data, chosen.work)]
            (PARTS / f"runs_{name}.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    assemble()


if __name__ == "__main__":
    main()
