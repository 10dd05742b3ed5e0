"""Results folders made without running the pipeline: known walks before the demo's camera, for the pages."""

from __future__ import annotations

import csv
import functools
import json
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from mocap_video.calib.geometry import project
from mocap_video.lifter.body import load_body
from mocap_video.lifter.rotations import rotvec_from_matrix
from mocap_video.pipeline.demo import BETAS, demo_calibration
from mocap_video.pipeline.demo_motion import walk_squat_wave
from mocap_video.pipeline.results import write_results
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.video import VideoWriter
from mocap_video.types import BodyFit, ClipResult, Keypoints2D, Motion3D, Person, VideoInfo
from synth.videos import picture

RATE = 25.0
FRAMES = 50
SIZE = (320, 180)
FLAGS = {"feet_hidden": "feet hidden: distance from body size only", "far": "far from the camera"}

Flagging = Callable[[int, int], Sequence[str]]
"""Which flags a person's frame raises: of (person, frame)."""


@functools.cache
def walker(number: int = 1, shift_m: float = 0.0, frames: int = FRAMES, first: int = 0) -> Person:
    """Return the demo's walker as person ``number``, ``shift_m`` to the right, for ``frames`` from ``first`` on."""
    body, camera = load_body("neutral"), demo_calibration(SIZE).camera
    motion = walk_squat_wave(body, BETAS, seconds=frames / RATE, rate=RATE)
    betas, rotations, transl = (
        torch.as_tensor(part, dtype=torch.float32) for part in (motion.betas, motion.rotations, motion.transl)
    )
    transl = transl + torch.tensor([shift_m, 0.0, 0.0])
    posed = body.pose(betas, rotations, transl)
    coco = posed.coco.double()
    xy, _ = project(coco, camera)
    rotvec = rotvec_from_matrix(rotations).double().numpy()
    numbers = np.arange(first, first + frames)
    times = numbers / RATE
    return Person(
        Keypoints2D(number, "coco17", numbers, times, xy.numpy(), np.full((frames, 17), 0.9 - 0.1 * number)),
        Motion3D(number, "coco17", numbers, times, coco.numpy(), np.full((frames, 17), 0.05)),
        BodyFit(number, "neutral", motion.betas, rotvec[:, 0], rotvec[:, 1:], transl.double().numpy(),
                posed.joints.double().numpy(), np.full(frames, 0.02)),
    )  # fmt: skip


def write_clip(
    folder: Path,
    *people: Person,
    clip: str = "clip.mp4",
    frames: int = FRAMES,
    videos: bool = False,
    flagging: Flagging | None = None,
    start_s: float = 0.0,
) -> Path:
    """Write a results folder as ``run`` does, its videos of numbered frames where asked; return it."""
    body = load_body("neutral")
    video = VideoInfo(Path(clip), SIZE, Fraction(int(RATE)), np.arange(frames) / RATE)
    result = ClipResult(video, demo_calibration(SIZE), people, {}, start_s)
    write_results(folder, result, body_model=f"{body.name} {body.digest}", stages=(), warnings=())
    if flagging is not None:
        add_flags(folder, flagging)
    for name in VIDEO_NAMES if videos else ():
        with VideoWriter(folder / name, SIZE) as writer:
            for time_s in video.time_s[video.time_s >= start_s]:
                writer.write(picture(round(time_s * RATE), SIZE), float(time_s))
    return folder


def add_flags(folder: Path, flagging: Flagging) -> None:
    """Set the column ``flags`` of people.csv, and the sentences of the report."""
    seen: dict[int, int] = {}
    table = folder / "people.csv"
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        number = int(row["person"])
        row["flags"] = ";".join(flagging(number, seen.get(number, 0)))
        seen[number] = seen.get(number, 0) + 1
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**report, "flags": FLAGS}))


def write_many(root: Path, count: int, template: Path) -> None:
    """Write ``count`` results like ``template``, below ten cameras of ``root``, each with a trust and flags of its own.

    The people's files are links to the template's: what is measured with these is the list.
    """
    with (template / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    report = json.loads((template / "report.json").read_text())
    rng = np.random.default_rng(0)
    for number in range(count):
        folder = root / f"camera-{number % 10}" / f"clip-{number:04d}"
        (folder / "people").mkdir(parents=True)
        for path in [*(template / "people").iterdir(), *template.glob("*.mp4")]:
            os.link(path, folder / path.relative_to(template))
        share, trust, ids = rng.random() ** 3, 0.25 + 0.75 * rng.random(), list(FLAGS)[: number % 3]
        with (folder / "people.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [*rows[0], *([] if "flags" in rows[0] else ["flags"])], lineterminator="\n")
            writer.writeheader()
            for place, row in enumerate(rows):
                raised = ";".join(ids) if place < share * len(rows) else ""
                writer.writerow({**row, "trust": f"{trust * float(row['trust']):.3f}", "flags": raised})
        clip = {**report["clip"], "path": f"{folder.name}.mp4"}
        (folder / "report.json").write_text(json.dumps({**report, "clip": clip, "flags": FLAGS}))
