"""``batch`` on a real Ray cluster of two worker processes on this machine, one of them killed at work."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mocap_video.errors import ClusterError
from mocap_video.pipeline.batch import BatchOptions, Summary, run_batch
from mocap_video.pipeline.batch_crew import Workers
from mocap_video.pipeline.batch_display import BatchDisplay
from mocap_video.pipeline.batch_job import Ending, Job, Sign
from mocap_video.pipeline.batch_local import LocalWorkers
from mocap_video.pipeline.batch_ray import RayWorkers
from mocap_video.pipeline.manifest import Entry
from mocap_video.pipeline.site import read_site
from mocap_video.pipeline.video import read_frames
from synth.runs import Site
from synth.videos import make_video

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.logs_errors]  # Ray says at ERROR what a busy machine makes late

FRAMES = 8


class KillsOne(BatchDisplay):
    """Kills, once, the process that works on the clip ``victim``."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self._victim = victim
        self.killed: list[int] = []

    def signed(self, entry: Entry, sign: Sign) -> None:
        super().signed(entry, sign)
        if entry.clip == self._victim and sign.worker and not self.killed:
            self.killed.append(int(sign.worker.split()[-1]))
            os.kill(self.killed[0], signal.SIGKILL)


@pytest.fixture(scope="module")
def recordings(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of three good clips, two of them the same, and a bad one."""
    folder = tmp_path_factory.mktemp("yard")
    (folder / "rec").mkdir()
    shown = [frame.rgb for frame in islice(read_frames(site.clip), 2 * FRAMES)]
    height, width = shown[0].shape[:2]
    for name, frames in (("a", shown[:FRAMES]), ("b", shown[FRAMES:])):
        make_video(folder / "rec" / f"{name}.mp4", FRAMES, size=(width, height), rate=12, frames=frames)
    shutil.copy(folder / "rec" / "a.mp4", folder / "rec" / "c.mp4")
    (folder / "rec" / "bad.mp4").write_text("no video")
    shutil.copy(site.calib, folder / "cam.yaml")
    described = folder / "site.yaml"
    described.write_text("cameras: [{name: deck, calib: cam.yaml, recordings: ['rec/*.mp4'], options: {samples: 1}}]")
    return described


@pytest.fixture(scope="module")
def one_thread() -> None:
    """Sums come out alike only where they are made in the same order."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def go(site: Path, output: Path, workers: Workers, display: BatchDisplay) -> Summary:
    with workers:
        return run_batch(read_site(site), BatchOptions(output), workers, display)


@pytest.mark.usefixtures("one_thread")
def test_a_killed_worker_costs_an_attempt_and_results_equal_those_of_local_workers(
    recordings: Path, tmp_path: Path
) -> None:
    display = KillsOne("b")
    there = go(recordings, tmp_path / "ray", RayWorkers("local", 2), display)
    assert display.killed
    assert {entry.clip: entry.state for entry in there.clips} == {
        "a": "done",
        "b": "done",
        "bad": "failed",
        "c": "done",
    }
    assert {entry.clip: entry.attempts for entry in there.clips} == {"a": 1, "b": 2, "bad": 1, "c": 1}
    (failed,) = there.failed
    assert (failed.exit_code, "not a video" in failed.reason) == (3, True)
    assert "not a video" in (tmp_path / "ray" / "deck" / "bad" / "run.log").read_text()
    workers = {entry.worker for entry in there.clips if entry.state == "done"}
    assert all(int(worker.split()[-1]) not in (os.getpid(), display.killed[0]) for worker in workers)
    here = go(recordings, tmp_path / "local", LocalWorkers(2), BatchDisplay())
    for mine, theirs in zip(here.clips, there.clips, strict=True):
        assert (mine.clip, mine.state, mine.reason, mine.exit_code) == (
            theirs.clip, theirs.state, theirs.reason, theirs.exit_code,
        )  # fmt: skip
        if mine.state == "done":
            assert_same_results(Path(mine.output), Path(theirs.output))


def assert_same_results(mine: Path, theirs: Path) -> None:
    """Every array, and every row that a person reads, is the same to the last bit."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*.[mnc]*") if ".cache" not in path.parts)
             for folder in (mine, theirs)]  # fmt: skip
    assert names[0] == names[1]
    assert "people/001.npz" in names[0]
    assert (mine / "people.csv").read_bytes() == (theirs / "people.csv").read_bytes()
    for name in names[0]:
        if name.endswith(".npz"):
            with np.load(mine / name) as ours, np.load(theirs / name) as others:
                assert ours.files == others.files
                for key in ours.files:
                    np.testing.assert_array_equal(ours[key], others[key])


def test_a_clip_that_hangs_is_ended_and_the_next_one_runs(recordings: Path, tmp_path: Path) -> None:
    clip, calib = str(recordings.parent / "rec" / "bad.mp4"), str(recordings.parent / "cam.yaml")
    never, now = threading.Event(), threading.Event()
    now.set()
    with RayWorkers("local", 1) as workers:
        hung = workers.run(Job(clip, calib, str(tmp_path / "1"), timeout_s=0.5), 0, lambda _: None, never)
        assert hung == Ending(None, "took longer than 0.5 s (--timeout)")
        assert workers.run(Job(clip, calib, str(tmp_path / "2")), 0, lambda _: None, now) == Ending(None, "stopped")
        assert workers.run(Job(clip, calib, str(tmp_path / "3")), 0, lambda _: None, never).exit_code == 3


def test_a_cluster_that_is_not_there_is_refused() -> None:
    with pytest.raises(ClusterError, match="no Ray cluster answers"), RayWorkers("127.0.0.1:1", 1):
        pass
