"""``eval``: held-out motion before random cameras, through the same lifting and fitting as a user's recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mocap_video.errors import ConfigError
from mocap_video.lifter.baselines import fit_from_mean_pose, mean_pose
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.fit import FitConfig, fit_body, stature
from mocap_video.lifter.keypoints import pose_fit
from mocap_video.lifter.lift import LiftConfig, Lifter, lift, load_lifter
from mocap_video.lifter.metrics import LABELS, METRICS, FrameErrors, MotionErrors, frame_errors, pool_errors
from mocap_video.lifter.validation import NOISES, ValidationConfig, flat_baseline, held_out
from mocap_video.lifter.views import Observation, build_scene
from mocap_video.pipeline.progress import Advance
from mocap_video.skeletons import COCO17
from mocap_video.types import BodyFit, Calibration, Camera, GroundPlane, Keypoints2D, Motion3D

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
    """What to measure. ``limit``: at most so many clips of each kind, spread evenly over the split; None for all.

    ``against``: other weights to measure beside; ``baselines``: also a body fitted to the 2D from a mean pose, without
    a lifter; ``shapes``: clips wear the mean shape or random ones; ``height``: also fit with each clip's true stature.
    """

    motions: Path
    split: str
    cameras: tuple[str, ...] = tuple(CAMERAS)
    noises: tuple[str, ...] = tuple(NOISES)
    weights: Path | None = None
    against: tuple[Path, ...] = ()
    fit: bool = False
    baselines: bool = False
    shapes: Literal["mean", "random"] = "mean"
    height: bool = False
    limit: int | None = None
    seed: int = ValidationConfig().seed
    device: str = "cpu"


def evaluate_split(plan: Plan, lift_config: LiftConfig, fit_config: FitConfig, advance: Advance) -> Iterator[Row]:
    """Yield the rows of each method for each kind of view: the flat baseline, the lifter, and what ``plan`` adds.

    ``advance`` is called with the number of clips done. Raises ``ConfigError`` where the weights are not for COCO-17 or
    ``plan.motions`` is no motion set.
    """
    methods = _Methods(plan, lift_config, fit_config)
    for cameras in plan.cameras:
        for noise in plan.noises:
            config = ValidationConfig(WINDOW_FRAMES, 1, 1, plan.seed, CAMERAS[cameras], plan.shapes)
            sample = held_out(plan.motions, plan.split, "body", NOISES[noise], methods.body, config)
            sample = _at_most(sample, plan.limit)
            parts: dict[str, list[FrameErrors]] = {}
            for window in range(len(sample.joints)):
                for method, errors in methods.measure(sample.select(torch.tensor([window]))):
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
    return aligned(lines, left=4)


def aligned(lines: list[list[str]], left: int) -> str:
    """Return ``lines`` of cells as text in columns, the first ``left`` of them flush left."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
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
    return body_keypoints(body, fit.betas, np.concatenate([fit.global_orient[:, None], fit.body_pose], 1), fit.transl)


def body_keypoints(body: BodyModel, betas: np.ndarray, rotvec: np.ndarray, transl: np.ndarray) -> np.ndarray:
    """Return the COCO-17 keypoints ``(T,17,3)`` m of ``body`` with ``betas (10)``, ``rotvec (T,24,3)`` rad and
    ``transl (T,3)`` m.
    """
    return pose_fit(body, betas, rotvec, transl).coco.double().numpy()


class _Methods:
    """What ``eval`` measures on one clip after another."""

    def __init__(self, plan: Plan, lift_config: LiftConfig, fit_config: FitConfig) -> None:
        self.plan, self.lift_config, self.fit_config = plan, lift_config, fit_config
        self.body = load_body("neutral")
        self.lifter = _coco17(plan.weights, plan.device)
        self.others = {_label(other): other for other in (_coco17(path, plan.device) for path in plan.against)}

    def measure(self, clip: Sample) -> Iterator[tuple[str, FrameErrors]]:
        """Yield the methods' errors on a sample of one window; nothing where no frame of it is seen."""
        keypoints, calibration = as_clip(clip.seen, 0)
        if not keypoints.seen.any():
            return
        count = len(keypoints.frames)
        truth = np.where(keypoints.seen[:, None, None], clip.joints[0].numpy()[:count], np.nan)
        fps = 1 / float(np.median(np.diff(keypoints.time_s)))

        def errors(joints: np.ndarray) -> FrameErrors:
            return frame_errors(joints, truth, COCO17, fps)

        def fitted(motion: Motion3D, config: FitConfig) -> FrameErrors:
            return errors(fitted_keypoints(fit_body(keypoints, motion, calibration, self.body, config), self.body))

        scene = build_scene(clip.seen, COCO17)
        yield "flat", errors(flat_baseline(scene)[0, :count].numpy())
        if self.plan.baselines:
            start = mean_pose(scene, self.body)[0, :count].double().numpy()
            fit = fit_from_mean_pose(keypoints, start, calibration, self.body, self.fit_config)
            yield "SMPLify from 2D", errors(fitted_keypoints(fit, self.body))
        for name, other in self.others.items():
            yield name, errors(lift([keypoints], calibration, other, self.lift_config)[0].joints)
        motion = lift([keypoints], calibration, self.lifter, self.lift_config)[0]
        yield "lifter", errors(motion.joints)
        if self.plan.fit:
            yield "lifter + fit", fitted(motion, self.fit_config)
        if self.plan.height and clip.betas is not None:
            known = replace(self.fit_config, height_m=float(stature(self.body, clip.betas[0])))
            yield "lifter + fit, height known", fitted(motion, known)


def _coco17(weights: Path | None, device: str) -> Lifter:
    lifter = load_lifter(weights, device)
    if lifter.skeleton is not COCO17:
        raise ConfigError(f"{lifter.path}: expected weights for coco17 to evaluate, got {lifter.skeleton.name}.")
    return lifter


def _label(lifter: Lifter) -> str:
    """Return what a table calls other weights: what they are trained without, else their file."""
    return "regressor" if lifter.model.config.ablation.direct else lifter.path.stem


def _at_most(sample: Sample, limit: int | None) -> Sample:
    if limit is None or limit >= len(sample.joints):
        return sample
    index = torch.linspace(0, len(sample.joints) - 1, limit).round().long()
    return sample.select(index)
