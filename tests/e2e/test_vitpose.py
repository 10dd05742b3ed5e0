"""The same clip through ``embedded`` and ``vitpose``: other networks, the same results folder.

The clip shows the rendered person with markers on the joints. ViTPose and RTMDet run with random weights; networks
beside them see the markers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mocap_video.calib.files import read_calibration
from mocap_video.detectors.front_end import FrontEndConfig
from mocap_video.pipeline import run as running
from mocap_video.pipeline.config import load_config
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.results import read_person
from mocap_video.pipeline.run import Clip, run_clip
from mocap_video.pipeline.video import VideoWriter, read_frames
from mocap_video.skeletons import COCO17
from synth.backends import openmmlab_front_end
from synth.markers import draw_markers
from synth.runs import Site
from synth.walkers import projected

FRAMES = 20


@pytest.fixture(scope="module")
def marked(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clip = tmp_path_factory.mktemp("marked") / "clip.mp4"
    calibration = read_calibration(site.calib)
    with VideoWriter(clip, calibration.camera.size) as writer:
        for frame, joints in zip(read_frames(site.clip), site.truth.joints_world[:FRAMES], strict=False):
            rgb = frame.rgb.copy()
            draw_markers(rgb, projected(joints, calibration), radius=4.0)
            writer.write(rgb, frame.time_s)
    return clip


def files_of(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if not path.parts[0].startswith(".")}


def small(name: str) -> Settings:
    config = load_config(name)
    return Settings(replace(config, render=replace(config.render, topview_px=128, review_height_px=128)))


def test_vitpose_writes_the_files_that_embedded_writes(
    marked: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_clip(Clip(marked), site.calib, tmp_path / "embedded", small("embedded"), SilentProgress())
    asked: list[tuple[FrontEndConfig, str]] = []

    def build(config: FrontEndConfig, device: str) -> object:
        asked.append((config, device))
        return openmmlab_front_end()

    monkeypatch.setattr(running, "build_front_end", build)
    result = run_clip(Clip(marked), site.calib, tmp_path / "vitpose", small("vitpose"), SilentProgress())
    assert asked == [(load_config("vitpose").front_end, "cpu")]
    assert files_of(tmp_path / "vitpose") == files_of(tmp_path / "embedded")
    first, second = (read_person(tmp_path / name / "people" / "001.npz") for name in ("embedded", "vitpose"))
    assert second.joints_world.shape == first.joints_world.shape
    report = json.loads((tmp_path / "vitpose" / "report.json").read_text())
    assert report["provenance"]["config"]["name"] == "vitpose"
    assert "markers" in report["provenance"]["weights"]
    root = COCO17.root_of(result.people[0].motion.joints)
    truth = COCO17.root_of(site.truth.joints_world[: len(root)])
    assert np.median(np.linalg.norm(root - truth, axis=-1)) < 0.25  # metres
