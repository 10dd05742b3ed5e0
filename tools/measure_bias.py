"""Measure a detector's systematic joint offsets against triangulated truth, and what taking them off would give.

    python tools/measure_bias.py DATA

DATA is the folder that holds real/pose2sim_single. Writes docs/benchmarks/bias.md and bias_<front end>.json. The
pipeline applies no offset: see the page for why.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mocap_video.calib.files import calibration_for_size, read_calibration
from mocap_video.calib.geometry import project
from mocap_video.detectors.base import FrontEnd
from mocap_video.detectors.bias import PAIRS, BiasConfig, pair_axes, unbiased
from mocap_video.detectors.config import PeopleConfig
from mocap_video.detectors.front_end import build_front_end
from mocap_video.detectors.people import find_people
from mocap_video.lifter.lift import LiftConfig, Lifter, lift, load_lifter
from mocap_video.lifter.metrics import motion_errors
from mocap_video.pipeline.video import probe, read_frames
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Keypoints2D

VIEWS = ("cam01", "cam02", "cam03", "cam04")
LATE_FRAMES = {"cam03": 3}
"""As in tools/benchmark.py: this view runs so many frames behind the truth."""

TRUTH_HZ = 60.0
TRIALS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("nothing taken off", (), 0.0),
    ("half of the hips'", ("hips",), 0.5),
    ("all of the hips'", ("hips",), 1.0),
    ("half of the hips' and shoulders'", ("hips", "shoulders"), 0.5),
)
OUTPUT = Path(__file__).parents[1] / "docs" / "benchmarks"


@dataclass(frozen=True)
class View:
    """One camera's keypoints of the man, and the truth: ``truth (T,17,3)`` m in the site world, NaN where there is
    none, and ``pixels (T,17,2)``.
    """

    keypoints: Keypoints2D
    calibration: Calibration
    truth: np.ndarray
    pixels: np.ndarray


def observe(folder: Path, name: str, front_end: FrontEnd, joints: np.ndarray) -> View:
    clip, calib = folder / f"{name}.mp4", folder / f"{name}.yaml"
    calibration = calibration_for_size(read_calibration(calib), probe(clip).size, calib_path=calib, clip_path=clip)
    people = find_people(
        read_frames(clip), calibration, PeopleConfig(), detector=front_end.detector, estimator=front_end.estimator
    )
    keypoints = max((track.keypoints for track in people), key=lambda person: len(person.frames))
    moment = keypoints.frames - LATE_FRAMES.get(name, 0)
    truth = np.where((moment >= 0)[:, None, None], joints[np.maximum(moment, 0)], np.nan)
    return View(keypoints, calibration, truth, project(torch.as_tensor(truth), calibration.camera)[0].numpy())


def fit_offset(views: Sequence[View], pair: tuple[int, int]) -> tuple[float, float]:
    """Return the offset of detection from truth along the torso and outwards, in shares of ``pair_axes``."""
    rows, values = [], []
    for view in views:
        basis = pair_axes(view.keypoints.xy, pair)
        size = np.linalg.norm(basis[:, 0, :, 0], axis=-1)[:, None, None]
        offset = (view.keypoints.xy[:, pair] - view.pixels[:, pair]) / size
        known = np.isfinite(offset).all((1, 2)) & np.isfinite(basis).all((1, 2, 3))
        rows.append((basis / size[..., None])[known].reshape(-1, 2))
        values.append(offset[known].ravel())
    up, out = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0].round(4).tolist()
    return up, out


def errors_without(
    view: View, others: Sequence[View], pairs: Sequence[str], share: float, lifter: Lifter
) -> list[float]:
    """Return Abs, Root, MPJPE and PA in mm of ``view`` lifted with ``share`` of the ``others``' offsets taken off."""
    offsets = {name: fit_offset(others, PAIRS[name]) for name in pairs}
    bias = BiasConfig(**offsets, share=share)
    (motion,) = lift([unbiased(view.keypoints, bias)], view.calibration, lifter, LiftConfig())
    e = motion_errors(motion.joints, view.truth, COCO17, TRUTH_HZ)
    return [e.abs_mpjpe_mm, e.root_mm, e.mpjpe_mm, e.pa_mpjpe_mm]


def page(views: dict[str, View], front_end: FrontEnd, lifter: Lifter) -> str:
    lines = [
        f"<!-- python tools/measure_bias.py; {front_end.name}; lifter weights {lifter.digest[:8]} -->",
        "## Systematic offsets of the detector, and what taking them off gives\n",
        f"`{front_end.name}` on pose2sim_single: one man, one recording, four views. Offset of detection from truth,",
        "the same for left and right: along the torso in its length, outwards in half the pair's width.\n",
        "| joints | " + " | ".join(views) + " | all |\n|---|" + "---|" * (len(views) + 1),
    ]
    for name, pair in PAIRS.items():
        fits = [fit_offset([view], pair) for view in views.values()] + [fit_offset(list(views.values()), pair)]
        lines.append(f"| {name} | " + " | ".join(f"{up:+.3f}, {out:+.3f}" for up, out in fits) + " |")
    lines += [
        "\nLifted with the offsets of the other three views taken off (mean of four views, mm, no body fitted):\n",
        "| taken off | Abs-MPJPE | Root | MPJPE | PA-MPJPE |\n|---|---|---|---|---|",
    ]
    means = {}
    for label, pairs, share in TRIALS:
        each = [
            errors_without(view, [o for o in views.values() if o is not view], pairs, share, lifter)
            for view in views.values()
        ]
        means[label] = np.mean(each, 0)
        lines.append(f"| {label} | " + " | ".join(f"{x:.1f}" for x in means[label]) + " |")
    lines.append(what_it_gives(means) + how_to(views))
    return "\n".join(lines) + "\n"


def what_it_gives(means: Mapping[str, np.ndarray]) -> str:
    """Say what the best trial changes; ``means`` are Abs, Root, MPJPE and PA in mm, the first with nothing off."""
    nothing, *others = means
    best = min(others, key=lambda label: means[label][0])
    changes = (means[best] - means[nothing]).tolist()
    names = ("Abs-MPJPE", "Root", "MPJPE", "PA-MPJPE")
    told = ", ".join(f"{name} {change:+.1f}" for name, change in zip(names, changes, strict=True))
    verdict = "falls" if changes[0] < 0 else "does not fall"
    return f"\nThe least Abs-MPJPE of the trials is that with {best} taken off: {told} mm. Abs-MPJPE {verdict}.\n"


def how_to(views: dict[str, View]) -> str:
    hips = fit_offset(list(views.values()), PAIRS["hips"])
    return (
        "\nThe pipeline takes nothing off by default: offsets must lower absolute errors of views they were not\n"
        "fitted on, and those of one man say little about other people. A config file switches it on, for `run`\n"
        "and `lift`; keypoints in the results are the detector's own in any case. All of the hips':\n\n"
        f"```python\nbias = dict(hips={hips})\n```"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data / "real" / "pose2sim_single"
    with np.load(folder / "gt.npz") as truth:
        joints = truth["xyz_world_filt6hz"][:, : len(COCO17)].astype(float)
    front_end, lifter = build_front_end(), load_lifter()
    views = {name: observe(folder, name, front_end, joints) for name in VIEWS}
    offsets = {name: fit_offset(list(views.values()), pair) for name, pair in PAIRS.items()}
    measured = {
        "front_end": front_end.name,
        "measured_on": "pose2sim_single, one man, four views, against triangulated joints, by tools/measure_bias.py",
        "units": "detection minus truth: share of the torso along it, share of the pair's half width outwards",
        "applied": False,
        "offsets": offsets,
    }
    (OUTPUT / f"bias_{front_end.name}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (OUTPUT / "bias.md").write_text(page(views, front_end, lifter), encoding="utf-8")


if __name__ == "__main__":
    main()
