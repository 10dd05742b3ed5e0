"""Measure what our adapter adds to ViTPose's own forward pass and write docs/benchmarks/detectors.md.

    python tools/benchmark_detectors.py [--repeats N] [--models s,b] [--device cpu]

Random weights: they cost the same. Both ways run in turn on one thread, and on the CPU the processor's own time counts,
so that another load on the machine does not. ``tools/benchmark.py`` takes the part in.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from mocap_video.detectors.openmmlab.vitpose import ViTPose
from mocap_video.detectors.runtime import Runtime
from mocap_video.detectors.topdown import MEAN, STD, TopDownEstimator
from mocap_video.detectors.weights import weights_named

BATCHES = (1, 16)
SIZE = (1280, 720)


def seconds(work: Callable[[], object], device: str) -> float:
    """Return what ``work`` costs: CPU time of this thread, or the time until the GPU is done."""
    clock = time.thread_time if device == "cpu" else time.perf_counter
    start = clock()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def rows(name: str, repeats: int, device: str) -> Iterator[str]:
    """Yield the table's rows of the weights ``name``."""
    runtime = Runtime(device)
    network = ViTPose(weights_named(name).model)
    estimator = TopDownEstimator(network, runtime)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    for batch in BATCHES:
        corner = rng.uniform(0, 300, (batch, 2))
        boxes = np.concatenate([corner, corner + rng.uniform([80, 200], [200, 400], (batch, 2))], -1)
        pixels = runtime.pixels(rng.integers(0, 256, (batch, 256, 192, 3), np.uint8), MEAN, STD)

        def plain(pixels: torch.Tensor = pixels) -> None:
            with torch.inference_mode():
                network(pixels)

        def adapter(boxes: np.ndarray = boxes) -> None:
            estimator.estimate(rgb, boxes)

        pairs = [(seconds(plain, device), seconds(adapter, device)) for _ in range(repeats + 1)][1:]
        forward, whole = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
        overhead = 100 * (statistics.median(b / a for a, b in pairs) - 1)
        yield f"| {name} | {batch} | {forward:.0f} | {whole:.0f} | {overhead:+.1f} % | {1000 * batch / whole:.1f} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", default="s,b")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/detectors.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock = "of CPU time on one thread" if options.device == "cpu" else "of wall clock"
    lines = [
        f"<!-- python tools/benchmark_detectors.py --repeats {options.repeats} --models {options.models} "
        f"--device {options.device} -->",
        "## ViTPose through our adapter against its plain forward pass",
        "",
        "| weights | people | forward ms | adapter ms | adapter adds | people a second |",
        "|---|---|---|---|---|---|",
        *(row for m in options.models.split(",") for row in rows(f"vitpose-{m}", options.repeats, options.device)),
        "",
        f"Milliseconds {clock}, median of {options.repeats} runs in turn; fp32, no flip test, {SIZE[0]} x "
        f"{SIZE[1]} px, {platform.machine()}, torch {torch.__version__}.",
        "",
    ]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
