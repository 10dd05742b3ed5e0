"""Train small lifters, each without one of its parts, and write docs/benchmarks/ablations.md (the paper's table 3).

    python tools/benchmark_ablations.py TRAIN.safetensors VAL.safetensors [--work FOLDER] [--only NAME,NAME]

The two files are prepared motion (`mocap-video train prepare`). Every run has the same budget; what is finished under
the work folder is kept, so the command goes on where it was stopped. One core needs about half an hour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mocap_video.lifter.ablation import PRODUCT, Ablation
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bank import read_bank
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.lift import LiftConfig
from mocap_video.lifter.monitor import held_out_samples
from mocap_video.lifter.network import NetworkConfig
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.training import TrainConfig
from mocap_video.lifter.validation import NOISES, evaluate, flat_baseline
from mocap_video.lifter.views import Scene
from mocap_video.lifter.weights import load_weights
from mocap_video.pipeline.training import train
from mocap_video.skeletons import COCO17

OUTPUT = Path("docs/benchmarks/ablations.md")
NETWORK = NetworkConfig(width=96, layers=4, heads=4, feed_forward=192)
STAGE1_STEPS, STAGE2_STEPS = 60, 240
BATCH, FRAMES, RATE, WARMUP = 32, 32, 3e-3, 20
WINDOWS = 256


@dataclass(frozen=True)
class Run:
    """One line of the table: ``label``, what is left out, the seed, and whether stage 1 runs and sampling is guided.

    A run ``like`` another is not trained: it takes that one's weights.
    """

    label: str
    ablation: Ablation = PRODUCT
    seed: int = 0
    stage1: bool = True
    guided: bool = True
    like: str | None = None


RUNS = {
    "product": Run("the product, small"),
    "seed1": Run("the same, another seed", seed=1),
    "no-pointmaps": Run("no pointmaps", Ablation(pointmaps="none")),
    "sampled-pointmaps": Run("pointmaps sampled at the keypoints", Ablation(pointmaps="sampled")),
    "no-anchor": Run("no anchor: 6 m along the root's ray", Ablation(anchor=False)),
    "coupled": Run("no local/global decoupling", Ablation(decoupled=False)),
    "random-rig": Run("virtual cameras at random places", Ablation(rig="random")),
    "no-confidence": Run("no confidence", Ablation(confidence=False)),
    "no-stage1": Run("no stage 1 (all steps are stage 2)", stage1=False),
    "unguided": Run("no guidance while sampling", guided=False, like="product"),
    "direct": Run("plain regressor: no diffusion, no views", Ablation(direct=True), stage1=False),
}


def trained(run: Run, bank: Path, folder: Path) -> Path:
    """Train ``run`` in ``folder`` unless it is there; return its weights."""
    weights = folder / "stage2" / "weights.safetensors"
    if weights.is_file():
        return weights
    stage2 = TrainConfig(
        bank=bank,
        work_dir=folder / "stage2",
        stage=2,
        network=replace(NETWORK, ablation=run.ablation),
        steps=STAGE2_STEPS if run.stage1 else STAGE1_STEPS + STAGE2_STEPS,
        warmup=WARMUP,
        batch=BATCH,
        frames=FRAMES,
        optimizer="muon",
        rate=RATE,
        seed=run.seed,
        save_every=100,
        log_every=50,
    )
    if run.stage1:
        stage1 = replace(stage2, work_dir=folder / "stage1", stage=1, steps=STAGE1_STEPS)
        stage2 = replace(stage2, start_from=train(stage1))
    return train(stage2)


def lifter(weights: Path, *, guided: bool) -> Callable[[Scene], Tensor]:
    """Return how ``weights`` lift windows: the default's steps, the mean of its samples."""
    model, default = load_weights(weights).model, LiftConfig()

    def lift(scene: Scene) -> Tensor:
        draws = sample(
            model,
            scene,
            COCO17,
            steps=default.steps,
            copies=default.samples,
            guided=guided,
            generator=torch.Generator().manual_seed(0),
        )
        return draws.unflatten(0, (-1, default.samples)).mean(1)

    return lift


def cells(lift: Callable[[Scene], Tensor], val: Path) -> str:
    """Return the figures of ``lift`` on held-out windows, exact and detector-like 2D, as cells of the table."""
    held_out = held_out_samples(read_bank(val), load_body(), COCO17, WINDOWS, FRAMES, CameraConfig())
    numbers = []
    for noise in NOISES:
        errors = evaluate(held_out[noise], lift)
        numbers += [errors.abs_mpjpe_mm, errors.root_mm, errors.mpjpe_mm, errors.pa_mpjpe_mm]
    return " | ".join(f"{number:.0f}" for number in numbers)


def measured(name: str, bank: Path, val: Path, work: Path) -> str:
    """Return the line of run ``name``, training it first where needed; kept under its folder."""
    run, folder = RUNS[name], work / name
    line = folder / "line.md"
    if not line.is_file():
        weights = trained(RUNS[run.like], bank, work / run.like) if run.like else trained(run, bank, folder)
        folder.mkdir(parents=True, exist_ok=True)
        line.write_text(f"| {run.label} | {cells(lifter(weights, guided=run.guided), val)} |\n", encoding="utf-8")
    return line.read_text(encoding="utf-8").strip()


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--work", type=Path, default=Path("out/ablations"))
    parser.add_argument("--only", default=",".join(RUNS), help="runs, of " + ", ".join(RUNS))
    options = parser.parse_args()
    columns = " | ".join(f"{metric}, {noise}" for noise in NOISES for metric in ("Abs", "Root", "MPJPE", "PA"))
    lines = [
        "## Ablations",
        "",
        "Made by `python tools/benchmark_ablations.py TRAIN VAL`. Small lifters, each trained from nothing with the same "
        f"budget: width {NETWORK.width}, {NETWORK.layers} layers, {STAGE1_STEPS} steps of stage 1 and {STAGE2_STEPS} of "
        f"stage 2 at batch {BATCH} x {FRAMES} frames with Muon, seed 0. Such a budget shows what helps learning, "
        "not where a full training ends; the line of another seed says what a difference is worth. Measured on "
        f"{WINDOWS} windows of val before random cameras over the whole range, {LiftConfig().steps} steps, "
        f"K = {LiftConfig().samples}; mm.",
        "",
        f"| lifter | {columns} |",
        "|---" * 9 + "|",
    ]
    options.work.mkdir(parents=True, exist_ok=True)
    lines.append(f"| no learning (flat) | {cells(flat_baseline, options.val)} |")
    for name in options.only.split(","):
        begin = time.monotonic()
        lines.append(measured(name, options.bank, options.val, options.work))
        print(f"{lines[-1]} ({time.monotonic() - begin:.0f} s)", flush=True)
        OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
