"""The manifest: what is put comes back, whatever its names; another file is refused; a kill loses nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mocap_video.errors import ArtifactError, StorageError
from mocap_video.pipeline.manifest import FILE, Entry, Inputs, Manifest

ENTRY = Entry("deck", "a", "/data/a.mp4", "/out/deck/a", "failed", 2, "why", 3, 1.5, "process 7", Inputs("1 2", "d"))


@pytest.mark.parametrize("name", ["a", "it's; DROP TABLE clips --", '"<script>', "日本", os.fsdecode(b"\xff\xfe"), ""])
def test_what_is_put_comes_back(tmp_path: Path, name: str) -> None:
    entry = replace(ENTRY, source=name, reason=name, exit_code=None)
    with Manifest(tmp_path) as manifest:
        manifest.put(ENTRY, replace(ENTRY, clip="b"))
        manifest.put(entry)
    with Manifest(tmp_path) as manifest:
        assert manifest.entries() == {("deck", "a"): entry, ("deck", "b"): replace(ENTRY, clip="b")}


def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, " * 100)
    with pytest.raises(ArtifactError, match=FILE), Manifest(tmp_path):
        pass
    assert (tmp_path / FILE).read_bytes() == b"no database, " * 100


@pytest.mark.parametrize("change", ["state = 'dome'", "attempts = 'two'", "seconds = x'00'", "exit_code = 'x'"])
def test_a_damaged_line_is_refused(tmp_path: Path, change: str) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.put(ENTRY)
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute(f"UPDATE clips SET {change}")
    with Manifest(tmp_path) as manifest, pytest.raises(ArtifactError, match="a damaged one"):
        manifest.entries()


def test_a_newer_manifest_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(ArtifactError, match="version 1 of a manifest, got 9"), Manifest(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), Manifest(tmp_path / "file" / "out"):
        pass


def test_killed_while_writing_whole_lines_remain(tmp_path: Path) -> None:
    code = (
        "import sys, itertools; from pathlib import Path; from mocap_video.pipeline.manifest import Entry, Manifest\n"
        "with Manifest(Path(sys.argv[1])) as manifest:\n"
        "    for i in itertools.count():\n"
        "        manifest.put(Entry('deck', f'{i:06d}', 's', 'o'), Entry('gate', f'{i:06d}', 's', 'o'))\n"
        "        print(i, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = [int(process.stdout.readline()) for _ in range(20)][-1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Manifest(tmp_path) as manifest:
        names = [clip for _, clip in manifest.entries()]
    assert len(names) >= 2 * (last + 1)
    assert names[: len(names) // 2] == names[len(names) // 2 :], "a line of one camera without its twin"
