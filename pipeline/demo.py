"""``demo``: a known person in a known site, filmed by a known camera, through the whole pipeline as any clip.

The error it prints is therefore that of everything together: detection, keypoints, lifting and fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from mocap_video.artifacts import Store, atomic_write
from mocap_video.calib.files import write_calibration
from mocap_video.errors import NoPersonError
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.metrics import MotionErrors, match_times, motion_errors
from mocap_video.pipeline.demo_motion import BodyMotion, walk_squat_wave
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import Advance, Progress
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.run import Clip, run_clip
from mocap_video.pipeline.stages import CACHE, FILM, StageRunner
from mocap_video.pipeline.video import VideoWriter
from mocap_video.render.mesh import PosedMesh
from mocap_video.render.scene import SceneRenderer
from mocap_video.render.wardrobe import clothed_colours
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera, ClipResult, GroundPlane, Motion3D

RATE = 25.0
SECONDS = 5.0
BETAS = np.array([0.6, -0.4, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
"""The person's shape: not the mean, so that the fit has something to find."""


@dataclass(frozen=True)
class DemoTruth:
    """What the rendered person really did: ``joints_world (T,17,3)`` m COCO-17 at ``time_s (T)`` s, site world."""

    time_s: np.ndarray
    joints_world: np.ndarray


@dataclass(frozen=True)
class DemoOutcome:
    """The errors of the run and where its results are."""

    errors: MotionErrors
    frames_in_clip: int
    output: Path

    def as_json(self) -> dict[str, object]:
        """Return the figures for a script."""
        return {**asdict(self.errors), "frames_in_clip": self.frames_in_clip, "output": str(self.output)}

    def as_text(self) -> str:
        """Return the figures for a reader."""
        errors = self.errors
        return "\n".join(
            [
                f"against the truth, {errors.frames} of {self.frames_in_clip} frames, COCO-17, no alignment:",
                f"  Abs-MPJPE  {errors.abs_mpjpe_mm:6.1f} mm   every joint, where it is in the site",
                f"  Root       {errors.root_mm:6.1f} mm   the mid-hip, where it is in the site",
                f"  MPJPE      {errors.mpjpe_mm:6.1f} mm   joints relative to the mid-hip",
                f"  PA-MPJPE   {errors.pa_mpjpe_mm:6.1f} mm   the pose alone",
                *(f"{name:<13}{self.output / name}" for name in VIDEO_NAMES),
            ]
        )


def run_demo(folder: Path, settings: Settings, progress: Progress) -> DemoOutcome:
    """Render the demo clip into ``folder``, run the pipeline on it and measure the result against the truth."""
    clip, calib = folder / "clip.mp4", folder / "cam.yaml"
    calibration, body = demo_calibration(), load_body("neutral")
    motion = walk_squat_wave(body, BETAS, seconds=SECONDS, rate=RATE)
    write_calibration(calibration, calib)
    StageRunner(Store(folder / CACHE), progress).files(
        FILM,
        (motion, calibration, body.digest),
        [clip],
        lambda advance: render_clip(clip, motion, body, calibration, advance),
        total=len(motion.time_s),
    )
    truth = truth_of(motion, body)
    with atomic_write(folder / "truth.npz") as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, time_s=truth.time_s, joints_world=truth.joints_world)
    output = folder / "results"
    result = run_clip(Clip(clip), calib, output, settings, progress)
    return DemoOutcome(errors_of(result, truth), len(truth.time_s), output)


def demo_calibration(size: tuple[int, int] = (1280, 720)) -> Calibration:
    """Return the demo's camera for images of ``size`` (W, H) px of 16:9: 2.5 m up, a mild barrel lens, ground z = 0."""
    center, target = np.array([2.6, -6.6, 2.5]), np.array([0.25, -1.8, 0.85])
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[1300.0, 0.0, 639.5], [0.0, 1300.0, 359.5], [0.0, 0.0, 1.0]])
    lens = np.array([-0.12, 0.03, 0.0, 0.0, 0.0])
    camera = Camera(K, R, -R @ center, (1280, 720), "opencv", lens).resized(size)
    return Calibration(camera, GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0), name="demo", source="rendered")


def render_clip(path: Path, motion: BodyMotion, body: BodyModel, calibration: Calibration, advance: Advance) -> None:
    """Write the video of ``body`` in clothes going through ``motion`` as the camera of ``calibration`` sees it."""
    betas, rotations, transl = _tensors(motion)
    rest = body.pose(betas, torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    template = (body.v_template + body.shapedirs @ betas).numpy()
    colours = clothed_colours(template, body.weights.numpy(), rest.joints.numpy(), rest.coco.numpy())
    with (
        SceneRenderer(calibration.camera, calibration.ground) as scene,
        VideoWriter(path, calibration.camera.size) as writer,
    ):
        for frame, time_s in enumerate(motion.time_s.tolist()):
            vertices = body.vertices(betas, rotations[frame, None], transl[frame, None])[0].numpy()
            writer.write(scene.draw([PosedMesh(vertices, body.faces, colours)], time_s), time_s)
            advance(1)


def truth_of(motion: BodyMotion, body: BodyModel) -> DemoTruth:
    """Return where the keypoints of ``body`` are during ``motion``."""
    return DemoTruth(motion.time_s, body.pose(*_tensors(motion)).coco.double().numpy())


def errors_of(result: ClipResult, truth: DemoTruth) -> MotionErrors:
    """Compare the person tracked longest with the truth at the same times."""
    if not result.people:
        raise NoPersonError(f"{result.video.path}: nobody was found in the demo's clip. Run mocap-video doctor.")
    motion: Motion3D = max((person.motion for person in result.people), key=lambda found: len(found.frames))
    mine, theirs = match_times(motion.time_s, truth.time_s, tolerance_s=0.4 / RATE)
    return motion_errors(motion.joints[mine], truth.joints_world[theirs], COCO17, RATE)


def _tensors(motion: BodyMotion) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    betas, rotations, transl = (
        torch.as_tensor(array, dtype=torch.float32) for array in (motion.betas, motion.rotations, motion.transl)
    )
    return betas, rotations, transl
