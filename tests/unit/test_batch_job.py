"""One clip of a batch: how its run may end, in words, and files that are fetched and put at URLs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mocap_video.errors import ConfigError, InUseError, MissingExtra, NoPersonError, VideoError
from mocap_video.kept import keepable, models_kept
from mocap_video.pipeline import batch_job, run
from mocap_video.pipeline.batch_job import Ending, Job, RelayedProgress, Sign, perform
from mocap_video.pipeline.progress import Progress, SilentProgress
from mocap_video.pipeline.recordings import list_recordings
from mocap_video.pipeline.run import Clip
from mocap_video.pipeline.site import CameraEntry, Site

fsspec = pytest.importorskip("fsspec")

OUT_OF_MEMORY = "memory ran out: use fewer --workers, or a part of the clip by the options start and end"
REPORT = '{"provenance": {"inputs": {"clip": "its digest"}}}'


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let ``run_clip`` do what the test says, and keep what it was called with."""
    calls: list[Any] = []

    def run_clip(clip: Clip, calib: Path, output: Path, settings: Any, progress: Progress, **options: Any) -> None:
        calls.append((clip, calib, output, settings, options))
        calls[0](output, progress)

    monkeypatch.setattr(run, "run_clip", run_clip)
    monkeypatch.setattr("sys.argv", ["pytest"])
    return calls


def write_results(output: Path, progress: Progress) -> None:
    with progress.stage("people", 3) as advance:
        advance(3)
    for name in ("people/001.npz", ".cache/people/key.npz", "report.json"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(REPORT)


def raises(error: Exception) -> Callable[[Path, Progress], None]:
    def fail(_output: Path, _progress: Progress) -> None:
        raise error

    return fail


def test_run_is_given_what_the_site_says(running: list[Any], tmp_path: Path) -> None:
    running.append(write_results)
    job = Job("a.mp4", "cam.yaml", str(tmp_path), ("--people=1,3", "--start=2", "--export=csv", "--seed=7"))
    signs: list[Sign] = []
    assert perform(job, RelayedProgress(signs.append)) == Ending(0, clip_digest="its digest")
    clip, calib, output, settings, options = running[1]
    assert (clip, calib, output) == (Clip(Path("a.mp4"), 2.0), Path("cam.yaml"), tmp_path)
    assert options == {"only": (1, 3), "formats": ("csv",)}
    assert settings.config.lift.seed == 7
    assert settings.command[:2] == ("run", "a.mp4")
    assert signs[0] == Sign("people", 0, 3)


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (VideoError("a.mp4: cut short"), Ending(3, "a.mp4: cut short")),
        (NoPersonError("nobody"), Ending(3, "nobody", nobody=True)),
        (ConfigError("person 7"), Ending(2, "person 7")),
        (MissingExtra("mmpose"), Ending(4, "mmpose", elsewhere=True)),
        (MemoryError(), Ending(None, OUT_OF_MEMORY, elsewhere=True)),
    ],
)
def test_a_named_error_is_the_ending(running: list[Any], tmp_path: Path, error: Exception, ending: Ending) -> None:
    running.append(raises(error))
    assert perform(Job("a.mp4", "cam.yaml", str(tmp_path)), SilentProgress()) == ending


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such_wherever_it_is_met(running: list[Any], tmp_path: Path, number: int) -> None:
    """Writing the log or a scratch file, for instance."""
    running.append(raises(OSError(number, os.strerror(number))))
    ending = perform(Job("a.mp4", "cam.yaml", str(tmp_path / "out")), SilentProgress())
    assert (ending.exit_code, ending.elsewhere) == (4, True)
    assert ending.reason.startswith(f"{tmp_path / 'out'}: cannot be written ({os.strerror(number)}): ")
    assert "free some space" in ending.reason


def test_an_option_that_run_refuses_is_exit_code_2(tmp_path: Path) -> None:
    ending = perform(Job("a.mp4", "cam.yaml", str(tmp_path), ("--height=9",)), SilentProgress())
    assert ending.exit_code == 2
    assert "--height" in ending.reason


@pytest.mark.logs_errors
def test_a_fault_of_ours_is_an_ending_too(running: list[Any], tmp_path: Path) -> None:
    running.append(raises(ZeroDivisionError("oh")))
    ending = perform(Job("a.mp4", "cam.yaml", str(tmp_path)), SilentProgress())
    assert (ending.exit_code, ending.reason[:32]) == (1, "unexpected ZeroDivisionError: oh")


def test_a_folder_in_use_is_waited_for_and_then_given_up(
    running: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_job, "_LOOK_AGAIN_S", 0.0)
    held = [InUseError("held by 7"), InUseError("held by 7")]

    def held_twice(output: Path, progress: Progress) -> None:
        if held:
            raise held.pop()
        write_results(output, progress)

    running.append(held_twice)
    assert perform(Job("a.mp4", "cam.yaml", str(tmp_path)), SilentProgress()).exit_code == 0
    monkeypatch.setattr(batch_job, "IN_USE_PATIENCE_S", -1.0)
    running[0] = raises(InUseError("held by 7"))
    assert perform(Job("a.mp4", "cam.yaml", str(tmp_path)), SilentProgress()).reason == "held by 7"


def test_clip_and_results_may_be_at_urls(running: list[Any], tmp_path: Path) -> None:
    fetched: list[tuple[bytes, bytes]] = []

    def reads(output: Path, progress: Progress) -> None:
        clip, calib = running[-1][0].path, running[-1][1]
        assert (clip.name, calib.name) == ("it's [1].mp4", "cam.yaml")
        fetched.append((clip.read_bytes(), calib.read_bytes()))
        write_results(output, progress)

    running.append(reads)
    (tmp_path / "it's [1].mp4").write_bytes(b"film")
    (tmp_path / "cam.yaml").write_bytes(b"calibration")
    url = f"file://{tmp_path}"
    ending = perform(Job(f"{url}/it's [1].mp4", f"{url}/cam.yaml", f"{url}/out/deck/a"), SilentProgress())
    assert ending == Ending(0, clip_digest="its digest")
    assert fetched == [(b"film", b"calibration")]
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["deck/a/people/001.npz", "deck/a/report.json"], "what is finished inside, the cache, stays there"
    assert not any(path.exists() for path in (running[-1][0].path, running[-1][2])), "nothing is left in scratch"


def test_a_url_that_is_not_there_is_a_named_error(running: list[Any], tmp_path: Path) -> None:
    running.append(write_results)
    ending = perform(Job(f"file://{tmp_path}/no.mp4", "cam.yaml", str(tmp_path)), SilentProgress())
    assert ending.exit_code == 3
    assert "no.mp4: cannot be fetched" in ending.reason
    unknown = perform(Job("nothing://a.mp4", "cam.yaml", str(tmp_path)), SilentProgress())
    assert unknown.exit_code == 2
    assert "nothing://a.mp4" in unknown.reason


def test_recordings_at_urls_are_listed_and_noticed_when_they_change(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", "notes.txt"):
        (tmp_path / name).write_text(name)
    camera = CameraEntry("deck", f"file://{tmp_path}/notes.txt", (f"file://{tmp_path}/*.mp4",))
    first = list_recordings(Site("yard", (camera,)), {})
    assert [(recording.name, recording.source) for recording in first] == [
        ("a", f"file://{tmp_path}/a.mp4"),
        ("b", f"file://{tmp_path}/b.mp4"),
    ]
    (tmp_path / "a.mp4").write_text("another")
    os.utime(tmp_path / "a.mp4", (1, 1))
    second = list_recordings(Site("yard", (camera,)), {})
    assert [now.inputs == then.inputs for now, then in zip(second, first, strict=True)] == [False, True]


def test_models_are_kept_only_where_that_is_asked_for() -> None:
    @keepable
    def load(name: str) -> list[str]:
        return [name]

    assert load("a") is not load("a")
    with models_kept():
        first = load("a")
        assert load("a") is first
        assert load("b") is not first
    assert load("a") is not first
