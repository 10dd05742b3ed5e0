"""Train small lifters, each without one of its parts, and write docs/benchmarks/ablations.md (the paper's table 3).

    python tools/benchmark_ablations.py TRAIN.safetensors VAL.safetensors [--work FOLDER] [--only NAME,NAME]

The two files are prepared motion (`mocap-video train prepare`). Every run has the same budget and learns from the same
samples; the work folder keeps what was done, so the command goes on where it was stopped. An idle core needs about 15
minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mocap_video.artifacts import atomic_write, digest_of
from mocap_video.lifter.ablation import PRODUCT, Ablation
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bank import read_bank
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.synthetic import Sample, SyntheticConfig, make_samples
from mocap_video.lifter.data.tracks import Track2D, TrackBank, read_tracks, write_tracks
from mocap_video.lifter.hooks import RateSchedule
from mocap_video.lifter.lift import LiftConfig
from mocap_video.lifter.monitor import held_out_samples
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.objective import lifting_losses
from mocap_video.lifter.observed import observed_losses
from mocap_video.lifter.optimizer import build_optimizer
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.validation import NOISES, evaluate, flat_baseline
from mocap_video.lifter.views import Scene
from mocap_video.lifter.weights import load_weights, save_weights
from mocap_video.skeletons import COCO17

OUTPUT = Path("docs/benchmarks/ablations.md")
NETWORK = NetworkConfig(width=96, layers=4, heads=4, feed_forward=192)
STAGE1_STEPS, STAGE2_STEPS = 60, 240
STEPS = STAGE1_STEPS + STAGE2_STEPS
BATCH, FRAMES, RATE, WARMUP, WEIGHT_DECAY = 32, 32, 3e-3, 20, 0.01
SAVE_EVERY = 10
WINDOWS = 192


@dataclass(frozen=True)
class Run:
    """One line of the table: ``label``, what is left out, the seed, and whether stage 1 runs and sampling is guided.

    ``in_domain``: stage 1 also sees what the cameras of the held-out windows saw, in 2D. A run ``like`` another is not
    trained: it takes that one's weights.
    """

    label: str
    ablation: Ablation = PRODUCT
    seed: int = 0
    stage1: bool = True
    guided: bool = True
    like: str | None = None
    in_domain: bool = False


RUNS = {
    "product": Run("the product, small"),
    "seed1": Run("the same, another seed", seed=1),
    "no-pointmaps": Run("no pointmaps (the ankles' ground hits stay)", Ablation(pointmaps="none")),
    "sampled-pointmaps": Run("pointmaps sampled at the keypoints", Ablation(pointmaps="sampled")),
    "no-anchor": Run("no anchor: 6 m along the root's ray", Ablation(anchor=False)),
    "coupled": Run("no local/global decoupling", Ablation(decoupled=False)),
    "random-rig": Run("virtual cameras at random places", Ablation(rig="random")),
    "no-confidence": Run("no confidence", Ablation(confidence=False)),
    "no-stage1": Run("no stage 1 (all steps are stage 2)", stage1=False),
    "in-domain": Run("stage 1 also on the held-out windows' 2D", in_domain=True),
    "unguided": Run("no guidance while sampling", guided=False, like="product"),
    "direct": Run("plain regressor: no diffusion, no views", Ablation(direct=True), stage1=False),
}


def held_out(val: Path) -> dict[str, Sample]:
    """Return the windows of ``val`` that everything is measured on, by the kind of 2D."""
    return held_out_samples(read_bank(val), load_body(), COCO17, WINDOWS, FRAMES, CameraConfig())


def tracks_of_held_out(val: Path, output: Path) -> Path:
    """Write what the cameras of the held-out windows saw, as 2D tracks."""
    seen = held_out(val)["detector-like"].seen
    parts = zip(*(part.numpy() for part in (seen.xy, seen.score, seen.time_s, seen.R, seen.t)), strict=True)
    write_tracks((Track2D(*track) for track in parts), output)
    return output


class Lane:
    """A run in training: its network, optimizer and place in its stages."""

    def __init__(self, name: str, tracks: TrackBank) -> None:
        run = RUNS[name]
        torch.manual_seed(run.seed)
        self.run, self.name = run, name
        self.tracks = tracks if run.in_domain else None
        self.model = Denoiser(replace(NETWORK, ablation=run.ablation))
        self.optimizer = build_optimizer(self.model, "muon", RATE, WEIGHT_DECAY)

    def train(self, step: int, sample: Sample, seed: int) -> None:
        """Take one step. Stage 2 begins with an optimizer and a schedule of its own."""
        generator = torch.Generator().manual_seed(seed)
        first = STAGE1_STEPS if self.run.stage1 else 0
        multi_view = step >= first
        if step == first:
            self.optimizer = build_optimizer(self.model, "muon", RATE, WEIGHT_DECAY)
        schedule = RateSchedule(RATE, WARMUP, STEPS - first if multi_view else STAGE1_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.at(step - first if multi_view else step)
        with sdpa_kernel(SDPBackend.MATH):  # as training does on a CPU
            losses = lifting_losses(self.model, sample, COCO17, multi_view=multi_view, generator=generator)
            if self.tracks is not None and not multi_view:
                seen = self.tracks.draw(BATCH // 2, FRAMES, torch.Generator().manual_seed(seed))
                losses |= observed_losses(self.model, seen, COCO17, generator)
            self.optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def train_together(names: list[str], bank: Path, val: Path, work: Path) -> None:
    """Train the runs side by side, so that runs of one seed learn from the very same samples, made once.

    What was done is kept every few steps; the runs' weights are written when all are done.
    """
    motion, body = read_bank(bank), load_body()
    tracks = read_tracks([tracks_of_held_out(val, work / "tracks.safetensors")])
    lanes = [Lane(name, tracks) for name in names]
    checkpoint, begin = work / f"{digest_of(names)[:12]}.pth", 0
    if checkpoint.is_file():
        stored = torch.load(checkpoint, weights_only=True)
        begin = stored["step"]
        for lane in lanes:
            lane.restore(stored[lane.name])
    for step in range(begin, STEPS):
        started = time.monotonic()
        for run_seed in sorted({lane.run.seed for lane in lanes}):
            seed = run_seed * 1_000_003 + step
            windows = motion.draw(BATCH, FRAMES, torch.Generator().manual_seed(seed))
            generator = torch.Generator().manual_seed(seed)
            sample = make_samples(windows, body, COCO17, SyntheticConfig(), generator)
            for lane in lanes:
                if lane.run.seed == run_seed:
                    lane.train(step, sample, seed)
        if (step + 1) % SAVE_EVERY == 0:
            with atomic_write(checkpoint) as partial:
                torch.save({"step": step + 1, **{lane.name: lane.state() for lane in lanes}}, partial)
        print(f"step {step + 1} of {STEPS}: {time.monotonic() - started:.1f} s", flush=True)
    for lane in lanes:
        save_weights(lane.model, COCO17, work / f"{lane.name}.safetensors", {})


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
            mirror=default.mirror,
            guided=guided,
            generator=torch.Generator().manual_seed(0),
        )
        return draws.unflatten(0, (-1, default.samples)).mean(1)

    return lift


def cells(lift: Callable[[Scene], Tensor], val: Path) -> str:
    """Return the figures of ``lift`` on held-out windows, exact and detector-like 2D, as cells of the table."""
    numbers = []
    for sample_of_kind in held_out(val).values():
        errors = evaluate(sample_of_kind, lift)
        numbers += [errors.abs_mpjpe_mm, errors.root_mm, errors.mpjpe_mm, errors.pa_mpjpe_mm]
    return " | ".join(f"{number:.0f}" for number in numbers)


def measured(name: str, val: Path, work: Path) -> str:
    """Return the line of run ``name``, whose weights are there; kept beside them."""
    run, line = RUNS[name], work / f"{name}.md"
    if not line.is_file():
        weights = work / f"{run.like or name}.safetensors"
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
        "Made by `python tools/benchmark_ablations.py TRAIN VAL`. Small lifters, each trained from nothing with the "
        f"same budget: width {NETWORK.width}, {NETWORK.layers} layers, {STAGE1_STEPS} steps of stage 1 and "
        f"{STAGE2_STEPS} of stage 2 at batch {BATCH} x {FRAMES} frames with Muon, seed 0. Such a budget shows what "
        "helps learning, not where a full training ends; the line of another seed says what a difference is worth. "
        f"Measured on {WINDOWS} windows of val before random cameras over the whole range, {LiftConfig().steps} steps, "
        f"K = {LiftConfig().samples}; mm.",
        "",
        f"| lifter | {columns} |",
        "|---" * 9 + "|",
    ]
    options.work.mkdir(parents=True, exist_ok=True)
    names = options.only.split(",")
    to_train = sorted({RUNS[name].like or name for name in names})
    if not all((options.work / f"{name}.safetensors").is_file() for name in to_train):
        train_together(to_train, options.bank, options.val, options.work)
    lines.append(f"| no learning (flat) | {cells(flat_baseline, options.val)} |")
    for name in names:
        lines.append(measured(name, options.val, options.work))
        print(lines[-1], flush=True)
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
