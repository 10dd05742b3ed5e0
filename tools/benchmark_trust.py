"""Measure trust and write docs/benchmarks/trust.md and trust_spread.svg; tools/benchmark.py --assemble takes them in.

    python tools/benchmark_trust.py MOTIONS --data DATA [--rounds 5] [--work out/benchmark]

MOTIONS is the folder of the open motion set, DATA the one that holds real/pose2sim_single; it is run by the installed
program, under --work, where what tools/benchmark.py left is used again. Is what is flagged worse than what is not? Does
the score mean what it says? Does the expected error follow the true one?
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from benchmark import LATE_FRAMES, TRUTH_HZ, VIEWS, longest, run, truth_of

from mocap_video.calib.files import read_calibration
from mocap_video.lifter.body import load_body
from mocap_video.lifter.fit import FitConfig
from mocap_video.lifter.lift import LiftConfig, load_lifter
from mocap_video.lifter.metrics import match_times
from mocap_video.lifter.weights import load_weights, shipped_weights
from mocap_video.pipeline.results import PersonRecord
from mocap_video.pipeline.staged import Recording, StagePlan, lift_and_fit, record
from mocap_video.pipeline.trust import FLAGS, NEAR_M, assess
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Keypoints2D

PART = Path(__file__).parents[1] / "docs" / "benchmarks" / "trust.md"
PLOT = PART.with_name("trust_spread.svg")
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GROUPS = {
    "head": ("nose", "eye", "ear"), "shoulders, hips": ("shoulder", "hip"), "elbows, knees": ("elbow", "knee"),
    "wrists, ankles": ("wrist", "ankle"),
}  # fmt: skip
CUTS = ("as recorded", "cut at the shins", "cut at the thighs", "left half")


@dataclass(frozen=True)
class Measured:
    """Frames with known truth: errors ``body_mm (T)`` of the fitted keypoints, ``root_mm (T)``, ``joint_m (T,17)`` of
    the lifted joints and ``spread_m (T,17)``, ``score (T)`` and ``flags (T,F)``; ``name (T)`` of the recording's kind.
    """

    name: np.ndarray
    body_mm: np.ndarray
    root_mm: np.ndarray
    joint_m: np.ndarray
    spread_m: np.ndarray
    score: np.ndarray
    flags: np.ndarray

    def where(self, mask: np.ndarray) -> Measured:
        """Return the frames of ``mask (T)``."""
        return Measured(**{name: value[mask] for name, value in vars(self).items()})


def measure(recording: Recording) -> Measured:
    """Compare one recording with its truth."""
    person, truth = recording.person, recording.truth
    trust = assess(person, recording.calibration)
    root = COCO17.root_of(recording.fitted) - COCO17.root_of(truth)
    measured = Measured(
        name=np.full(len(truth), recording.staging),
        body_mm=1000 * mean_known(np.linalg.norm(recording.fitted - truth, axis=-1)),
        root_mm=1000 * np.linalg.norm(root, axis=-1),
        joint_m=np.linalg.norm(person.motion.joints - truth, axis=-1),
        spread_m=person.motion.spread,
        score=trust.score,
        flags=trust.flags,
    )
    return measured.where(np.isfinite(measured.body_mm + measured.root_mm))


def pooled(recordings: Iterator[Recording]) -> Measured:
    """Measure all ``recordings`` and put their frames together."""
    parts = []
    for recording in recordings:
        parts.append(measure(recording))
        print(f"\r{len(parts)} recordings", end="", flush=True)
    print()
    return Measured(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Measured)}
    )


def real(data: Path, work: Path) -> Iterator[Recording]:
    """One man before four real cameras, as recorded and with the image's border moved into him."""
    folder = data / "real" / "pose2sim_single"
    truth, lifter, body = truth_of(folder), load_lifter(), load_body("neutral")
    for view in VIEWS:
        found = longest(run(folder / f"{view}.mp4", folder / f"{view}.yaml", work / "single" / view).people)
        calibration = read_calibration(folder / f"{view}.yaml")
        late = LATE_FRAMES.get(view, 0) / TRUTH_HZ
        mine, theirs = match_times(found.time_s - late, np.arange(len(truth)) / TRUTH_HZ, 0.4 / TRUTH_HZ)
        known = np.full((len(found.frame), 17, 3), np.nan)
        known[mine] = truth[theirs]
        for name in CUTS:
            keypoints, cut = cut_off(found, calibration, name)
            yield lift_and_fit(name, keypoints, cut, known, lifter, body, LiftConfig(), FitConfig())


def cut_off(found: PersonRecord, calibration: Calibration, name: str) -> tuple[Keypoints2D, Calibration]:
    """Return the keypoints of ``found`` that are left when the border of the image is moved as ``name`` says."""
    xy, score = found.keypoints2d[..., :2].copy(), found.keypoints2d[..., 2].copy()
    camera, (width, height) = calibration.camera, calibration.camera.size
    right, bottom = width, height
    middle = {part: np.nanmedian(xy[:, COCO17.pair(part)], (0, 1)) for part in ("hip", "knee", "ankle")}
    if name == "cut at the shins":
        bottom = int(0.5 * (middle["knee"] + middle["ankle"])[1])
    if name == "cut at the thighs":
        bottom = int(0.5 * (middle["hip"] + middle["knee"])[1])
    if name == "left half":
        right = int(middle["hip"][0])
    gone = (xy[..., 0] > right - 1) | (xy[..., 1] > bottom - 1) | ~np.isfinite(xy).all(-1)
    xy[gone], score[gone] = np.nan, 0
    keypoints = Keypoints2D(1, COCO17.name, found.frame, found.time_s, xy, score)
    camera = camera.cropped(0, 0, (right, bottom))
    return keypoints, dataclasses.replace(calibration, camera=camera)


def by_kind(measured: Measured) -> Iterator[str]:
    """Flagged against unflagged, kind by kind and all together."""
    yield (
        "| recordings | frames | within 15 cm | flagged | Abs-MPJPE not flagged | flagged | times | "
        "Root not flagged | flagged | times |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    kinds = {name: measured.name == name for name in dict.fromkeys(measured.name)}
    if "on a step" in kinds:
        kinds["all but on a step"] = measured.name != "on a step"
    for name, chosen in {**kinds, "all": np.full(len(measured.name), True)}.items():
        part = measured.where(chosen)
        flagged = np.asarray(part.flags.any(1))
        cells = [name, str(len(flagged)), f"{(part.body_mm < 1000 * NEAR_M).mean():.0%}", f"{flagged.mean():.0%}"]
        for errors in (part.body_mm, part.root_mm):
            ok, bad = mean(errors[~flagged]), mean(errors[flagged])
            cells += [number(ok), number(bad), f"{bad / ok:.1f}" if np.isfinite(bad / ok) else ""]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def by_flag(measured: Measured) -> Iterator[str]:
    """Every flag against the frames without any."""
    free = ~measured.flags.any(1)
    yield "| flag | frames | Abs-MPJPE | Root | Abs-MPJPE times that of frames without a flag |"
    yield "|---|---|---|---|---|"
    known = mean(measured.body_mm[free])
    for name, raised in zip(FLAGS, measured.flags.T, strict=True):
        body, root = mean(measured.body_mm[raised]), mean(measured.root_mm[raised])
        times = f"{body / known:.1f}" if raised.any() else ""
        yield f"| `{name}` | {raised.mean():.1%} | {number(body)} | {number(root)} | {times} |"
    yield f"| none | {free.mean():.1%} | {number(known)} | {number(mean(measured.root_mm[free]))} | |"
    yield ""


def reliability(measured: Measured) -> Iterator[str]:
    """The score against what is true."""
    yield "| score | frames | mean score | truly within 15 cm | Abs-MPJPE |\n|---|---|---|---|---|"
    for low, high in pairwise(BINS):
        part = measured.where((measured.score >= low) & ((measured.score < high) | (high == 1)))
        cells = [f"{low:.1f} to {high:.1f}", f"{len(part.score) / len(measured.score):.0%}", "", "", ""]
        if len(part.score):
            right = (part.body_mm < 1000 * NEAR_M).mean()
            cells[2:] = f"{part.score.mean():.2f}", f"{right:.0%}", number(mean(part.body_mm))
        yield "| " + " | ".join(cells) + " |"
    yield ""


def spread_rows(parts: dict[str, Measured]) -> Iterator[str]:
    """``spread_m`` against the true error of the lifted joints."""
    yield "| frames of | joints | correlation | expected mm | true mm |\n|---|---|---|---|---|"
    for source, measured in parts.items():
        for group, names in {**GROUPS, "all": ("",)}.items():
            index = [i for i, name in enumerate(COCO17.names) if name.endswith(names)]
            spread, error = measured.spread_m[:, index].ravel(), measured.joint_m[:, index].ravel()
            known = np.isfinite(error)
            r = np.corrcoef(spread[known], error[known])[0, 1]
            expected, true = 1000 * spread[known].mean(), 1000 * error[known].mean()
            yield f"| {source} | {group} | {r:.2f} | {expected:.0f} | {true:.0f} |"
    yield ""


def mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(-1)
    return np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)


def mean(values: np.ndarray) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def number(value: float) -> str:
    """Return a whole number, empty for NaN."""
    return f"{value:.0f}" if np.isfinite(value) else ""


def plot(measured: Measured) -> str:
    """Return a picture (SVG) of expected against true errors: means of equally many joints, and their middle half."""
    known = np.isfinite(measured.joint_m)
    spread, error = 100 * measured.spread_m[known], 100 * measured.joint_m[known]
    pieces = np.array_split(np.argsort(spread), 12)
    points = [(spread[i].mean(), error[i].mean(), *np.percentile(error[i], (25, 75))) for i in pieces]
    side, pad = 320, 40
    top = 1.05 * max(max(point) for point in points)

    def x(value: float) -> str:
        return f"{pad + value / top * (side - 1.5 * pad):.1f}"

    def y(value: float) -> str:
        return f"{side - pad - value / top * (side - 1.5 * pad):.1f}"

    ticks = np.arange(0, top, max(5.0, 5 * round(top / 25)))
    text = "font-family='sans-serif' font-size='11' fill='#777'"
    lines = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {side} {side}' width='{side}' height='{side}'>"]
    lines += [f"<line x1='{x(0)}' y1='{y(0)}' x2='{x(top)}' y2='{y(top)}' stroke='#999' stroke-dasharray='4 4'/>"]
    for tick in ticks:
        lines += [
            f"<line x1='{x(0)}' y1='{y(tick)}' x2='{x(top)}' y2='{y(tick)}' stroke='#999' stroke-opacity='.25'/>",
            f"<text x='{pad - 5}' y='{y(tick)}' text-anchor='end' {text}>{tick:.0f}</text>",
            f"<text x='{x(tick)}' y='{side - pad + 15}' text-anchor='middle' {text}>{tick:.0f}</text>",
        ]
    for expected, true, low, high in points:
        lines += [
            f"<line x1='{x(expected)}' y1='{y(low)}' x2='{x(expected)}' y2='{y(high)}' stroke='#4a90c2' "
            "stroke-width='3' stroke-opacity='.4'/>",
            f"<circle cx='{x(expected)}' cy='{y(true)}' r='4' fill='#4a90c2'/>",
        ]
    lines += [
        f"<text x='{side / 2}' y='{side - 6}' text-anchor='middle' {text}>expected error of a joint, cm</text>",
        f"<text x='12' y='{side / 2}' text-anchor='middle' transform='rotate(-90 12 {side / 2})' {text}>"
        "true error, cm</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def page(made: Measured, seen: Measured, rounds: int) -> Iterator[str]:
    """Yield the page's lines."""
    yield f"<!-- python tools/benchmark_trust.py MOTIONS --data DATA --rounds {rounds} -->"
    yield "## Trust: are flagged frames worse, and does the score mean what it says?\n"
    yield (
        f"Lifter weights `{load_weights(shipped_weights()).digest[:12]}`. Errors are those of the fitted body's 17 "
        "keypoints, millimetres, nothing aligned. *Times*: the error of flagged frames over that of the others. What "
        "the flags mean: [trust](./../trust.md).\n"
    )
    yield (
        f"### Val split before random site cameras, detector-like 2D\n\n{rounds} rounds of 20 recordings of 3 s at "
        "15 frames a second. The score was fitted to the train split. A step of 20 to 60 cm shows one camera nothing "
        "but an odd body size.\n"
    )
    yield from (*by_kind(made), *by_flag(made), *reliability(made))
    yield (
        "### pose2sim_single: four real cameras, real detections\n\nOne man near the cameras, against triangulated "
        "truth (1 to 3 cm). Below the first line the same detections with the border of the image moved into him.\n"
    )
    yield from (*by_kind(seen), *by_flag(seen), *reliability(seen))
    yield "### The error to expect (`spread_m`) against the true error of the lifted joints\n"
    whole = seen.where(seen.name == CUTS[0])
    on_ground = made.where(made.name != "on a step")
    yield from spread_rows({
        "val split, but on a step": on_ground, "val split": made,
        "pose2sim_single, as recorded": whole, "pose2sim_single": seen,
    })  # fmt: skip
    yield (
        "Correlation over frames and joints. The plot is of the val split but on a step: means of twelfths of all "
        "joints, ordered by what was expected, and the middle half of their errors; dashed: both are equal.\n"
    )
    yield f"![expected against true error](./{PLOT.name})"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("MOCAP_VIDEO_DATA"), help="folder with real/")
    parser.add_argument("--rounds", type=int, default=5, help="of 20 recordings each")
    parser.add_argument("--work", type=Path, default=Path("out/benchmark"), help="where the runs' results go")
    options = parser.parse_args()
    if options.data is None or not (options.data / "real").is_dir():
        parser.error("--data: expected the folder that holds real/ (or set MOCAP_VIDEO_DATA)")
    seen = pooled(real(options.data, options.work))
    plan = StagePlan(options.motions, "val", range(options.rounds), seed=7)
    made = pooled(record(plan, lift_config=LiftConfig(), fit_config=FitConfig()))
    PART.write_text("\n".join(page(made, seen, options.rounds)) + "\n", encoding="utf-8")
    PLOT.write_text(plot(made.where(made.name != "on a step")), encoding="utf-8")


if __name__ == "__main__":
    main()
