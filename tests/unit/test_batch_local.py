"""A process for each clip: however it ends, the batch has a reason and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mocap_video.artifacts import RunLock
from mocap_video.pipeline import batch_local
from mocap_video.pipeline.batch_job import Ending, Job, Sign
from mocap_video.pipeline.batch_local import LocalWorkers, default_workers, thread_limits
from mocap_video.pipeline.batch_worker import read_job, write_job
from synth import batch_worker
from synth.batch_worker import living_in_group

PATIENCE_S = 120
"""So long a test waits for what must happen before it fails."""


@pytest.fixture(autouse=True)
def _pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_local, "_CODE", batch_worker.code())


def end(
    folder: Path, order: str, stop: threading.Event | None = None, timeout_s: float = 900.0
) -> tuple[Ending, list[Sign]]:
    clip, signs = folder / "clip.mp4", []
    clip.write_text(order)
    job = batch_worker.job_of(clip, folder / "out", timeout_s)
    with LocalWorkers(1) as workers:
        return workers.run(job, 0, signs.append, stop or threading.Event()), signs


def test_a_clip_that_ends_well(tmp_path: Path) -> None:
    ending, signs = end(tmp_path, "be fine")
    assert ending == Ending(0, clip_digest="digest")
    assert signs[0].worker.startswith("process ")
    assert Sign("people", 0, 10) in signs
    assert (tmp_path / "out" / "run.log").read_text() == "people ...\n"


def test_a_named_error_is_the_reason(tmp_path: Path) -> None:
    ending, _ = end(tmp_path, "fail clip.mp4: cut short")
    assert ending == Ending(3, "clip.mp4: cut short")
    assert "error: clip.mp4: cut short" in (tmp_path / "out" / "run.log").read_text()


@pytest.mark.parametrize(
    ("order", "code", "says"),
    [
        ("kill", None, "killed in stage 'people' (SIGKILL): most often by the system when memory runs out"),
        ("crash", None, "crashed in stage 'people' (SIGSEGV); see run.log"),
        ("quit", 7, "ended without a result in stage 'people' (exit code 7)"),
    ],
)
def test_a_process_that_dies_has_a_reason(tmp_path: Path, order: str, code: int | None, says: str) -> None:
    ending, _ = end(tmp_path, order)
    assert ending.exit_code == code
    assert ending.reason.startswith(says)
    assert ending.elsewhere


def test_a_crash_says_where_in_the_log(tmp_path: Path) -> None:
    end(tmp_path, "crash")
    assert "_obey" in (tmp_path / "out" / "run.log").read_text()


def test_a_hang_is_ended_at_its_time_limit_children_too(tmp_path: Path) -> None:
    ending, signs = end(tmp_path, "fork 1000", timeout_s=5)
    assert ending.exit_code is None
    assert ending.reason.startswith("took longer than 5 s (--timeout), in stage"), (
        "on a slow machine already at the start"
    )
    assert not living_in_group(int(signs[0].worker.split()[1]))


def test_ctrl_c_stops_a_process_and_leaves_nothing_running(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(3, stop.set).start()
    ending, signs = end(tmp_path, "sleep 1000", stop)
    assert ending.reason == "stopped"
    assert not living_in_group(int(signs[0].worker.split()[1]))
    with RunLock(tmp_path / "out"):
        pass


def test_a_process_waits_for_a_folder_that_another_run_holds(tmp_path: Path) -> None:
    """As after kill -9 of a batch, for the moments in which its worker still lives."""
    lock = RunLock(tmp_path / "out")
    lock.__enter__()
    threading.Timer(2, lock.__exit__, (None, None, None)).start()
    assert end(tmp_path, "be fine")[0].exit_code == 0


def test_a_worker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("sleep 1000")
    job = write_job(batch_worker.job_of(tmp_path / "clip.mp4", tmp_path / "out"))
    code = (
        "import subprocess, sys, time\n"
        f"worker = subprocess.Popen([sys.executable, '-c', {batch_worker.code()!r}, {job!r}],"
        " stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(worker.pid, flush=True)\ntime.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert json.loads(parent.stdout.readline())["sign"]["stage"] == "people"
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while living_in_group(worker):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.05)


def test_a_job_travels_whatever_its_names(tmp_path: Path) -> None:
    job = Job(os.fsdecode(b"/a \xff'\"<script>\n.mp4"), "é.yaml", str(tmp_path), ("--people=1",), 3.5)
    assert read_job(write_job(job)) == job
    assert write_job(job).isascii()


def test_the_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_local, "usable_cores", lambda: 16)
    assert default_workers() == 4
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert LocalWorkers()._environment["OMP_NUM_THREADS"] == "4"
    assert LocalWorkers(32)._environment["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_limits(4)["OMP_NUM_THREADS"] == "3", "what the user set stays"
