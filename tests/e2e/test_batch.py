"""``batch`` as a user runs it: every bad input, kill -9, Ctrl-C, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from mocap_video.artifacts import Store
from mocap_video.pipeline import batch_local
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.manifest import FILE, Manifest
from mocap_video.pipeline.results import person_files, read_person
from mocap_video.pipeline.results_folder import VIDEO_NAMES, read_report
from mocap_video.pipeline.video import probe, read_frames
from synth import batch_worker
from synth.bad_inputs import EXPECTED, GOOD_NAME, write_bad_site
from synth.disks import make_room, tiny_disk
from synth.runs import Site
from synth.videos import make_video

PATIENCE_S = 300
"""So long a test waits for what must happen before it fails."""

CLIPS = 20
BAD = {3: "fail 03.mp4: cut short", 8: "kill", 15: "quit"}


def summary_of(output: Path) -> dict:
    return json.loads((output / "summary.json").read_text())


@pytest.fixture(scope="module")
def bad_batch(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict, Path]:
    """Exit code, summary and output of one batch over everything that can be wrong."""
    folder = tmp_path_factory.mktemp("bad")
    output = folder / "out"
    described = write_bad_site(folder, site, output)
    result = CliRunner().invoke(main, ["batch", str(described), "-o", str(output), "--workers", "2", "--json"])
    return result.exit_code, json.loads(result.stdout), output


@pytest.mark.slow
def test_some_failed_is_exit_code_5_and_every_clip_is_accounted_for(bad_batch: tuple[int, dict, Path]) -> None:
    code, summary, output = bad_batch
    assert code == 5
    assert summary == summary_of(output)
    assert {(clip["camera"], clip["clip"]) for clip in summary["clips"]} == set(EXPECTED)
    assert summary["counts"]["running"] == summary["counts"]["waiting"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("key", EXPECTED, ids=lambda key: f"{key[0]}-{key[1]}"[:30])
def test_each_bad_input_has_its_reason_and_the_good_ones_finish(
    bad_batch: tuple[int, dict, Path], key: tuple[str, str]
) -> None:
    _, summary, output = bad_batch
    (clip,) = (clip for clip in summary["clips"] if (clip["camera"], clip["clip"]) == key)
    expected = EXPECTED[key]
    assert (clip["state"], clip["exit_code"]) == (expected.state, expected.exit_code), clip["reason"]
    assert expected.words in clip["reason"]
    assert "unexpected" not in clip["reason"]
    results = output / key[0] / key[1]
    if expected.state == "done":
        (person,) = person_files(results)
        assert len(read_person(person).frame) >= 8
        assert (results / "overlay.mp4").is_file()
    if expected.state == "failed":
        assert not (results / "report.json").exists() or expected.exit_code == 4


@pytest.mark.slow
def test_the_times_of_a_variable_rate_are_kept(bad_batch: tuple[int, dict, Path]) -> None:
    overlay = probe(bad_batch[2] / "deck" / "variable rate" / "overlay.mp4")
    assert overlay.time_s[:4] == pytest.approx([0.0, 0.04, 0.09, 0.12], abs=1e-3)  # seconds


@pytest.mark.slow
def test_no_name_is_left_to_run_in_a_page(bad_batch: tuple[int, dict, Path]) -> None:
    output = bad_batch[2]
    for path in (output / "summary.json", output / "deck" / GOOD_NAME / "report.json"):
        assert "<script>" not in path.read_text()


def pretended_site(folder: Path, orders: dict[int, str]) -> list[str]:
    """Write a folder of clips that take half a second each and return the command of a batch over it."""
    (folder / "rec").mkdir()
    for number in range(CLIPS):
        (folder / "rec" / f"{number:02d}.mp4").write_text(orders.get(number, "sleep 0.2"))
    (folder / "rec" / "cam.yaml").write_text("calibration")
    code = (
        "from synth import batch_worker\nfrom mocap_video.pipeline import batch_local\n"
        "from mocap_video.pipeline.cli import main\n"
        "batch_local._CODE = batch_worker.code()\nmain(prog_name='mocap-video')"
    )
    return [sys.executable, "-c", code, "batch", str(folder / "rec"), "-o", str(folder / "out"), "--workers", "2"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that the test started; none outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(command: list[str], started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    pipe = subprocess.PIPE
    started.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
    return started[-1]


def wait_for_reports(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until ``count`` clips are finished."""
    deadline = time.monotonic() + PATIENCE_S
    while len(list(output.glob("*/*/report.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(output: Path) -> dict[Path, int]:
    """Return the reports of the clips that the manifest calls finished, and when each was written."""
    with Manifest(output) as manifest:
        entries = manifest.entries().values()
    reports = [Path(entry.output) / "report.json" for entry in entries if entry.state == "done"]
    return {report: report.stat().st_mtime_ns for report in reports}


def test_killed_twice_a_batch_of_20_with_3_bad_ones_comes_to_its_end(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    command, output = pretended_site(tmp_path, BAD), tmp_path / "out"
    kept: list[dict[Path, int]] = []
    for count in (4, 10):
        batch = start(command, started)
        wait_for_reports(output, count, batch)
        batch.send_signal(signal.SIGKILL)
        batch.communicate()
        kept.append(finished(output))
    last = start(command, started)
    out, err = last.communicate()
    assert last.returncode == 5, err
    clips = summary_of(output)["clips"]
    assert [clip["state"] for clip in clips] == ["failed" if number in BAD else "done" for number in range(CLIPS)]
    reasons = [clip["reason"][:6] for clip in clips if clip["state"] == "failed"]
    assert reasons == ["03.mp4", "killed", "ended "]
    assert sum(clip["attempts"] for clip in clips) <= CLIPS + 2 * 2, "only what was at work is begun again"
    assert f"{CLIPS:>6}  {CLIPS - 3:>6}" in out
    end = finished(output)
    for then in kept:
        assert {report: end[report] for report in then} == then, "what is finished is not touched"
    again = start(command, started)
    assert again.wait() == 5, "failed clips stay failed until they are asked for"
    assert finished(output) == end


def test_a_clip_whose_disk_gets_full_is_reported_the_rest_goes_on_and_with_room_it_does_too(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    command, output = pretended_site(tmp_path, {5: "fill 1000"}), tmp_path / "out"
    with tiny_disk(output / "rec" / "05", 300) as full:
        batch = start(command, started)
        _, err = batch.communicate()
        assert batch.returncode == 5, err
        summary = summary_of(output)
        (failed,) = (clip for clip in summary["clips"] if clip["state"] == "failed")
        assert summary["counts"]["done"] == CLIPS - 1
        assert (failed["clip"], failed["exit_code"]) == ("05", 4)
        assert "cannot be written (No space left on device)" in failed["reason"]
        assert not list(full.rglob(".partial-*"))
        assert not (full / "report.json").exists()
        pieces = sorted((full / ".cache" / "people").iterdir(), key=lambda path: int(path.stem))
        assert len(pieces) > 5
        assert all(Store(full / ".cache").get_arrays("people", path.stem) for path in pieces), "each is whole"
        make_room(full, 4000)
        assert start([*command, "--retry-failed"], started).wait() == 0
        assert summary_of(output)["counts"]["done"] == CLIPS


@pytest.mark.slow
def test_a_real_clip_whose_disk_gets_full_goes_on_when_there_is_room(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is large when the run begins, as far as it can see, and full when the videos are drawn."""
    room = "shutil.disk_usage = lambda folder: usage(folder)._replace(free=10**12)"
    monkeypatch.setattr(batch_local, "_CODE", f"import shutil; usage = shutil.disk_usage; {room}; {batch_local._CODE}")
    deck, output = tmp_path / "deck", tmp_path / "out"
    deck.mkdir()
    frames = [frame.rgb for frame in islice(read_frames(site.clip), 12)]
    for name in ("full", "other"):
        make_video(deck / f"{name}.mp4", len(frames), size=(640, 360), rate=25, frames=frames)
    (deck / "cam.yaml").write_text(site.calib.read_text())
    command = ["batch", str(deck), "-o", str(output), "--workers", "1"]
    with tiny_disk(output / "deck" / "full", 300) as full:
        assert CliRunner().invoke(main, command).exit_code == 5
        states = {clip["clip"]: clip for clip in summary_of(output)["clips"]}
        assert {name: clip["state"] for name, clip in states.items()} == {"full": "failed", "other": "done"}
        assert states["full"]["exit_code"] == 4
        assert "cannot be written (No space left on device)" in states["full"]["reason"]
        assert not list(full.rglob(".partial-*"))
        assert not any((full / name).exists() for name in (*VIDEO_NAMES, "index.html"))
        make_room(full, 20_000)
        result = CliRunner().invoke(main, [*command, "--retry-failed"])
        assert result.exit_code == 0, result.output
        reused = {stage["name"]: stage["reused"] for stage in read_report(full)["stages"]}
        assert reused == {"people": True, "tracks": True, "lift": True, "shape": True, "fit": True, "videos": False}
        for name in ("people/001.npz", "people.csv", *VIDEO_NAMES):
            assert (full / name).read_bytes() == (output / "deck" / "other" / name).read_bytes(), name


def test_ctrl_c_exits_130_and_leaves_no_process(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    command, output = pretended_site(tmp_path, dict.fromkeys(range(2, CLIPS), "sleep 1000")), tmp_path / "out"
    batch = start(command, started)
    wait_for_reports(output, 2, batch)
    deadline = time.monotonic() + PATIENCE_S
    while len(locks := list(output.glob("*/*/.mocap-video.lock"))) < 2 or not all(lock.read_text() for lock in locks):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = [int(lock.read_text()) for lock in locks]
    batch.send_signal(signal.SIGINT)
    _, err = batch.communicate(timeout=PATIENCE_S)
    assert batch.returncode == 130
    assert "the same command goes on from there" in err
    assert [batch_worker.living_in_group(worker) for worker in workers] == [[], []]
    summary = summary_of(output)
    assert not summary["complete"]
    assert summary["counts"]["done"] == 2


def test_two_batches_at_once_the_second_names_the_first(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    command = pretended_site(tmp_path, {0: "sleep 1000", 1: "sleep 1000"})
    first = start(command, started)
    deadline = time.monotonic() + PATIENCE_S
    while not (tmp_path / "out" / FILE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = start(command, started)
    _, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 4
    assert f"another run (process {first.pid}) is writing here" in err
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE_S) == 130


@pytest.mark.parametrize("name", ["run", "lift"])
def test_two_runs_at_once_the_second_names_the_first(
    site: Site, tmp_path: Path, started: list[subprocess.Popen[str]], name: str
) -> None:
    code = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"
    words = ["run", str(site.clip), "--calib", str(site.calib), "-o", str(tmp_path)]
    first = start([sys.executable, "-c", code, *words], started)
    lock = tmp_path / ".mocap-video.lock"
    deadline = time.monotonic() + PATIENCE_S
    while not lock.exists() or not lock.read_text():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = CliRunner().invoke(main, [name, str(site.clip), "--calib", str(site.calib), "-o", str(tmp_path)])
    assert second.exit_code == 4
    assert f"another run (process {first.pid}) is writing here" in second.stderr
    assert first.poll() is None
