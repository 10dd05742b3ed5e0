"""Recordings of a known motion as sites see people: whole, cut off by the border, half hidden, far, on a step.

What trust is learned from and measured on: our body's motion before random site cameras, with the keypoints that a
detector would find, lifted and fitted as ``run`` does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.data.augment import AugmentConfig, posed_joints
from mocap_video.lifter.data.bank import MotionBank, bank_of
from mocap_video.lifter.data.cameras import CameraBatch, CameraConfig, place_subject, random_cameras, see
from mocap_video.lifter.data.motions import read_motions
from mocap_video.lifter.data.noise import DETECTOR_LIKE, NoiseConfig, corrupt
from mocap_video.lifter.data.retarget import BANK_FPS, retarget
from mocap_video.lifter.fit import FitConfig, fit_body
from mocap_video.lifter.lift import LiftConfig, Lifter, lift, load_lifter
from mocap_video.pipeline.evaluate import fitted_keypoints
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera, GroundPlane, Keypoints2D, Person

SECONDS = 3.0
"""Length of a recording."""

_STRIDE = 2
"""Every second frame of prepared motion: 15 a second, the rate at which the network runs."""

_SITE = CameraConfig(height_m=(1.5, 6.0), distance_m=(3.0, 12.0))
_FAR = CameraConfig(height_m=(2.5, 8.0), distance_m=(15.0, 30.0), hfov_deg=(60.0, 100.0))
_IMAGE_PX = 1920
_STATURE_M = 1.7
_LEGS = [COCO17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
_ANKLES, _HIPS = COCO17.pair("ankle"), COCO17.pair("hip")


@dataclass(frozen=True)
class Staging:
    """One way in which a site shows people; a round has ``shots`` of it.

    ``cut``: which edge of the image is moved into the person: *feet* the lower one to the shins or the knees, *side* a
    vertical one across the path; ``hidden``: *legs* behind something all the time, *all* for 0.4 to 1.5 s;
    ``length_s``: of what is seen, from and to; ``step_m``: height over the ground of what the person stands on.
    """

    name: str
    shots: int
    cameras: CameraConfig = _SITE
    noise: NoiseConfig = DETECTOR_LIKE
    cut: Literal["feet", "side"] | None = None
    hidden: Literal["all"] | None = None
    length_s: tuple[float, float] = (SECONDS, SECONDS)
    step_m: tuple[float, float] = (0.0, 0.0)


STAGINGS = (
    Staging("whole", 6),
    Staging("feet below the image", 3, cut="feet"),
    Staging("legs hidden", 2, noise=replace(DETECTOR_LIKE, cut=1.0)),
    Staging("partly beside the image", 2, cut="side"),
    Staging("hidden for a while", 2, hidden="all"),
    Staging("far", 2, cameras=_FAR),
    Staging("short", 2, length_s=(0.3, 0.9)),
    Staging("on a step", 1, step_m=(0.2, 0.6)),
)


@dataclass(frozen=True)
class Recording:
    """What ``run`` would make of a person, beside the truth.

    ``truth (T,17,3)`` m, site world, over the frames of ``person``; ``fitted (T,17,3)`` m: keypoints of the body.
    """

    staging: str
    person: Person
    calibration: Calibration
    fitted: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class StagePlan:
    """Which recordings to make: the numbers of ``rounds``, 20 recordings each, from ``split`` of the motion set in
    ``motions``; ``varied`` as training varies its motion, or as it was recorded. A round does not depend on others.
    """

    motions: Path
    split: str
    rounds: Sequence[int]
    varied: bool = False
    seed: int = 0


def record(plan: StagePlan, *, lift_config: LiftConfig, fit_config: FitConfig) -> Iterator[Recording]:
    """Yield the recordings of ``plan``, round after round; one less where nothing of a person is seen."""
    body, lifter = load_body("neutral"), load_lifter()
    bank = bank_for(plan, body)
    one_round = [staging for staging in STAGINGS for _ in range(staging.shots)]
    for number in plan.rounds:
        generator = torch.Generator().manual_seed(1000 * plan.seed + number)
        for shown in one_round:
            shot = shoot(bank, body, shown, plan.varied, generator)
            if shot is not None:
                yield lift_and_fit(shown.name, *shot, lifter, body, lift_config, fit_config)


def lift_and_fit(
    name: str, keypoints: Keypoints2D, calibration: Calibration, truth: np.ndarray,
    lifter: Lifter, body: BodyModel, lift_config: LiftConfig, fit_config: FitConfig,
) -> Recording:  # fmt: skip
    """Return what ``run`` would make of ``keypoints``, beside the ``truth (T,17,3)`` m."""
    (motion,) = lift([keypoints], calibration, lifter, lift_config)
    fit = fit_body(keypoints, motion, calibration, body, fit_config)
    return Recording(name, Person(keypoints, motion, fit), calibration, fitted_keypoints(fit, body), truth)


def bank_for(plan: StagePlan, body: BodyModel) -> MotionBank:
    """Return the clips of the split that stay on the floor."""
    clips = (clip for clip in read_motions(plan.motions, plan.split) if "climbing_not_on_floor" not in clip.flags)
    return bank_of([retarget(clip, body) for clip in clips])


def shoot(
    bank: MotionBank, body: BodyModel, staging: Staging, varied: bool, generator: torch.Generator
) -> tuple[Keypoints2D, Calibration, np.ndarray] | None:
    """Return a recording: keypoints, camera and truth ``(T,17,3)`` m; None where less than two frames show anything."""
    frames = int(SECONDS * BANK_FPS / _STRIDE)
    clip = torch.multinomial(bank.weight, 1, generator=generator)
    first = (torch.rand(1, generator=generator) * (bank.length[clip] - frames * _STRIDE).clamp_min(0)).long()
    one = torch.ones(1)
    windows = bank.windows(clip, first, _STRIDE * one.long(), frames, one)
    joints = posed_joints(windows, body, COCO17, AugmentConfig() if varied else None, generator)
    joints[..., 1] += _between(staging.step_m, generator)
    reach = _root(joints)[..., [0, 2]].norm(dim=-1).amax(1)
    cameras = random_cameras(reach, staging.cameras, generator)
    joints = place_subject(joints, cameras, generator)
    xy, visible = see(joints, cameras)
    border = _border(xy[0], visible[0], cameras, staging, generator)
    inside = ((xy >= border[0]) & (xy <= border[1])).all(-1)
    visible = visible & inside & windows.valid[..., None] & _shown(frames, staging, generator)[None, :, None]
    center = cameras.R.mT @ -cameras.t[..., None]
    distance = (_root(joints) - center[:, None, :, 0]).norm(dim=-1)
    xy, score = corrupt(xy, visible, _STATURE_M / distance, windows.time_s, COCO17, staging.noise, generator)
    seen = torch.nonzero((score[0] > 0).any(-1))[:, 0]
    if len(seen) < 2:
        return None
    kept = slice(int(seen[0]), int(seen[-1]) + 1)
    camera = _camera(cameras, border)
    pixels = (xy[0, kept].double() * float(camera.K[0, 0])).numpy() + camera.K[:2, 2]
    weight = score[0, kept].double().numpy()
    keypoints = Keypoints2D(
        person=1,
        skeleton=COCO17.name,
        frames=np.arange(len(weight)),
        time_s=windows.time_s[0, kept].double().numpy(),
        xy=np.where(weight[..., None] > 0, pixels, np.nan),
        score=weight,
    )
    ground = GroundPlane(np.array([0.0, 1.0, 0.0]), 0.0)
    return keypoints, Calibration(camera, ground, source="made"), joints[0, kept].double().numpy()


def _root(joints: Tensor) -> Tensor:
    """Return the root ``(...,3)`` m of ``joints (...,17,3)`` m."""
    return joints[..., list(COCO17.root), :].mean(-2)


def _between(bounds: tuple[float, float], generator: torch.Generator) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * float(torch.rand((), generator=generator))


def _shown(frames: int, staging: Staging, generator: torch.Generator) -> Tensor:
    """Frames ``(T)`` bool in which the person is there to be seen."""
    time_s = torch.arange(frames) * _STRIDE / BANK_FPS
    length = _between(staging.length_s, generator)
    shown = time_s <= length
    if staging.hidden == "all":
        gap = _between((0.4, 1.5), generator)
        start = _between((0.2, SECONDS - gap - 0.2), generator)
        shown &= (time_s < start) | (time_s > start + gap)
    return shown


def _border(xy: Tensor, visible: Tensor, cameras: CameraBatch, staging: Staging, generator: torch.Generator) -> Tensor:
    """The image's corners ``(2,2)``, normalised: upper left, lower right."""
    border = torch.stack([-cameras.half[0], cameras.half[0]])
    if staging.cut is None or not visible.any():
        return border
    share = _between((0.1, 0.7), generator)
    if staging.cut == "feet":
        ankle, hip = xy[:, _ANKLES, 1].amin(1).median(), xy[:, _HIPS, 1].mean()
        border[1, 1] = torch.minimum(border[1, 1], ankle + share * (hip - ankle))
        return border
    edge = torch.quantile(xy[..., 0][visible], _between((0.2, 0.8), generator))
    border[int(share > 0.4), 0] = edge
    return border


def _camera(cameras: CameraBatch, border: Tensor) -> Camera:
    half = cameras.half[0].double().numpy()
    focal = _IMAGE_PX / 2 / half.max()
    corner, size = border[0].double().numpy() * focal, (border[1] - border[0]).double().numpy() * focal
    K = np.array([[focal, 0, -corner[0] - 0.5], [0, focal, -corner[1] - 0.5], [0, 0, 1.0]])
    width, height = (max(16, round(float(side))) for side in size)
    return Camera(K, cameras.R[0].double().numpy(), cameras.t[0].double().numpy(), (width, height))
