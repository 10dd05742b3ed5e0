"""The review's index follows what lies on disk, and verdicts outlive it."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from mocap_video.errors import ArtifactError, StorageError
from mocap_video.pipeline import cli
from mocap_video.pipeline.results_folder import read_people_csv
from mocap_video.pipeline.review_index import INDEX
from mocap_video.pipeline.review_store import DATABASE, Query, ReviewStore
from synth.reviews import walker, write_clip, write_many


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "clip"
    return write_clip(folder, walker(1), walker(2, 1.2), flagging=lambda p, f: ["far"] * (p == 2 and f < 10))


def opened(root: Path) -> ReviewStore:
    store = ReviewStore(root)
    store.update()
    return store


def folders(store: ReviewStore, **query: object) -> list[str]:
    return [row.folder for row in store.listing(Query(**query)).rows]  # type: ignore[arg-type]


def test_one_clips_folder_is_reviewed_too(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "clip")
    row = opened(tmp_path / "clip").listing(Query()).rows[0]
    assert (row.folder, row.name, row.people) == (".", "clip", 2)
    assert list(row.flags) == ["far"]
    assert row.flagged == pytest.approx(0.1)
    assert row.trust is not None
    assert 0 < row.trust < 1


def test_the_index_follows_the_disk_and_verdicts_stay(template: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(template, tmp_path / name)
    shutil.copytree(template, tmp_path / ".hidden" / "c")
    shutil.copytree(template, tmp_path / "a" / "inside")
    store = opened(tmp_path)
    assert sorted(folders(store)) == ["a", "b"]
    ids = {row.folder: row.id for row in store.listing(Query()).rows}
    store.say(ids["b"], 0, "accept", "as it is")
    shutil.rmtree(tmp_path / "b")
    store.update()
    assert folders(store) == ["a"]
    assert [(one.folder, one.found) for one in store.said()] == [("b", False)]
    shutil.copytree(template, tmp_path / "b")
    store.update()
    assert folders(store, verdict="accept") == ["b"]
    assert not store.said()[0].stale
    (tmp_path / INDEX).unlink()
    assert folders(opened(tmp_path), verdict="accept") == ["b"], "the index is a cache, verdicts are not in it"


def test_a_verdict_on_other_motion_is_marked(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "a")
    store = opened(tmp_path)
    store.say(store.listing(Query()).rows[0].id, 0, "accept", "")
    os.utime(tmp_path / "a" / "report.json")
    store.update()
    assert not store.listing(Query()).rows[0].stale, "written again, but the motion is the same"
    with (tmp_path / "a" / "people.csv").open("a") as table:
        table.write("9.000000,1,0,0,1,,none,0.5,\n")
    os.utime(tmp_path / "a" / "report.json")
    store.update()
    assert store.listing(Query()).rows[0].stale
    assert store.said()[0].stale


def test_sorting_filtering_and_pages(template: Path, tmp_path: Path) -> None:
    write_many(tmp_path, 30, template)
    store = opened(tmp_path)
    everything = store.listing(Query(limit=500))
    trusts = [row.trust or 0 for row in everything.rows]
    assert everything.total == 30
    assert trusts == sorted(trusts)
    backwards = [row.trust or 0 for row in store.listing(Query(descending=True)).rows]
    assert backwards == trusts[::-1]
    paged = [row.folder for start in range(0, 30, 7) for row in store.listing(Query(offset=start, limit=7)).rows]
    assert paged == [row.folder for row in everything.rows]
    assert set(folders(store, text="camera-3 clip")) == {f"camera-3/clip-{n:04d}" for n in (3, 13, 23)}
    people = store.listing(Query(of="people", sort="name", flag="far"))
    assert {row.number for row in people.rows} <= {1, 2}
    assert people.total < 60
    overview = store.overview()
    assert (overview.clips, overview.people, overview.scanning) == (30, 60, False)
    assert sum(overview.flags.values()) >= 30


def test_an_index_that_is_damaged_is_made_anew(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "a")
    (tmp_path / INDEX).write_bytes(b"no database" * 100)
    assert folders(opened(tmp_path)) == ["a"]


def test_verdicts_that_are_damaged_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=DATABASE):
        ReviewStore(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"no database" * 100


def test_a_name_that_is_not_text_is_left_out_and_said(
    template: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(template, os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    assert folders(opened(tmp_path)) == []
    assert "not UTF-8" in caplog.text


def test_columns_are_found_by_name(template: Path, tmp_path: Path) -> None:
    with (template / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["new", *reversed(rows[0])])
        writer.writeheader()
        writer.writerows([{**row, "new": "x"} for row in rows])
    turned, straight = read_people_csv(path), read_people_csv(template / "people.csv")
    assert turned.keys() == straight.keys()
    assert turned[2].flags == straight[2].flags
    assert (turned[2].root == straight[2].root).all()
    assert turned[2].contact == straight[2].contact


def test_a_folder_that_is_not_there_exits_4(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        ReviewStore(tmp_path / "no")
    result = CliRunner().invoke(cli.main, ["review", str(tmp_path / "no <b>"), "--no-open", "--port", "0"])
    assert result.exit_code == 4
    assert "no <b>: no such folder" in result.stderr
