"""Measure the lifter on held-out motion and write docs/benchmarks/lifter.md: python tools/benchmark_lifter.py MOTIONS.

MOTIONS is the folder of the open motion set (its manifest's val split is used; its test split with --split test).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.lift import LiftConfig, lift
from mocap_video.lifter.metrics import MotionErrors
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.validation import NOISES, ValidationConfig, evaluate, flat_baseline, held_out
from mocap_video.lifter.views import Scene
from mocap_video.lifter.weights import LoadedWeights, load_weights, shipped_weights
from mocap_video.pipeline.evaluate import as_clip
from mocap_video.skeletons import COCO17

DEFAULT = LiftConfig()
SITES = CameraConfig(height_m=(1.5, 6.0), distance_m=(3.0, 12.0))
WIDE = CameraConfig()
STEPS, COPIES = (1, 2, 4, 8), (1, 2, 4)
CAMERAS = {"site": SITES, "wide": WIDE}
TRUTHS = {"body": "our body, COCO-17", "source": "the source's own 12 limb joints"}
HEAD = "| motion | cameras | 2D | method | Abs-MPJPE | Root | MPJPE | PA-MPJPE |\n|---|---|---|---|---|---|---|---|"


def row(truth: str, cameras: str, noise: str, method: str, errors: MotionErrors) -> str:
    """Return one line of the table, millimetres."""
    numbers = (errors.abs_mpjpe_mm, errors.root_mm, errors.mpjpe_mm, errors.pa_mpjpe_mm)
    return f"| {TRUTHS[truth]} | {cameras} | {noise} | {method} | " + " | ".join(f"{n:.1f}" for n in numbers) + " |"


@dataclass(frozen=True)
class Way:
    """A way of sampling: ``steps``, ``copies``, with ``mirror`` half of them of the mirrored scene, and ``guided``."""

    steps: int
    copies: int
    mirror: bool = True
    guided: bool = True

    def __str__(self) -> str:
        without = [name for name, there in (("mirror", self.mirror), ("guidance", self.guided)) if not there]
        return ", ".join([f"{self.steps} steps, K = {self.copies}", *(f"no {name}" for name in without)])

    def lift(self, weights: LoadedWeights, scene: Scene) -> torch.Tensor:
        """Return the mean of the samples ``(B,T,J,3)`` m."""
        draws = sample(
            weights.model,
            scene,
            COCO17,
            steps=self.steps,
            copies=self.copies,
            mirror=self.mirror,
            guided=self.guided,
            generator=torch.Generator().manual_seed(0),
        )
        return draws.unflatten(0, (-1, self.copies)).mean(1)


PRODUCT = Way(DEFAULT.steps, DEFAULT.samples, DEFAULT.mirror)
WAYS = (
    *(Way(steps, copies) for steps, copies in itertools.product(STEPS, COPIES)),
    *(Way(1, copies, mirror=False) for copies in COPIES[1:]),
    *(Way(steps, COPIES[-1], guided=False) for steps in STEPS[1:]),  # the last step is triangulated either way
)


def main_rows(folder: Path, split: str, body: BodyModel, weights: LoadedWeights, repeats: int) -> Iterator[str]:
    """Yield the main table: flat baseline and lifter, every truth, camera set and noise."""
    for cameras, ranges in CAMERAS.items():
        for truth in TRUTHS:
            for noise, kind in NOISES.items():
                config = ValidationConfig(cameras=ranges, repeats=repeats)
                data = held_out(folder, split, truth, kind, body, config)
                yield row(truth, cameras, noise, "flat", evaluate(data, flat_baseline))
                yield row(
                    truth,
                    cameras,
                    noise,
                    "lifter",
                    evaluate(data, lambda s: PRODUCT.lift(weights, s)),
                )


def step_rows(folder: Path, split: str, body: BodyModel, weights: LoadedWeights, limit: int) -> Iterator[str]:
    """Yield accuracy against sampler steps, samples K, mirror and guidance: our body, site cameras."""
    for noise, kind in NOISES.items():
        data = held_out(folder, split, "body", kind, body, ValidationConfig(cameras=SITES, repeats=1))
        data = data.select(torch.linspace(0, len(data.joints) - 1, min(limit, len(data.joints))).round().long())
        for way in WAYS:
            yield row("body", "site", noise, str(way), evaluate(data, lambda s, w=way: w.lift(weights, s), 16))


def spread_rows(folder: Path, split: str, body: BodyModel, weights: LoadedWeights) -> Iterator[str]:
    """Yield how the error to expect (``spread_m``) goes with the true one, joint by joint, as `run` lifts a window."""
    for cameras, ranges in CAMERAS.items():
        for noise, kind in NOISES.items():
            data = held_out(folder, split, "body", kind, body, ValidationConfig(cameras=ranges, repeats=1))
            parts = []
            for window in range(len(data.joints)):
                keypoints, calibration = as_clip(data.seen, window)
                seen = keypoints.seen
                if seen.any():
                    (motion,) = lift([keypoints], calibration, weights, DEFAULT)
                    truth = data.joints[window].numpy()[data.seen.valid[window].numpy()]
                    parts.append((motion.spread[seen], np.linalg.norm(motion.joints - truth, axis=-1)[seen]))
            expected, true = (np.concatenate([part[side].ravel() for part in parts]) for side in (0, 1))
            figures = np.corrcoef(expected, true)[0, 1], 1000 * expected.mean(), 1000 * true.mean()
            yield "| {} | {} | {:.2f} | {:.0f} | {:.0f} |".format(cameras, noise, *figures)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motions", type=Path)
    parser.add_argument("--split", default="val", choices=["val", "test"])
    parser.add_argument("--weights", type=Path, default=shipped_weights())
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--limit", type=int, default=48, help="windows that the sampler's table is measured on")
    parser.add_argument("--sampler-only", action="store_true", help="leave out the main table")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/lifter.md"))
    options = parser.parse_args()
    body, weights = load_body(), load_weights(options.weights)
    lines = [
        "## Lifter on held-out motion",
        "",
        f"Made by `python tools/benchmark_lifter.py MOTIONS --split {options.split}`; weights "
        f"`{weights.digest[:12]}`, seed {ValidationConfig().seed}. Millimetres, nothing aligned but PA-MPJPE. "
        "Windows of 32 frames at 15 Hz, random cameras: *site* stands 1.5 to 6 m high and 3 to 12 m away, *wide* "
        "0.6 to 12 m high and 1.8 to 25 m away; fields of view of 30 to 110 degrees; people cut by the image border "
        "are counted. *flat*: a vertical plane where the lower ankle's ray meets the ground at 9 cm.",
        "",
        HEAD,
        *(() if options.sampler_only else main_rows(options.motions, options.split, body, weights, options.repeats)),
        "",
        f"Sampler steps, samples K, mirror and guidance, on {options.limit} windows (`--limit`); the product takes "
        f"{PRODUCT}, half of them of the mirrored scene:",
        "",
        HEAD,
        *step_rows(options.motions, options.split, body, weights, options.limit),
        "",
        "The error to expect of a joint (`spread_m`) against the true one, our body, every window. Of people cut off "
        "or hidden, and the plot: [trust](trust.md).",
        "",
        "| cameras | 2D | correlation | expected mm | true mm |\n|---|---|---|---|---|",
        *spread_rows(options.motions, options.split, body, weights),
        "",
    ]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
