"""``run`` from a rendered clip to its results: the known answer, reuse, and everything that can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mocap_video.calib.files import read_calibration, write_calibration
from mocap_video.errors import CalibrationError, ConfigError, StorageError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.fit import stature
from mocap_video.lifter.metrics import match_times
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.demo import demo_calibration, errors_of
from mocap_video.pipeline.export import EXPORTERS
from mocap_video.pipeline.formats.axes import R_yup_from_site
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.results import person_files, read_person
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.run import Clip, run_clip
from mocap_video.pipeline.stages import CACHE
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from mocap_video.render.privacy import heads_of
from mocap_video.skeletons import COCO17
from synth.exports import READERS
from synth.runs import FRAMES, Run, Site

STAGES = ["people", "tracks", "lift", "shape", "fit", "videos"]
BEFORE_FIT = {"people": True, "tracks": True, "lift": True}


def report_of(output: Path) -> dict:
    return json.loads((output / "report.json").read_text())


def reused(output: Path) -> dict[str, bool]:
    return {stage["name"]: stage["reused"] for stage in report_of(output)["stages"]}


def copy_of(run: Run, folder: Path) -> Path:
    """Return a results folder of its own that already knows the first run's stages."""
    output = folder / "out"
    shutil.copytree(run.output, output)
    return output


def command(*arguments: object) -> list[str]:
    code = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


def test_one_person_is_found_where_the_truth_is(first_run: Run) -> None:
    assert [person.keypoints.person for person in first_run.result.people] == [1]
    errors = errors_of(first_run.result, first_run.site.truth)
    assert errors.frames >= 0.9 * FRAMES
    assert errors.root_mm < 200
    assert errors.abs_mpjpe_mm < 250
    assert errors.mpjpe_mm < 180
    assert errors.pa_mpjpe_mm < 130


def test_the_body_stands_on_the_ground_and_is_as_tall_as_the_person(first_run: Run) -> None:
    (person,) = first_run.result.people
    lowest = person.body.joints[..., 2].min(-1)  # metres; the sole is some 3 cm below the lowest joint
    assert np.abs(np.median(lowest)) < 0.1
    height = float(stature(load_body("neutral"), torch.as_tensor(person.body.betas, dtype=torch.float32)))
    assert 1.5 < height < 2.05


def test_everything_that_run_promises_is_there(first_run: Run) -> None:
    files = {path.name for path in first_run.output.iterdir() if not path.name.startswith(".")}
    assert files == {*VIDEO_NAMES, "index.html", "people", "people.csv", "report.json"}
    assert [path.name for path in person_files(first_run.output)] == ["001.npz"]
    record = read_person(first_run.output / "people" / "001.npz")
    np.testing.assert_array_equal(record.joints_world, first_run.result.people[0].motion.joints)
    assert set(reused(first_run.output)) == set(STAGES)
    assert not any(reused(first_run.output).values())


def test_the_videos_have_the_clips_own_frames_and_times(first_run: Run) -> None:
    clip = probe(first_run.site.clip)
    for name in VIDEO_NAMES:
        video = probe(first_run.output / name)
        np.testing.assert_allclose(video.time_s, clip.time_s, atol=1e-4)  # seconds
    assert probe(first_run.output / "overlay.mp4").size == clip.size


def test_the_overlay_draws_the_body_and_leaves_the_rest_alone(first_run: Run) -> None:
    plain = next(read_frames(first_run.site.clip, start_s=1.0)).rgb.astype(int)
    drawn = next(read_frames(first_run.output / "overlay.mp4", start_s=1.0)).rgb.astype(int)
    keypoints = first_run.result.people[0].keypoints
    row = int(np.argmin(np.abs(keypoints.time_s - 1.0)))
    low, high = np.nanmin(keypoints.xy[row], 0).astype(int), np.nanmax(keypoints.xy[row], 0).astype(int)
    change = np.abs(drawn - plain).mean(-1)  # grey levels
    inside = change[low[1] : high[1], low[0] : high[0]]
    assert inside.mean() > 4 * np.median(change)
    assert change[:, : max(low[0] - 80, 1)].mean() < 6


def test_names_are_escaped_where_a_page_could_hold_them(first_run: Run) -> None:
    text = (first_run.output / "report.json").read_text()
    assert "<script>" not in text
    assert report_of(first_run.output)["clip"]["path"] == str(first_run.site.clip)


def test_a_second_run_reuses_every_stage_videos_too(first_run: Run, settings: Settings, tmp_path: Path) -> None:
    output = copy_of(first_run, tmp_path)
    before = {name: (output / name).stat().st_mtime_ns for name in VIDEO_NAMES}
    run_clip(Clip(first_run.site.clip), first_run.site.calib, output, settings, SilentProgress())
    assert reused(output) == dict.fromkeys(STAGES, True)
    assert {name: (output / name).stat().st_mtime_ns for name in VIDEO_NAMES} == before
    first, second = (read_person(folder / "people" / "001.npz") for folder in (first_run.output, output))
    np.testing.assert_array_equal(first.poses, second.poses)


def test_a_known_height_recomputes_only_from_the_fit_on(first_run: Run, settings: Settings, tmp_path: Path) -> None:
    output = copy_of(first_run, tmp_path)
    config = replace(settings.config, fit=replace(settings.config.fit, height_m=1.93))
    site = first_run.site
    kept = len(list((output / CACHE).glob("*/*.npz")))
    result = run_clip(Clip(site.clip), site.calib, output, replace(settings, config=config), SilentProgress())
    assert reused(output) == {**BEFORE_FIT, "shape": False, "fit": False, "videos": False}
    assert len(list((output / CACHE).glob("*/*.npz"))) == kept, "stages of the other height do not pile up"
    betas = torch.as_tensor(result.people[0].body.betas, dtype=torch.float32)
    assert float(stature(load_body("neutral"), betas)) == pytest.approx(1.93, abs=0.002)  # metres


def test_export_touches_no_stage(first_run: Run, settings: Settings, tmp_path: Path) -> None:
    output = copy_of(first_run, tmp_path)
    site = first_run.site
    formats = tuple(EXPORTERS)
    run_clip(Clip(site.clip), site.calib, output, settings, SilentProgress(), formats=formats)
    assert all(reused(output).values())
    assert {path.suffix[1:] for path in (output / "export").iterdir()} == set(formats)
    (person,) = first_run.result.people
    back = READERS["glb"](output / "export" / "scene.glb", 1)
    up = read_calibration(site.calib).ground.normal
    np.testing.assert_allclose(back.joints, person.body.joints @ R_yup_from_site(up).T, atol=1e-3)  # metres
    np.testing.assert_allclose(back.time_s, person.motion.time_s, atol=1e-5)  # seconds


def test_without_videos_motion_and_report_stay(first_run: Run, settings: Settings, tmp_path: Path) -> None:
    output = copy_of(first_run, tmp_path)
    site, render = first_run.site, replace(settings.config.render, videos=False)
    silent = replace(settings, config=replace(settings.config, render=render))
    run_clip(Clip(site.clip), site.calib, output, silent, SilentProgress())
    assert reused(output) == dict.fromkeys(STAGES[:-1], True)
    assert not any((output / name).exists() for name in VIDEO_NAMES)
    assert (output / "people.csv").is_file()
    assert len(person_files(output)) == 1


def test_faces_are_hidden_in_the_videos_and_nothing_else_changes(
    first_run: Run, settings: Settings, tmp_path: Path
) -> None:
    output = copy_of(first_run, tmp_path)
    site, (person,) = first_run.site, first_run.result.people
    render = replace(settings.config.render, blur_faces=True)
    private = replace(settings, config=replace(settings.config, render=render))
    run_clip(Clip(site.clip), site.calib, output, private, SilentProgress())
    assert reused(output) == {**dict.fromkeys(STAGES[:-1], True), "videos": False}
    heads = heads_of(person.keypoints)
    assert heads is not None
    before, after = (list(read_frames(folder / "overlay.mp4")) for folder in (first_run.output, output))
    row = len(person.keypoints.frames) // 2
    frame = int(person.keypoints.frames[row])
    change = np.abs(after[frame].rgb.astype(int) - before[frame].rgb).max(-1)
    y, x = np.mgrid[: change.shape[0], : change.shape[1]]
    away = np.hypot(x - heads.centre[row, 0], y - heads.centre[row, 1]) / heads.radius[row]
    assert change[away < 1].mean() > 4 * change[away > 2].mean()


def test_a_person_who_is_not_there_is_refused_by_number(first_run: Run, settings: Settings, tmp_path: Path) -> None:
    output = copy_of(first_run, tmp_path)
    site = first_run.site
    with pytest.raises(ConfigError, match=r"person 7 is not in .*; found: 1"):
        run_clip(Clip(site.clip), site.calib, output, settings, SilentProgress(), only=(1, 7))


class StopsAt(SilentProgress):
    """Ctrl-C, pressed when a stage begins."""

    def __init__(self, name: str) -> None:
        self.name = name

    def stage(self, name: str, total: int | None):  # noqa: ANN201
        if name == self.name:
            raise KeyboardInterrupt
        return super().stage(name, total)


def test_ctrl_c_keeps_finished_stages_and_people_and_the_next_run_goes_on(
    first_run: Run, settings: Settings, tmp_path: Path
) -> None:
    output, site = copy_of(first_run, tmp_path), first_run.site
    config = replace(settings.config, render=replace(settings.config.render, topview_px=256, review_height_px=256))
    changed = replace(settings, config=config)
    with pytest.raises(KeyboardInterrupt):
        run_clip(Clip(site.clip), site.calib, output, changed, StopsAt("videos"))
    assert reused(output) == {**BEFORE_FIT, "shape": True, "fit": True}
    assert person_files(output)
    assert not any((output / name).exists() for name in VIDEO_NAMES), "videos of other options must not stay"
    run_clip(Clip(site.clip), site.calib, output, changed, SilentProgress())
    assert reused(output) == {**BEFORE_FIT, "shape": True, "fit": True, "videos": False}
    assert probe(output / "topview.mp4").size == (256, 256)


def test_killed_in_the_middle_nothing_half_written_stays_and_the_next_run_goes_on(
    first_run: Run, settings: Settings, tmp_path: Path
) -> None:
    output, site = tmp_path / "out", first_run.site
    output.mkdir()
    shutil.copytree(first_run.output / CACHE, output / CACHE)
    shutil.rmtree(output / CACHE / "videos")
    process = subprocess.Popen(command("run", site.clip, "--calib", site.calib, "-o", output), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(output.glob(f"{CACHE}/segments/*/*/.partial-*")):  # the videos are being written
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (output / "report.json").exists()
    assert not any((output / name).exists() for name in VIDEO_NAMES)
    run_clip(Clip(site.clip), site.calib, output, settings, SilentProgress())
    assert reused(output) == {**BEFORE_FIT, "shape": True, "fit": True, "videos": False}
    assert not list(output.rglob(".partial-*"))
    assert len(probe(output / "overlay.mp4")) == FRAMES


def test_two_runs_into_one_folder_are_kept_apart(site: Site, settings: Settings, tmp_path: Path) -> None:
    class RunsAgain(SilentProgress):
        def note(self, text: str) -> None:
            assert "calibration" in text
            with pytest.raises(StorageError, match="another run"):
                run_clip(Clip(site.clip), site.calib, tmp_path, settings, SilentProgress())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_clip(Clip(site.clip), site.calib, tmp_path, settings, RunsAgain())


def test_a_calibration_of_another_shape_exits_3_with_both_sizes(site: Site, tmp_path: Path) -> None:
    calibration = read_calibration(site.calib)
    square = tmp_path / "square.yaml"
    write_calibration(replace(calibration, camera=replace(calibration.camera, size=(480, 480))), square)
    output = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", str(site.clip), "--calib", str(square), "-o", str(output)])
    assert result.exit_code == CalibrationError.exit_code == 3
    assert "640 x 360" in result.stderr
    assert "480 x 480" in result.stderr
    assert not (output / "report.json").exists()


def empty_clip(folder: Path, frames: int = 12) -> tuple[Path, Path]:
    clip, calib = folder / "empty.mp4", folder / "cam.yaml"
    write_calibration(demo_calibration((320, 180)), calib)
    with VideoWriter(clip, (320, 180)) as writer:
        for index in range(frames):
            writer.write(np.full((180, 320, 3), 120, np.uint8), index / 25)
    return clip, calib


def test_no_person_exits_3_and_the_report_is_there(tmp_path: Path) -> None:
    clip, calib = empty_clip(tmp_path)
    output = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", str(clip), "--calib", str(calib), "-o", str(output), "--json"])
    assert result.exit_code == 3
    assert "nobody was found in 12 frames" in result.stderr
    assert report_of(output)["people"] == []
    assert person_files(output) == []
    assert (output / "people.csv").read_text().count("\n") == 1
    assert not any((output / name).exists() for name in VIDEO_NAMES)


def test_a_range_outside_the_clip_exits_2(tmp_path: Path) -> None:
    clip, calib = empty_clip(tmp_path)
    for options in (["--start", "9"], ["--start", "0.4", "--end", "0.2"]):
        result = CliRunner().invoke(
            main, ["run", str(clip), "--calib", str(calib), "-o", str(tmp_path / "out"), *options]
        )
        assert result.exit_code == 2, result.output


def test_half_a_person_is_followed_and_placed(site: Site, tmp_path: Path) -> None:
    """The image ends between hips and knees; the camera is that of the cropped image."""
    height = 210
    calibration = read_calibration(site.calib)
    clip, calib = tmp_path / "half.mp4", tmp_path / "cam.yaml"
    write_calibration(replace(calibration, camera=calibration.camera.cropped(0, 0, (640, height))), calib)
    with VideoWriter(clip, (640, height)) as writer:
        for frame in read_frames(site.clip, start_s=1.0):
            writer.write(np.ascontiguousarray(frame.rgb[:height]), frame.time_s)
    outcome = CliRunner().invoke(main, ["run", str(clip), "--calib", str(calib), "-o", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    record = read_person(tmp_path / "out" / "people" / "001.npz")
    assert np.isfinite(record.joints_world).all()
    assert np.isfinite(record.poses).all()
    ankles = record.keypoints2d[:, [COCO17.index("left_ankle"), COCO17.index("right_ankle")], 2]
    assert np.median(ankles) < 0.1, "ankles outside the image must not be believed"
    mine, theirs = match_times(record.time_s + 1.0, site.truth.time_s, 0.01)
    off = COCO17.root_of(record.joints_world[mine]) - COCO17.root_of(site.truth.joints_world[theirs])
    assert np.median(np.linalg.norm(off, axis=-1)) < 0.4  # metres
