"""A rendered clip of a known person, and a run over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mocap_video.calib.files import write_calibration
from mocap_video.lifter.body import load_body
from mocap_video.pipeline.demo import BETAS, RATE, DemoTruth, demo_calibration, render_clip, truth_of
from mocap_video.pipeline.demo_motion import walk_squat_wave
from mocap_video.types import ClipResult

SIZE = (640, 360)
FRAMES = 60


@dataclass(frozen=True)
class Site:
    """A rendered clip with its calibration and truth."""

    clip: Path
    calib: Path
    truth: DemoTruth


@dataclass(frozen=True)
class Run:
    """A run over the site's clip and where its results lie."""

    site: Site
    output: Path
    result: ClipResult


def render_site(folder: Path) -> Site:
    """Render the demo's person small and short into ``folder``; names that shells, HTML and URLs trip over."""
    clip, calib = folder / 'walk & "squat" <script>alert(1)<b>.mp4', folder / "cam 1's.yaml"
    body, calibration = load_body("neutral"), demo_calibration(SIZE)
    motion = walk_squat_wave(body, BETAS, seconds=FRAMES / RATE, rate=RATE)
    write_calibration(calibration, calib)
    render_clip(clip, motion, body, calibration, lambda _: None)
    return Site(clip, calib, truth_of(motion, body))
