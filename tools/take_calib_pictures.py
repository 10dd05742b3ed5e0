"""Make the pictures of docs/calib_people.md, calib_mount.md and calib_import.md: docs/images/calib_*.jpg.

    python tools/take_calib_pictures.py WORK

Renders a clip of people who walk before a known camera into the folder WORK, calibrates it by the commands that the
pages describe, says how far each is from the truth, and keeps their proof pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from mocap_video.calib.accuracy import RANGES_M, ground_errors
from mocap_video.calib.checks import summarize
from mocap_video.calib.files import read_calibration, write_calibration
from mocap_video.calib.mount import Mount, pinhole
from mocap_video.calib.optics import focal_from_hfov
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.pipeline.cli import main as command
from mocap_video.pipeline.demo_motion import BodyMotion, walk_squat_wave
from mocap_video.pipeline.video import VideoWriter
from mocap_video.render.mesh import PosedMesh
from mocap_video.render.scene import SceneRenderer
from mocap_video.render.wardrobe import clothed_colours
from mocap_video.types import Calibration

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE, HFOV_DEG = (1280, 720), 68.0
MOUNT = Mount(3.2, float(np.radians(24)), float(np.radians(1)))
WALK_S, RATE = 2.0, 12.5
PEOPLE = (
    (0, -1.8, 6.0, 15, 0.6), (0, 1.6, 8.5, 190, -0.9), (0, -3.0, 11.0, -75, 0.1), (1, 0.8, 5.5, 80, -0.7),
    (1, -2.6, 8.0, -20, 1.1), (1, 3.2, 9.5, 200, 0.3), (2, 2.0, 6.5, -60, 0.4), (2, -1.0, 9.0, 170, -1.2),
    (2, 2.8, 12.0, 95, -0.2), (3, -2.2, 7.0, 110, 0.0), (3, 1.2, 10.0, 20, 0.8), (3, -0.6, 13.0, 0, -0.4),
)  # fmt: skip
"""In which part of the clip each walks, the place (m, right and ahead), heading (degrees), the first shape number."""

WIDTH_PX = 960


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the clip and the calibrations")
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    clip, truth = work / "clip.mp4", work / "truth.yaml"
    calibration = MOUNT.calibration(pinhole(SIZE, focal_from_hfov(SIZE, HFOV_DEG)))
    write_calibration(calibration, truth)
    film(clip, calibration)
    calib("from-people", clip, "--hfov-deg", HFOV_DEG, "-o", work / "people.yaml")
    calib("from-people", clip, "-o", work / "people-free.yaml")
    calib("from-mount", clip, "--height-m", 3.2, "--tilt-deg", 25, "--hfov-deg", 66, "-o", work / "mount.yaml")
    calib("export", truth, "--to", "pose2sim", "-o", work / "Calib.toml")
    for name, scale in (("right", 1), ("wrong", 1.6)):
        calib("import", work / "Calib.toml", "--scale", scale, "-o", work / f"{name}.yaml")
        calib("check", clip, "--calib", work / f"{name}.yaml", "-o", work / name)
    for name in ("people", "people-free", "mount"):
        tell(name, calibration, read_calibration(work / f"{name}.yaml"))
    keep([work / "people.png"], "calib_people.jpg")
    keep([work / "mount.png"], "calib_mount.jpg")
    keep([work / "right" / "check.png", work / "wrong" / "check.png"], "calib_import.jpg")


def film(path: Path, calibration: Calibration) -> None:
    """Render the clip of ``PEOPLE`` as the camera of ``calibration`` sees them."""
    body = load_body("neutral")
    people = [(part, walker(body, *rest), colours_of(body, rest[-1])) for part, *rest in PEOPLE]
    frames = round(WALK_S * RATE)
    with SceneRenderer(calibration.camera, calibration.ground) as scene, VideoWriter(path, SIZE) as writer:
        for part in sorted({part for part, *_ in PEOPLE}):
            for frame in range(frames):
                meshes = [
                    PosedMesh(vertices_of(body, motion, frame), body.faces, colours)
                    for own, motion, colours in people
                    if own == part
                ]
                time_s = (part * frames + frame) / RATE
                writer.write(scene.draw(meshes, time_s), time_s)


def walker(body: BodyModel, right_m: float, ahead_m: float, heading_deg: float, shape: float) -> BodyMotion:
    """Return the demo's walk, before the squat, about another place in another direction by one of another height."""
    betas = np.zeros(10)
    betas[0] = shape
    motion = walk_squat_wave(body, betas, seconds=WALK_S, rate=RATE)
    turn = Rotation.from_euler("z", heading_deg, degrees=True).as_matrix()
    rotations = motion.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    root = (body.rest_joints + body.rest_joints_shape @ torch.as_tensor(betas, dtype=torch.float32)).numpy()[0]
    pelvis = motion.transl + root
    middle = pelvis.mean(0) * [1, 1, 0]
    transl = (pelvis - middle) @ turn.T + [right_m, ahead_m, 0] - root
    return BodyMotion(motion.time_s, betas, rotations, transl)


def vertices_of(body: BodyModel, motion: BodyMotion, frame: int) -> np.ndarray:
    """Return the surface ``(V,3)`` m at ``frame``."""
    arrays = motion.betas, motion.rotations[frame, None], motion.transl[frame, None]
    return body.vertices(*(torch.as_tensor(a, dtype=torch.float32) for a in arrays))[0].numpy()


def colours_of(body: BodyModel, shape: float) -> np.ndarray:
    """Return the clothes of somebody of this ``shape``."""
    betas = torch.zeros(10)
    betas[0] = shape
    rest = body.pose(betas, torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    template = (body.v_template + body.shapedirs @ betas).numpy()
    return clothed_colours(template, body.weights.numpy(), rest.joints.numpy(), rest.coco.numpy())


def calib(*arguments: object) -> None:
    """Run ``mocap-video calib`` as a user does."""
    print("mocap-video calib", *arguments, flush=True)
    command(["calib", *map(str, arguments)], standalone_mode=False)


def tell(name: str, truth: Calibration, found: Calibration) -> None:
    """Print how far ``found`` is from ``truth``."""
    off = ground_errors(truth, found, np.array(RANGES_M))
    places = ", ".join(f"{100 * m:.0f} cm at {d:.0f} m" for m, d in zip(off, RANGES_M, strict=True))
    print(f"{name}: {summarize(found)}\n  truth: {summarize(truth)}\n  places off by {places}")


def keep(pictures: list[Path], name: str) -> None:
    """Write ``pictures`` side by side as a small JPEG of the documentation."""
    images = [Image.open(path).convert("RGB") for path in pictures]
    width = WIDTH_PX * (1 if len(images) == 1 else 3) // (1 if len(images) == 1 else 2 * len(images))
    sizes = [(width, round(image.height * width / image.width)) for image in images]
    images = [image.resize(size, Image.Resampling.LANCZOS) for image, size in zip(images, sizes, strict=True)]
    sheet = Image.new("RGB", (width * len(images), max(image.height for image in images)), (22, 27, 34))
    for place, image in enumerate(images):
        sheet.paste(image, (place * width, 0))
    sheet.save(IMAGES / name, quality=76, optimize=True, progressive=True)
    print(IMAGES / name, (IMAGES / name).stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
