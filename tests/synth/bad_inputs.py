"""A site whose recordings and calibrations are wrong in every known way, and what ``batch`` must say of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import yaml

from mocap_video.calib.files import read_calibration, write_calibration
from mocap_video.pipeline.video import read_frames
from synth.runs import Site
from synth.videos import make_audio, make_cut, make_truncated, make_video, make_without_frames

FRAMES = 12
ODD = (639, 359)
GOOD_NAME = "good 'one' & \"two\" <script>alert(1)<b>"


@dataclass(frozen=True)
class Expected:
    """What is to become of a clip: its ``state`` and ``exit_code``, and words of the reason."""

    state: str
    exit_code: int | None
    words: str = ""


EXPECTED = {
    ("deck", GOOD_NAME): Expected("done", 0),
    ("deck", "variable rate"): Expected("done", 0),
    ("deck", "rotated"): Expected("done", 0),
    ("deck", "ten bits"): Expected("done", 0),
    ("deck", "grey"): Expected("done", 0),
    ("odd", "odd size"): Expected("done", 0),
    ("deck", "no person"): Expected("nobody", 3, "nobody was found"),
    ("deck", "cut in the middle"): Expected("nobody", 3, "nobody was found"),
    ("deck", "truncated"): Expected("failed", 3, "cut off before its index was written"),
    ("deck", "zero bytes"): Expected("failed", 3, "a file of zero bytes"),
    ("deck", "zero frames"): Expected("failed", 3, "no stream at all"),
    ("deck", "audio only"): Expected("failed", 3, "got only audio"),
    ("deck", "text"): Expected("failed", 3, "not a video"),
    ("nan", "clip"): Expected("failed", 3, "intrinsics.fx"),
    ("wrong size", "clip"): Expected("failed", 3, "480 x 480"),
    ("sky", "clip"): Expected("failed", 3, "ground"),
    ("absent", "clip"): Expected("failed", 3, "cannot be read"),
    ("body", "clip"): Expected("failed", 4, "body.npz"),
    ("taken", "clip"): Expected("failed", 4, "cannot be written"),
    ("number", "clip"): Expected("failed", 2, "person 7 is not in"),
}


def write_bad_site(folder: Path, rendered: Site, output: Path) -> Path:
    """Write the site's recordings into ``folder`` and return its site.yaml; ``output`` is where results will go."""
    deck = folder / 'it\'s a "deck"'
    deck.mkdir()
    size = read_calibration(rendered.calib).camera.size
    shown = [frame.rgb for frame in islice(read_frames(rendered.clip), FRAMES)]
    grey = [np.repeat(frame.mean(-1, keepdims=True).astype(np.uint8), 3, -1) for frame in shown]
    good = make_video(deck / f"{GOOD_NAME}.mp4", FRAMES, size=size, rate=25, frames=shown)
    uneven = np.cumsum([0.0, 0.04, 0.05, 0.03, 0.06, 0.04, 0.08, 0.04, 0.04, 0.02, 0.06, 0.04])
    make_video(deck / "variable rate.mp4", FRAMES, size=size, times_s=uneven.tolist(), frames=shown)
    make_video(deck / "rotated.mp4", FRAMES, size=size, rate=25, frames=shown, rotation_deg=90)
    make_video(deck / "ten bits.mp4", FRAMES, size=size, rate=25, frames=shown, pix_fmt="yuv420p10le")
    make_video(deck / "grey.mp4", FRAMES, size=size, rate=25, frames=grey, pix_fmt="gray")
    make_video(deck / "no person.mp4", FRAMES, size=size)
    make_cut(deck / "cut in the middle.mp4", 20, size)
    make_truncated(deck / "truncated.mp4")
    (deck / "zero bytes.mp4").touch()
    make_without_frames(deck / "zero frames.mp4")
    make_audio(deck / "audio only.mp4")
    (deck / "text.mp4").write_text("This is no video.")
    (folder / "odd").mkdir()
    corner = [np.ascontiguousarray(frame[: ODD[1], : ODD[0]]) for frame in shown]
    make_video(folder / "odd" / "odd size.mp4", FRAMES, size=ODD, rate=25, frames=corner, pix_fmt="yuv444p")
    (folder / "clip.mp4").write_bytes(good.read_bytes())
    (folder / "body.npz").write_bytes(b"PK\3\4 this is no body")
    _write_calibrations(folder, rendered)
    (output / "taken").mkdir(parents=True)
    (output / "taken" / "clip").write_text("a file where a folder should be")
    site = folder / "site.yaml"
    site.write_text(yaml.safe_dump({"cameras": list(_cameras(deck.name))}))
    return site


def _cameras(deck: str) -> list[dict[str, object]]:
    quick = {"samples": 1}
    clip = {"recordings": ["clip.mp4"], "options": quick}
    return [
        {"name": "deck", "calib": "cam.yaml", "recordings": [f"{deck}/*.mp4"], "options": quick},
        {"name": "odd", "calib": "odd.yaml", "recordings": ["odd/*.mp4"], "options": quick},
        {"name": "nan", "calib": "nan.yaml", **clip},
        {"name": "wrong size", "calib": "wrong.yaml", **clip},
        {"name": "sky", "calib": "sky.yaml", **clip},
        {"name": "absent", "calib": "absent.yaml", **clip},
        {"name": "body", "calib": "cam.yaml", **clip, "options": {**quick, "smpl_model": "body.npz"}},
        {"name": "taken", "calib": "cam.yaml", **clip},
        {"name": "number", "calib": "cam.yaml", **clip, "options": {**quick, "people": [7]}},
    ]


def _write_calibrations(folder: Path, rendered: Site) -> None:
    calibration = read_calibration(rendered.calib)
    camera, text = calibration.camera, rendered.calib.read_text()
    (folder / "cam.yaml").write_text(text)
    write_calibration(dataclasses.replace(calibration, camera=camera.cropped(0, 0, ODD)), folder / "odd.yaml")
    square = dataclasses.replace(camera, size=(480, 480))
    write_calibration(dataclasses.replace(calibration, camera=square), folder / "wrong.yaml")
    values = yaml.safe_load(text)
    nan = {**values, "intrinsics": {**values["intrinsics"], "fx": float("nan")}}
    (folder / "nan.yaml").write_text(yaml.safe_dump(nan))
    mount = {"height_m": 2.5, "tilt_down_deg": -60, "roll_deg": 0}
    sky = {**values, "extrinsics": {"mount": mount}}
    del sky["world"]
    (folder / "sky.yaml").write_text(yaml.safe_dump(sky))
