"""Recordings in pieces: the results of one piece, and killed at any point the next run goes on from the last one."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from mocap_video.errors import StorageError
from mocap_video.pipeline.config import PiecesConfig
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.results import read_person
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.run import Clip, run_clip
from mocap_video.pipeline.stages import CACHE
from mocap_video.pipeline.video import VideoWriter, probe, read_frames
from synth.runs import Run, Site

PIECE_S, PIECES = 0.8, 3
Usage = namedtuple("Usage", "total used free")
BEGAN = datetime(2026, 3, 1, 23, 59, 59, 500_000, timezone(timedelta(hours=1)))


def report_of(output: Path) -> dict:
    return json.loads((output / "report.json").read_text())


def reused_pieces(output: Path) -> dict[str, int]:
    return {stage["name"]: stage["pieces_reused"] for stage in report_of(output)["stages"]}


@pytest.fixture(scope="session")
def cut(settings: Settings) -> Settings:
    return replace(settings, config=replace(settings.config, pieces=PiecesConfig(PIECE_S)))


@pytest.fixture(scope="session")
def cut_run(site: Site, cut: Settings, tmp_path_factory: pytest.TempPathFactory) -> Run:
    output = tmp_path_factory.mktemp("cut") / "out"
    result = run_clip(Clip(site.clip, began=BEGAN), site.calib, output, cut, SilentProgress())
    return Run(site, output, result)


def test_pieces_give_the_results_of_the_whole(first_run: Run, cut_run: Run) -> None:
    pieces = {stage["name"]: stage["pieces"] for stage in report_of(cut_run.output)["stages"]}
    assert pieces == {"people": PIECES, "tracks": PIECES, "lift": PIECES, "shape": 1, "fit": PIECES, "videos": 1}
    whole, parts = (read_person(run.output / "people" / "001.npz") for run in (first_run, cut_run))
    np.testing.assert_array_equal(parts.frame, whole.frame)
    np.testing.assert_array_equal(parts.time_s, whole.time_s)
    np.testing.assert_allclose(parts.keypoints2d, whole.keypoints2d, atol=1e-6)  # px: people and sides are the same
    np.testing.assert_allclose(parts.joints_world, whole.joints_world, atol=1e-4)  # m
    np.testing.assert_allclose(parts.spread_m, whole.spread_m, rtol=0.1)
    apart = np.linalg.norm(parts.smpl_joints_world - whole.smpl_joints_world, axis=-1)
    assert apart.max() < 0.005  # m
    (person,) = cut_run.result.people
    np.testing.assert_array_equal(person.motion.joints, parts.joints_world)


def test_videos_of_pieces_are_the_videos_of_the_whole(first_run: Run, cut_run: Run) -> None:
    for name in VIDEO_NAMES:
        whole, parts = probe(first_run.output / name), probe(cut_run.output / name)
        np.testing.assert_array_equal(parts.time_s, whole.time_s)
        frames = zip(read_frames(first_run.output / name), read_frames(cut_run.output / name), strict=True)
        differences = [np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in frames]
        assert max(differences) < 2.0  # grey levels: key frames stand elsewhere
    assert not (cut_run.output / CACHE / "segments").exists()


def test_the_csv_has_the_clock_of_every_row(cut_run: Run, first_run: Run) -> None:
    with (cut_run.output / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[-1] == "clock"
    assert rows[0]["clock"].startswith("2026-03-01T23:59:59.")
    assert rows[-1]["clock"].startswith("2026-03-02T00:00:01.")
    for row in rows:
        assert datetime.fromisoformat(row["clock"]) - BEGAN == pytest.approx(
            timedelta(seconds=float(row["time_s"])), abs=timedelta(milliseconds=1)
        )
    with (first_run.output / "people.csv").open(newline="") as stream:
        plain = list(csv.DictReader(stream))
    assert {row["clock"] for row in plain} == {""}
    told = ("time_s", "person", "contact")
    assert [[row[name] for name in told] for row in rows] == [[row[name] for name in told] for row in plain]
    for name in ("x", "speed"):
        np.testing.assert_allclose([float(r[name]) for r in rows], [float(r[name]) for r in plain], atol=2e-3)
    assert report_of(cut_run.output)["clip"]["start_time"] == BEGAN.isoformat()


PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from mocap_video.pipeline.config import PiecesConfig, load_config
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.run import Clip, run_clip
clip, calib, output = map(Path, sys.argv[1:4])
config = replace(load_config("embedded"), pieces=PiecesConfig(float(sys.argv[4])))
run_clip(Clip(clip), calib, output, Settings(config), SilentProgress())
"""


def kill_when(done: Callable[[], bool], site: Site, output: Path) -> None:
    """Run in pieces and kill -9 as soon as ``done``."""
    arguments = [sys.executable, "-c", PROGRAM, str(site.clip), str(site.calib), str(output), str(PIECE_S)]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not done():
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def kept_in(output: Path) -> dict[Path, int]:
    """Return everything that is kept of finished pieces, and when each was written."""
    kept = [*(output / CACHE).glob("*/*.npz"), *(output / CACHE).glob("segments/*/*/*.mp4")]
    return {path: path.stat().st_mtime_ns for path in kept if not path.name.startswith(".")}


@pytest.mark.slow
def test_killed_within_every_stage_it_goes_on_from_the_last_piece(cut_run: Run, cut: Settings, tmp_path: Path) -> None:
    output, site = tmp_path / "out", cut_run.site
    for stage in ("people", "lift", "fit", "segments"):
        before = kept_in(output)
        kill_when(lambda: any(path.parent.name == stage for path in kept_in(output)), site, output)  # noqa: B023
        after = kept_in(output)
        assert {path: after.get(path) for path in before} == before, "what was kept is not made again"
        assert not (output / "report.json").exists()
    before = kept_in(output)
    result = run_clip(Clip(site.clip), site.calib, output, cut, SilentProgress())
    assert {stage: count for stage, count in reused_pieces(output).items() if stage != "videos"} == {
        "people": PIECES, "tracks": PIECES, "lift": PIECES, "shape": 1, "fit": PIECES,
    }  # fmt: skip
    kept = {path: time for path, time in before.items() if "segments" not in path.parts}  # those are joined and gone
    after = kept_in(output)
    assert {path: after.get(path) for path in kept} == kept
    assert not list(output.rglob(".partial-*"))
    (mine,), (theirs,) = result.people, cut_run.result.people
    # threads add up in any order, so metres agree but for rounding
    np.testing.assert_allclose(mine.body.joints, theirs.body.joints, rtol=0, atol=1e-5)
    for name in VIDEO_NAMES:
        np.testing.assert_array_equal(probe(output / name).time_s, probe(cut_run.output / name).time_s)


def test_finished_segments_are_not_drawn_again(
    cut_run: Run, cut: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mocap_video.pipeline import segments

    output, site = tmp_path / "out", cut_run.site
    shutil.copytree(cut_run.output / CACHE, output / CACHE)
    shutil.rmtree(output / CACHE / "videos")
    drawn: list[str] = []
    write = segments.write_videos

    def stopping(frames, people, scenery, paths, advance, **options) -> None:  # noqa: ANN001, ANN003
        if drawn and len(drawn) == 1:
            drawn.append("stopped")
            raise KeyboardInterrupt
        drawn.append(paths[0].parent.name)
        write(frames, people, scenery, paths, advance, **options)

    monkeypatch.setattr(segments, "write_videos", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_clip(Clip(site.clip), site.calib, output, cut, SilentProgress())
    run_clip(Clip(site.clip), site.calib, output, cut, SilentProgress())
    assert drawn == ["00000", "stopped", "00001", "00002"]
    np.testing.assert_array_equal(probe(output / "overlay.mp4").time_s, probe(cut_run.output / "overlay.mp4").time_s)


def test_a_piece_that_is_damaged_on_disk_is_computed_anew(cut_run: Run, cut: Settings, tmp_path: Path) -> None:
    output, site = tmp_path / "out", cut_run.site
    shutil.copytree(cut_run.output, output)
    victim = sorted((output / CACHE / "lift").glob("*.npz"))[1]
    victim.write_bytes(victim.read_bytes()[:-100])
    run_clip(Clip(site.clip), site.calib, output, cut, SilentProgress())
    assert reused_pieces(output) == {
        "people": 3, "tracks": 3, "lift": 2, "shape": 1, "fit": 3, "videos": 1,
    }  # fmt: skip


def test_a_disk_without_room_is_refused_before_any_work(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 10**6))
    with pytest.raises(StorageError, match=r"expected about .* got 1 MB free"):
        run_clip(Clip(site.clip), site.calib, tmp_path, settings, SilentProgress())
    assert not (tmp_path / CACHE).exists()


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_the_motion_gate_skips_what_is_empty_and_says_so(site: Site, cut: Settings, tmp_path: Path) -> None:
    """An empty yard for ten seconds, then the person: found as without the gate, and the empty seconds are named."""
    frames = list(read_frames(site.clip))
    empty = np.median([frame.rgb for frame in frames[::4]], axis=0).astype(np.uint8)
    clip, lead_s, rate = tmp_path / "clip.mp4", 14.0, 5  # frames a second while the yard is empty
    with VideoWriter(clip, (640, 360)) as writer:
        for index in range(round(lead_s * rate)):
            writer.write(empty, index / rate)
        for frame in frames:
            writer.write(frame.rgb, lead_s + frame.time_s)
    gate = replace(cut.config.gate, on=True)
    config = replace(cut.config, gate=gate, pieces=PiecesConfig(16.0))
    progress = Notes()
    result = run_clip(Clip(clip), site.calib, tmp_path / "out", replace(cut, config=config), progress)
    skipped = report_of(tmp_path / "out")["skipped_s"]
    assert sum(end - start for start, end in skipped) > 3.0
    assert all(end <= lead_s for _, end in skipped)
    assert any(line.startswith("motion gate: nothing moves") for line in progress.lines)
    (person,) = result.people
    assert person.keypoints.time_s[0] < lead_s + 0.6
    assert len(probe(tmp_path / "out" / "overlay.mp4")) == round(lead_s * rate) + len(frames)
