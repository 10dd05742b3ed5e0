"""Stages answer from disk when, and only when, everything that went in is known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mocap_video.artifacts import Store
from mocap_video.pipeline.packing import pack, unpack
from mocap_video.pipeline.progress import Advance, SilentProgress
from mocap_video.pipeline.stages import Stage, StageRunner, collect_warnings
from mocap_video.types import Keypoints2D, PersonTrack, Track

STAGE = Stage("people", 1)


def track(person: int) -> PersonTrack:
    frames = np.arange(3)
    keypoints = Keypoints2D(person, "coco17", frames, frames / 25, np.full((3, 17, 2), 5.0), np.ones((3, 17)))
    return PersonTrack(Track(person, frames, np.zeros((3, 4)), np.ones(3)), keypoints)


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[[], StageRunner]:
    return lambda: StageRunner(Store(tmp_path / "store"), SilentProgress())


def counting(values: list[PersonTrack]) -> tuple[list[int], Callable[[Advance], list[PersonTrack]]]:
    calls: list[int] = []

    def compute(_: Advance) -> list[PersonTrack]:
        calls.append(1)
        return values

    return calls, compute


def test_values_survive_the_way_through_the_store() -> None:
    (back,) = unpack(PersonTrack, pack([track(4)]))
    assert back.keypoints.person == 4
    assert back.keypoints.skeleton == "coco17"
    np.testing.assert_array_equal(back.keypoints.time_s, track(4).keypoints.time_s)
    np.testing.assert_array_equal(back.track.box_xyxy, np.zeros((3, 4)))
    assert unpack(PersonTrack, pack([])) == []


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an array"):
        pack([{"a": 1}])


def test_a_second_run_computes_nothing(make_runner: Callable[[], StageRunner]) -> None:
    calls, compute = counting([track(1), track(2)])
    for reused in (False, True):
        runner = make_runner()
        found = runner.values(STAGE, ("clip", 3), PersonTrack, compute)
        assert [one.keypoints.person for one in found] == [1, 2]
        assert [record.reused for record in runner.records] == [reused]
    assert len(calls) == 1


def test_nothing_found_is_an_answer_too(make_runner: Callable[[], StageRunner]) -> None:
    calls, compute = counting([])
    assert make_runner().values(STAGE, (), PersonTrack, compute) == []
    assert make_runner().values(STAGE, (), PersonTrack, compute) == []
    assert len(calls) == 1


@pytest.mark.parametrize("changed", [(Stage("people", 2), ("clip", 3)), (STAGE, ("clip", 4)), (STAGE, ("other", 3))])
def test_another_input_or_version_computes_anew(
    make_runner: Callable[[], StageRunner], changed: tuple[Stage, tuple[object, ...]]
) -> None:
    calls, compute = counting([track(1)])
    make_runner().values(STAGE, ("clip", 3), PersonTrack, compute)
    make_runner().values(changed[0], changed[1], PersonTrack, compute)
    assert len(calls) == 2


def test_files_are_written_again_when_gone_or_changed(make_runner: Callable[[], StageRunner], tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    calls: list[int] = []

    def write(_: Advance) -> None:
        calls.append(1)
        path.write_bytes(b"whole")

    def run(key: str) -> bool:
        runner = make_runner()
        runner.files(STAGE, (key,), [path], write)
        return runner.records[0].reused

    assert [run("a"), run("a")] == [False, True]
    path.write_bytes(b"other")
    assert [run("a"), run("a")] == [False, True]
    path.unlink()
    assert run("a") is False
    assert run("b") is False
    assert len(calls) == 4


def test_what_a_run_did_not_ask_for_is_removed_and_the_rest_answers_still(
    make_runner: Callable[[], StageRunner], tmp_path: Path
) -> None:
    path, root = tmp_path / "video.mp4", tmp_path / "store"
    for inputs in ("old", "new"):
        runner = make_runner()
        runner.values(STAGE, (inputs,), PersonTrack, lambda _: [track(1)])
        runner.files(Stage("videos", 1), (inputs,), [path], lambda _: path.touch())
    (root / "of an older version" / "deep").mkdir(parents=True)
    (root / "of an older version" / "deep" / "piece.mp4").touch()
    (root / "link").symlink_to(tmp_path)
    runner.store.keep_only(runner.used)
    assert sorted(found.name for found in root.iterdir()) == ["people", "videos"]
    assert len([found for found in root.rglob("*") if found.is_file()]) == 2
    assert path.exists(), "a link is removed, not what it leads to"
    again = make_runner()
    again.values(STAGE, ("new",), PersonTrack, lambda _: [])
    again.files(Stage("videos", 1), ("new",), [path], lambda _: None)
    assert [record.reused for record in again.records] == [True, True]


def test_files_of_other_inputs_are_gone_when_writing_stops_early(
    make_runner: Callable[[], StageRunner], tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    make_runner().files(STAGE, ("a",), [path], lambda _: path.touch())

    def stop(_: Advance) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_runner().files(STAGE, ("b",), [path], stop)
    assert not path.exists()


def test_warnings_are_collected_once_each_and_only_inside() -> None:
    log = logging.getLogger("mocap_video.pipeline.video")
    with collect_warnings() as messages:
        log.warning("lost %d frames", 3)
        log.warning("lost %d frames", 3)
        log.info("fine")
    log.warning("later")
    assert messages == ["lost 3 frames"]
