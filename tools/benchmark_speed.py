"""Time lifting and fitting of 4 s windows and write docs/benchmarks/speed.md: python tools/benchmark_speed.py.

Run it on a machine that does nothing else: `taskset -c 0,1` holds it to two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bank import read_bank
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.noise import DETECTOR_LIKE
from mocap_video.lifter.data.synthetic import SyntheticConfig, make_samples
from mocap_video.lifter.fit import FitConfig, fit_bodies
from mocap_video.lifter.lift import LiftConfig, lift, load_lifter
from mocap_video.lifter.weights import shipped_weights
from mocap_video.pipeline.evaluate import as_clip
from mocap_video.skeletons import COCO17

OUTPUT = Path("docs/benchmarks/speed.md")
FRAMES = 120
"""4 s at 30 frames a second."""

PEOPLE = 6
RUNS = 5


def median_s(work: Callable[[], object]) -> tuple[float, float]:
    """Return the median wall clock and CPU time of ``work`` over some runs, after one that does not count."""
    work()
    wall, cpu = [], []
    for _ in range(RUNS):
        begin, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path, help="prepared motion, such as val.safetensors")
    parser.add_argument("--weights", type=Path, default=shipped_weights())
    options = parser.parse_args()
    lifter, body, bank = load_lifter(options.weights), load_body(), read_bank(options.bank)
    clip = int(bank.length.argmax())
    one = torch.ones(1)
    windows = bank.windows(torch.tensor([clip]), torch.zeros(1).long(), one.long(), FRAMES, one)
    synthetic = SyntheticConfig(None, CameraConfig(height_m=(1.5, 6.0), distance_m=(3.0, 12.0)), DETECTOR_LIKE)
    seen = make_samples(windows, body, COCO17, synthetic, torch.Generator().manual_seed(0)).seen
    keypoints, calibration = as_clip(seen, 0)
    people = [replace(keypoints, person=number) for number in range(1, PEOPLE + 1)]
    lift_config, fit_config = LiftConfig(), FitConfig()
    motions = lift(people, calibration, lifter, lift_config)
    rows = {
        "one person lifted": lambda: lift(people[:1], calibration, lifter, lift_config),
        f"{PEOPLE} people lifted together": lambda: lift(people, calibration, lifter, lift_config),
        f"{PEOPLE} people lifted one by one": lambda: [lift([p], calibration, lifter, lift_config) for p in people],
        "one body fitted": lambda: fit_bodies(people[:1], motions[:1], calibration, body, fit_config),
        f"{PEOPLE} bodies fitted together": lambda: fit_bodies(people, motions, calibration, body, fit_config),
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        "## Speed of lifting and fitting",
        "",
        f"Made by `python tools/benchmark_speed.py BANK`; weights `{lifter.digest[:12]}`. Windows of 4 s at 30 Hz "
        f"with detector-like 2D, {lift_config.steps} steps, K = {lift_config.samples}; median of {RUNS} runs on "
        f"{cores} cores, {torch.get_num_threads()} threads, {platform.machine()}; load average "
        f"{os.getloadavg()[0]:.1f} at the start.",
        "",
        "| work | wall clock s | CPU s |",
        "|---|---|---|",
    ]
    for name, work in rows.items():
        lines.append("| " + " | ".join([name, *(f"{seconds:.2f}" for seconds in median_s(work))]) + " |")
        print(lines[-1], flush=True)
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
