"""The controller of a batch, with workers that only pretend: what runs, what is kept, what the books say."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mocap_video.artifacts import digest_file
from mocap_video.errors import InUseError, StorageError, VideoError
from mocap_video.pipeline.batch import BatchOptions, Summary, run_batch, table
from mocap_video.pipeline.batch_display import BatchDisplay
from mocap_video.pipeline.batch_job import Ending, Job, Sign, Tell
from mocap_video.pipeline.manifest import Entry, Manifest
from mocap_video.pipeline.results import write_people_csv
from mocap_video.pipeline.site import CameraEntry, Site, Zone
from synth.people import make_person, make_result

Act = Callable[[Job, int], Ending | None]


class Pretend:
    """Workers that do what a test says of a clip, and write a report where it ends well."""

    def __init__(
        self, slots: int = 2, retries: int = 0, act: Callable[[Job, int], Ending | None] | None = None
    ) -> None:
        self.slots, self.retries, self._act = slots, retries, act
        self.ran: list[tuple[str, int]] = []

    def __enter__(self) -> Pretend:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, job: Job, slot: int, tell: Tell, stop: threading.Event) -> Ending:
        tell(Sign("people", 1, 10, worker=f"slot {slot}"))
        self.ran.append((Path(job.output).name, slot))
        ending = self._act(job, slot) if self._act else None
        if ending is None:
            Path(job.output).mkdir(parents=True, exist_ok=True)
            (Path(job.output) / "report.json").write_text("{}")
            ending = Ending(0, clip_digest="digest")
        if stop.is_set():
            return Ending(None, "stopped")
        return ending

    @property
    def clips(self) -> list[str]:
        """What ran, by name."""
        return sorted(name for name, _ in self.ran)


def yard(folder: Path, count: int = 4, **options: tuple[str, ...]) -> Site:
    (folder / "rec").mkdir(exist_ok=True)
    for number in range(count):
        (folder / "rec" / f"{number}.mp4").write_text(str(number))
    (folder / "cam.yaml").write_text("calibration")
    pattern = str(folder / "rec" / "*.mp4")
    return Site("yard", (CameraEntry("deck", str(folder / "cam.yaml"), (pattern,), options.get("arguments", ())),))


def go(site: Site, folder: Path, workers: Pretend, **options: object) -> Summary:
    display = BatchDisplay(Console(stderr=True, highlight=False, force_terminal=bool(options.pop("terminal", False))))
    return run_batch(site, replace(BatchOptions(folder / "out"), **options), workers, display)


def states(summary: Summary) -> dict[str, str]:
    return {entry.clip: entry.state for entry in summary.clips}


def breaks(*names: str, reason: str = "broken") -> Callable[[Job, int], Ending | None]:
    return lambda job, _slot: Ending(3, reason) if Path(job.output).name in names else None


def test_a_clip_that_fails_is_reported_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = Ending(3, "nobody was found", nobody=True)
    workers = Pretend(act=lambda job, _: {"1": Ending(3, "cut short"), "2": nobody}.get(Path(job.output).name))
    summary = go(yard(tmp_path), tmp_path, workers)
    assert states(summary) == {"0": "done", "1": "failed", "2": "nobody", "3": "done"}
    assert summary.complete
    (failed,) = summary.failed
    assert (failed.reason, failed.exit_code, failed.attempts) == ("cut short", 3, 1)
    assert failed.worker.startswith("slot ")
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written["counts"] == {"done": 2, "nobody": 1, "failed": 1, "running": 0, "waiting": 0}
    assert "failed  deck/1: cut short" in table(summary)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "4 clips; 4 to run on 2 worker(s)"
    assert sum("deck/1: FAILED" in line and "cut short" in line for line in lines) == 1


def test_finished_clips_are_not_touched_and_failed_ones_wait_to_be_asked_for(tmp_path: Path) -> None:
    site = yard(tmp_path)
    go(site, tmp_path, Pretend(act=breaks("1")))
    again = Pretend()
    assert states(go(site, tmp_path, again))["1"] == "failed"
    assert again.clips == []
    retry = Pretend()
    summary = go(site, tmp_path, retry, retry_failed=True)
    assert retry.clips == ["1"]
    assert not summary.failed
    assert {entry.clip: entry.attempts for entry in summary.clips} == {"0": 1, "1": 2, "2": 1, "3": 1}


def test_what_has_changed_runs_again_and_a_mere_touch_does_not(tmp_path: Path) -> None:
    site = yard(tmp_path)
    go(site, tmp_path, Pretend(act=lambda job, _: _well(job, digest_file(Path(job.source)))))
    os.utime(tmp_path / "rec" / "0.mp4", (1, 1))
    (tmp_path / "rec" / "2.mp4").write_text("another recording")
    (tmp_path / "rec" / "new.mp4").write_text("one more")
    (tmp_path / "out" / "deck" / "3" / "report.json").unlink()
    second = Pretend()
    go(site, tmp_path, second)
    assert second.clips == ["2", "3", "new"]
    (tmp_path / "cam.yaml").write_text("calibrated anew")
    third = Pretend()
    go(site, tmp_path, third)
    assert third.clips == ["0", "1", "2", "3", "new"]
    fourth = Pretend()
    go(yard(tmp_path, arguments=("--seed=3",)), tmp_path, fourth)
    assert len(fourth.clips) == 5


def _well(job: Job, digest: str) -> Ending:
    Path(job.output).mkdir(parents=True, exist_ok=True)
    (Path(job.output) / "report.json").write_text("{}")
    return Ending(0, clip_digest=digest)


def test_a_failed_clip_that_was_replaced_runs_without_being_asked_for(tmp_path: Path) -> None:
    site = yard(tmp_path)
    go(site, tmp_path, Pretend(act=breaks("1")))
    (tmp_path / "rec" / "1.mp4").write_text("copied again, in full")
    again = Pretend()
    assert not go(site, tmp_path, again).failed
    assert again.clips == ["1"]


def test_ctrl_c_stops_the_workers_keeps_the_books_and_the_next_batch_goes_on(tmp_path: Path) -> None:
    stopped: list[str] = []

    class Pressed(Pretend):
        def run(self, job: Job, slot: int, tell: Tell, stop: threading.Event) -> Ending:
            name = Path(job.output).name
            if name in ("0", "1"):
                return super().run(job, slot, tell, stop)
            assert stop.wait(30)
            stopped.append(name)
            return Ending(None, "stopped")

    class Presses(BatchDisplay):
        def ended(self, entry: Entry) -> None:
            super().ended(entry)
            if entry.clip == "1":
                raise KeyboardInterrupt

    site, options = yard(tmp_path), BatchOptions(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_batch(site, options, Pressed(slots=2), Presses())
    assert stopped
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert not written["complete"]
    assert written["counts"]["done"] == 2
    rest = Pretend()
    assert go(site, tmp_path, rest).complete
    assert rest.clips == ["2", "3"]


def test_a_second_batch_into_the_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    def second(_job: Job, _slot: int) -> None:
        with pytest.raises(InUseError, match=f"process {os.getpid()}"):
            go(yard(tmp_path), tmp_path, Pretend())

    workers = Pretend(slots=1, act=second)
    assert go(yard(tmp_path, 1), tmp_path, workers).complete


@pytest.mark.parametrize("slots", [1, 3])
def test_a_clip_whose_worker_is_lost_is_tried_on_another(tmp_path: Path, slots: int) -> None:
    def dies_on_the_first(job: Job, slot: int) -> Ending | None:
        time.sleep(0.01)
        lost = slot == 0 and Path(job.output).name == "0"
        return Ending(None, "its worker was lost", elsewhere=True) if lost else None

    workers = Pretend(slots, retries=2, act=dies_on_the_first)
    summary = go(yard(tmp_path), tmp_path, workers)
    tries = [slot for name, slot in workers.ran if name == "0"]
    if slots == 1:
        assert tries == [0, 0, 0], "the same worker is better than none, so often as `retries` says"
        assert states(summary)["0"] == "failed"
    else:
        assert len(set(tries)) == len(tries)
        assert states(summary)["0"] == "done"


def test_named_errors_are_not_tried_again(tmp_path: Path) -> None:
    workers = Pretend(slots=2, retries=2, act=breaks("0", "1", "2", "3"))
    assert len(go(yard(tmp_path), tmp_path, workers).failed) == 4
    assert len(workers.ran) == 4


def test_names_stay_when_recordings_of_the_same_name_appear(tmp_path: Path) -> None:
    for day in ("day2", "day1"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "001.mp4").write_text(day)
        camera = CameraEntry("deck", "cam.yaml", (str(tmp_path / "*" / "001.mp4"),))
        summary = go(Site("yard", (camera,)), tmp_path, Pretend())
    assert {Path(entry.source).parent.name: entry.clip for entry in summary.clips} == {"day2": "001", "day1": "001-2"}


@pytest.mark.parametrize(
    ("file", "clip"),
    [
        ("a b.mp4", "a b"),
        ('it\'s "<script>".mp4', 'it\'s "<script>"'),
        ("...mp4", "clip"),
        ("-rf.mp4", "-rf"),
        ("two\nlines.mp4", "two_lines"),
        ("[1].mp4", "[1]"),
        (os.fsdecode(b"\xff.mp4"), "?"),
        ("é" * 120 + ".mp4", "é" * 100),
    ],
)
def test_any_name_of_a_file_becomes_a_folder(tmp_path: Path, file: str, clip: str) -> None:
    (tmp_path / file).touch()
    camera = CameraEntry("deck", "cam.yaml", (str(tmp_path / file),))
    summary = go(Site("yard", (camera,)), tmp_path, Pretend())
    assert states(summary) == {clip: "done"}
    assert (tmp_path / "out" / "deck" / clip / "report.json").is_file()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["clips"][0]["state"] == "done"


def test_a_site_without_any_recording_is_refused(tmp_path: Path) -> None:
    site = Site("yard", (CameraEntry("deck", "cam.yaml", (str(tmp_path / "*.mp4"),)),))
    with pytest.raises(VideoError, match="no recording is there"):
        go(site, tmp_path, Pretend())


def test_a_recording_that_is_named_and_not_there_fails_and_runs_when_it_appears(tmp_path: Path) -> None:
    site = Site("yard", (CameraEntry("deck", "cam.yaml", (str(tmp_path / "late.mp4"),)),))
    assert go(site, tmp_path, Pretend(act=breaks("late"))).failed
    (tmp_path / "late.mp4").touch()
    assert go(site, tmp_path, Pretend()).complete


def test_a_killed_batch_goes_on_from_the_manifest(tmp_path: Path) -> None:
    """What kill -9 leaves: one clip done, one marked as running."""
    site = yard(tmp_path)
    summary = go(site, tmp_path, Pretend())
    with Manifest(tmp_path / "out") as manifest:
        manifest.put(*(replace(entry, state="running") for entry in summary.clips if entry.clip in "13"))
    rest = Pretend()
    assert go(site, tmp_path, rest).complete
    assert rest.clips == ["1", "3"]


def test_a_folder_that_was_moved_is_still_finished(tmp_path: Path) -> None:
    site = yard(tmp_path)
    go(site, tmp_path, Pretend())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").rename(tmp_path / "elsewhere" / "out")
    moved = Pretend()
    summary = go(site, tmp_path / "elsewhere", moved)
    assert moved.clips == []
    assert {Path(entry.output).is_relative_to(tmp_path / "elsewhere") for entry in summary.clips} == {True}


def test_zones_are_measured_on_results_that_are_there(tmp_path: Path) -> None:
    site = yard(tmp_path, 2)
    go(site, tmp_path, Pretend())
    for number in (0, 1):
        write_people_csv(make_result(make_person(1)), tmp_path / "out" / "deck" / str(number) / "people.csv")
    zone = Zone("lane", ((-2.0, 9.0), (2.0, 9.0), (2.0, 11.0), (-2.0, 11.0)))
    later = Pretend()
    go(replace(site, zones=(zone,)), tmp_path, later)
    assert later.clips == []
    table_of_site = (tmp_path / "out" / "zones.csv").read_text().splitlines()
    assert [row.split(",")[:4] for row in table_of_site[1:]] == [["deck", "lane", "2", "2"], ["all", "lane", "2", "2"]]
    (tmp_path / "out" / "deck" / "1" / "people.csv").write_text("damaged")
    go(replace(site, zones=(zone,)), tmp_path, Pretend())
    assert (tmp_path / "out" / "zones.csv").read_text().splitlines()[-1].startswith("all,lane,1,1,")


def test_a_terminal_gets_bars_and_the_same_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    go(yard(tmp_path, 2), tmp_path, Pretend(), terminal=True)
    shown = capsys.readouterr().err
    assert "deck/0: done" in shown
    assert "clips" in shown


def test_without_room_for_the_manifest_the_table_is_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put, done = Manifest.put, []

    def full(self: Manifest, *entries: Entry) -> None:
        done.extend(entry for entry in entries if entry.state == "done")
        if len(done) > 1:
            raise StorageError(f"{self.path}: cannot be written (database or disk is full).")
        put(self, *entries)

    monkeypatch.setattr(Manifest, "put", full)
    with pytest.raises(StorageError, match="disk is full"):
        go(yard(tmp_path), tmp_path, Pretend(slots=1))
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[:4] for line in shown if line.startswith("deck ")] == [["deck", "4", "2", "0"]]
    monkeypatch.undo()
    assert {entry.state for entry in go(yard(tmp_path), tmp_path, Pretend(slots=1)).clips} == {"done"}
