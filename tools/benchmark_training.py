"""Time training with and without making samples and write docs/benchmarks/training.md.

    python tools/benchmark_training.py TRAIN.safetensors [--config NAME]

Samples are made on the training device, inside the step; what they cost is the difference.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import torch

from mocap_video.lifter import training
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.optimizer import build_optimizer
from mocap_video.lifter.training import LifterTraining, TrainConfig
from mocap_video.pipeline.training import configured

OUTPUT = Path("docs/benchmarks/training.md")
STEPS = 6


def step_s(config: TrainConfig, *, making: bool) -> float:
    """Return the median wall clock of a training step; without ``making``, of one whose sample was made before."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = LifterTraining(config)
    model.to(device)
    optimizer = build_optimizer(model.denoiser, config.optimizer, config.rate, config.weight_decay)
    kept: list[Sample] = []
    make = training.make_samples

    def once(*arguments: object) -> Sample:
        if not kept:
            kept.append(make(*arguments))  # type: ignore[arg-type]
        return kept[0]

    times = []
    with patch.object(training, "make_samples", make if making else once):
        for step in range(STEPS + 1):
            begin = time.perf_counter()
            losses = model(torch.tensor(step))
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--config", default="coco17_refine")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    with tempfile.TemporaryDirectory() as folder:
        config = configured(options.config, options.bank, Path(folder))
        whole, network = step_s(config, making=True), step_s(config, making=False)
    lines = [
        "## Training steps a second",
        "",
        f"Made by `python tools/benchmark_training.py BANK --config {options.config}`: batch {config.batch} x "
        f"{config.frames} frames on {device}, load average {os.getloadavg()[0]:.1f}. The loader yields step numbers; "
        "samples are made inside the step.",
        "",
        "| step | steps/s |",
        "|---|---|",
        f"| with sample making | {1 / whole:.2f} |",
        f"| samples made beforehand | {1 / network:.2f} |",
        "",
        f"Making samples takes {100 * (1 - network / whole):.0f} % of a step.",
    ]
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
