"""``eval``: held-out motion before random cameras, through the same lifting and fitting as a user's recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mocap_video.errors import ConfigError
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.fit import FitConfig, fit_body
from mocap_video.lifter.lift import LiftConfig, Lifter, lift, load_lifter
from mocap_video.lifter.metrics import LABELS, METRICS, FrameErrors, MotionErrors, frame_errors, pool_errors
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.lifter.validation import NOISES, ValidationConfig, flat_baseline, held_out
from mocap_video.lifter.views import Observation, build_scene
from mocap_video.pipeline.progress import Advance
from mocap_video.skeletons import COCO17
from mocap_video.types import BodyFit, Calibration, Camera, GroundPlane, Keypoints2D

CAMERAS = {"site": CameraConfig(height_m=(1.5, 6.0), distance_m=(3.0, 12.0)), "wide": CameraConfig()}
"""*site*: 1.5 to 6 m high and 3 to 12 m away; *wide*: the whole range of training."""

WINDOW_FRAMES = 120
"""Length of a held-out clip, at 30 frames a second: 4 s."""

_FOCAL_PX = 1000.0
TABLE = ("abs_mpjpe_mm", "root_mm", "mpjpe_mm", "pa_mpjpe_mm", "w_mpjpe_mm", "wa_mpjpe_mm", "accel_m_s2",
          "jitter_10m_s3", "foot_slide_mm")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table: ``method`` measured on ``data`` seen by ``cameras`` with 2D of kind ``noise``."""

    data: str
    cameras: str
    noise: str
    method: str
    errors: MotionErrors


@dataclass(frozen=True)
class Plan:
    """What to measure. ``limit``: at most so many clips of each kind, spread evenly over the split; None for all."""

    motions: Path
    split: str
    cameras: tuple[str, ...] = tuple(CAMERAS)
    noises: tuple[str, ...] = tuple(NOISES)
    weights: Path | None = None
    fit: bool = False
    limit: int | None = None
    seed: int = ValidationConfig().seed
    device: str = "cpu"


def evaluate_split(plan: Plan, lift_config: LiftConfig, fit_config: FitConfig, advance: Advance) -> Iterator[Row]:
    """Yield the flat baseline's row, the lifter's and, with ``plan.fit``, the fitted body's, for each kind of view.

    ``advance`` is called with the number of clips done. Raises ``ConfigError`` where the weights are not for COCO-17 or
    ``plan.motions`` is no motion set.
    """
    lifter, body = load_lifter(plan.weights, plan.device), load_body("neutral")
    if lifter.skeleton is not COCO17:
        raise ConfigError(f"{lifter.path}: expected weights for coco17 to evaluate, got {lifter.skeleton.name}.")
    for cameras in plan.cameras:
        for noise in plan.noises:
            config = ValidationConfig(WINDOW_FRAMES, 1, 1, plan.seed, CAMERAS[cameras])
            sample = _at_most(held_out(plan.motions, plan.split, "body", NOISES[noise], body, config), plan.limit)
            parts: dict[str, list[FrameErrors]] = {}
            for window in range(len(sample.joints)):
                for method, errors in _measure(sample, window, lifter, body, lift_config, fit_config, plan.fit):
                    parts.setdefault(method, []).append(errors)
                advance(1)
            for method, errors in parts.items():
                yield Row(plan.split, cameras, noise, method, pool_errors(errors))


def table(rows: list[Row]) -> str:
    """Return ``rows`` as text, absolute errors first."""
    head = ["data", "cameras", "2D", "method", *(LABELS[name] for name in TABLE)]
    lines = [head]
    lines += [
        [row.data, row.cameras, row.noise, row.method, *(f"{getattr(row.errors, name):.1f}" for name in TABLE)]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 4 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def as_json(rows: list[Row]) -> list[Mapping[str, object]]:
    """Return ``rows`` with every metric, for a script."""
    return [
        {"data": row.data, "cameras": row.cameras, "noise": row.noise, "method": row.method,
         "frames": row.errors.frames, **{name: getattr(row.errors, name) for name in METRICS}}
        for row in rows
    ]  # fmt: skip


def as_clip(seen: Observation, window: int) -> tuple[Keypoints2D, Calibration]:
    """Return one window as a recording: keypoints of an ideal camera, whose site world is the canonical frame."""
    valid = seen.valid[window].numpy()
    score = seen.score[window].numpy()[valid].astype(np.float64)
    xy = seen.xy[window].numpy()[valid].astype(np.float64) * _FOCAL_PX
    K = np.diag([_FOCAL_PX, _FOCAL_PX, 1.0])
    R, t = (value[window].double().numpy() for value in (seen.R, seen.t))
    keypoints = Keypoints2D(
        person=1,
        skeleton=COCO17.name,
        frames=np.arange(len(score)),
        time_s=seen.time_s[window].double().numpy()[valid],
        xy=np.where(score[..., None] > 0, xy, np.nan),
        score=score,
    )
    ground = GroundPlane(np.array([0.0, 1.0, 0.0]), 0.0)
    return keypoints, Calibration(Camera(K, R, t, (2000, 2000)), ground, source="made")


def fitted_keypoints(fit: BodyFit, body: BodyModel) -> np.ndarray:
    """Return the COCO-17 keypoints ``(T,17,3)`` m of a fitted body, site world."""
    betas, turns, transl = (
        torch.as_tensor(value, dtype=body.v_template.dtype)
        for value in (fit.betas, np.concatenate([fit.global_orient[:, None], fit.body_pose], 1), fit.transl)
    )
    return body.pose(betas, matrix_from_rotvec(turns), transl).coco.double().numpy()


def _measure(
    sample: Sample,
    window: int,
    lifter: Lifter,
    body: BodyModel,
    lift_config: LiftConfig,
    fit_config: FitConfig,
    fit: bool,
) -> Iterator[tuple[str, FrameErrors]]:
    """Yield the methods' errors on one window; nothing where no frame of it is seen."""
    keypoints, calibration = as_clip(sample.seen, window)
    if not keypoints.seen.any():
        return
    truth = sample.joints[window].numpy()[: len(keypoints.frames)]
    truth = np.where(keypoints.seen[:, None, None], truth, np.nan)
    fps = 1 / float(np.median(np.diff(keypoints.time_s)))
    flat = flat_baseline(build_scene(sample.seen.select(slice(window, window + 1)), COCO17))[0].numpy()
    yield "flat", frame_errors(flat[: len(truth)], truth, COCO17, fps)
    motion = lift([keypoints], calibration, lifter, lift_config)[0]
    yield "lifter", frame_errors(motion.joints, truth, COCO17, fps)
    if fit:
        fitted = fitted_keypoints(fit_body(keypoints, motion, calibration, body, fit_config), body)
        yield "lifter + fit", frame_errors(fitted, truth, COCO17, fps)


def _at_most(sample: Sample, limit: int | None) -> Sample:
    if limit is None or limit >= len(sample.joints):
        return sample
    index = torch.linspace(0, len(sample.joints) - 1, limit).round().long()
    return Sample(sample.seen.select(index), sample.joints[index])
