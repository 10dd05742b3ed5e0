"""Kill a batch of 20 clips twice, let it finish, run it again on Ray, and write docs/benchmarks/batch.md.

    python tools/benchmark_batch.py [--work FOLDER] [--workers 2]

Seventeen clips are short pieces of a rendered walk, run whole but for the videos; three are bad: cut short, no video,
and a calibration with NaN.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.calib.files import write_calibration
from mocap_video.lifter.body import load_body
from mocap_video.pipeline.demo import BETAS, RATE, demo_calibration, render_clip
from mocap_video.pipeline.demo_motion import walk_squat_wave
from mocap_video.pipeline.manifest import Entry, Manifest
from mocap_video.pipeline.video import VideoWriter, read_frames

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "batch.md"
SIZE = (640, 360)
GOOD, FRAMES, EVERY = 17, 8, 2
"""Clips, frames of each, and how many of the walk's frames lie between two of them: someone seen for less is nobody."""

KILLS = (5, 11)
"""After so many finished clips the batch is killed."""

_CODE = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"


@dataclass(frozen=True)
class Stage:
    """How a batch ended: its exit code and its manifest."""

    code: int
    entries: list[Entry]

    def row(self, name: str) -> str:
        """Return a row of the table."""
        states = [entry.state for entry in self.entries]
        counts = [states.count(state) for state in ("done", "nobody", "failed", "running", "waiting")]
        attempts = sum(entry.attempts for entry in self.entries)
        code = "killed (-9)" if self.code == -signal.SIGKILL else self.code
        return f"| {name} | {code} | " + " | ".join(map(str, counts)) + f" | {attempts} |"


def make_site(folder: Path) -> Path:
    """Write the recordings and site.yaml; what is there already is kept."""
    rec, whole = folder / "rec", folder / "walk.mp4"
    rec.mkdir(parents=True, exist_ok=True)
    calibration = demo_calibration(SIZE)
    write_calibration(calibration, folder / "cam.yaml")
    if not whole.exists():
        body = load_body("neutral")
        seconds = (GOOD + EVERY * FRAMES) / RATE
        render_clip(whole, walk_squat_wave(body, BETAS, seconds=seconds, rate=RATE), body, calibration, lambda _: None)
    pictures = [frame.rgb for frame in read_frames(whole)]
    for number in range(GOOD):
        with VideoWriter(rec / f"{number:02d}.mp4", SIZE) as writer:
            for i in range(FRAMES):
                writer.write(pictures[number + EVERY * i], EVERY * i / RATE)
    good = (rec / "00.mp4").read_bytes()
    (rec / "03 cut.mp4").write_bytes(good[: len(good) // 20])
    (rec / "08 text.mp4").write_text("This is no video.")
    (folder / "nan.mp4").write_bytes(good)
    text = (folder / "cam.yaml").read_text().replace("up: z", "up: .nan")
    (folder / "nan.yaml").write_text(text)
    site = folder / "site.yaml"
    site.write_text(
        "cameras:\n"
        "  - {name: deck, calib: cam.yaml, recordings: ['rec/*.mp4'], options: {samples: 1, no_video: true}}\n"
        "  - {name: gate, calib: nan.yaml, recordings: [nan.mp4]}\n"
        "zones: [{name: middle, polygon: [[-0.5, -3], [0.5, -3], [0.5, 0], [-0.5, 0]]}]\n"
    )
    return site


def batch(site: Path, output: Path, *options: str, kill_at: int | None = None) -> Stage:
    """Run the installed program; kill it once ``kill_at`` clips are finished."""
    command = [sys.executable, "-c", _CODE, "batch", str(site), "-o", str(output), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and (kill_at is None or len(list(output.glob("*/*/report.json"))) < kill_at):
        time.sleep(0.05)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    code = process.wait()
    with Manifest(output) as manifest:
        return Stage(code, list(manifest.entries().values()))


def differences(mine: Path, theirs: Path) -> list[str]:
    """Return what differs between two results folders: people's arrays and their table."""
    found = []
    names = [sorted(path.relative_to(folder) for path in folder.glob("people/*.npz")) for folder in (mine, theirs)]
    if names[0] != names[1] or not names[0]:
        return ["people"]
    for name in names[0]:
        with np.load(mine / name) as ours, np.load(theirs / name) as others:
            equal = {
                key: str(ours[key]) == str(others[key]) if ours[key].dtype.kind == "U"
                else np.array_equal(ours[key], others[key], equal_nan=True) for key in ours.files
            }  # fmt: skip
        found += [f"{name}: {key}" for key, same in equal.items() if not same]
    if (mine / "people.csv").read_bytes() != (theirs / "people.csv").read_bytes():
        found.append("people.csv")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmark_batch"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums come out alike where they are made in the same order
    site = make_site(arguments.work)
    local, ray, workers = arguments.work / "local", arguments.work / "ray", f"--workers={arguments.workers}"
    for folder in (local, ray):
        shutil.rmtree(folder, ignore_errors=True)
    stages = [(f"killed after {count}", batch(site, local, workers, kill_at=count)) for count in KILLS]
    stages.append(("to the end", batch(site, local, workers)))
    stages.append(("once more", batch(site, local, workers)))
    stages.append(("on Ray, from the start", batch(site, ray, workers, "--ray=local")))
    PAGE.write_text("\n".join(page(stages, local, ray)) + "\n", encoding="utf-8")


def page(stages: list[tuple[str, Stage]], local: Path, ray: Path) -> list[str]:
    """Return the lines of the page."""
    end = stages[-2][1].entries
    done = [Path(entry.output).relative_to(local.absolute()) for entry in end if entry.state == "done"]
    compared = {path: differences(local / path, ray / path) for path in done}
    different = {str(path): found for path, found in compared.items() if found}
    reasons = {str(e.clip): e.reason.rpartition("/")[2] for e in end if e.state == "failed"}
    summary = json.loads((local / "summary.json").read_text(encoding="utf-8"))
    return [
        "<!-- python tools/benchmark_batch.py -->",
        "## A batch of 20 clips, 3 of them bad, killed twice",
        "",
        f"Each good clip is {FRAMES} frames of a rendered walk, {SIZE[0]} x {SIZE[1]} px, through all of `run` but the "
        "videos. `batch` was killed with -9, and the same command given again.",
        "",
        "| batch | exit code | done | nobody | failed | running | waiting | attempts, all clips |",
        "|---|---|---|---|---|---|---|---|",
        *(stage.row(name) for name, stage in stages),
        "",
        f"In the end summary.json says {summary['counts']}. Attempts beyond one a clip were at work when the batch "
        "was killed.",
        "",
        *(f"- `{name}`: {reason}" for name, reason in reasons.items()),
        "",
        f"Local against Ray: people/*.npz and people.csv of {len(done)} clips compared, "
        + (f"different in {different}." if different else "equal to the last bit in all."),
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; one thread a worker.",
    ]


if __name__ == "__main__":
    main()
