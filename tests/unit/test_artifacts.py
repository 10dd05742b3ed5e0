"""Content digests, atomic files, the store of finished stages, and the lock on an output folder."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocap_video.artifacts import RunLock, Store, atomic_write, digest_of
from mocap_video.errors import MissingAsset, StorageError
from mocap_video.types import GroundPlane

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.fractions()
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)


@dataclass(frozen=True)
class _Options:
    rate: Fraction
    names: tuple[str, ...]


def _run(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"


def _leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".partial-*"))


@given(_VALUES, _VALUES)
def test_digest_agrees_exactly_for_values_of_equal_kind_and_content(left: object, right: object) -> None:
    assert (digest_of(left) == digest_of(right)) == (repr(left) == repr(right))


def test_digest_tells_apart_what_concatenation_would_not() -> None:
    values: list[tuple[object, ...]] = [
        ("ab", "c"), ("a", "bc"), (("ab",), "c"), (1,), (1.0,), (True,), ("1",), (b"1",), (None,), (),
        (np.zeros(2),), (np.zeros(2, np.float32),), (np.zeros((2, 1)),), (np.zeros((1, 2)),), ({"a": 1},), (("a", 1),),
    ]  # fmt: skip
    assert len({digest_of(*value) for value in values}) == len(values)


def test_digest_follows_every_field_of_a_dataclass() -> None:
    options = _Options(Fraction(30), ("a",))
    assert digest_of(options) == digest_of(_Options(Fraction(30), ("a",)))
    assert digest_of(options) != digest_of(_Options(Fraction(30000, 1001), ("a",)))
    assert digest_of(options) != digest_of(_Options(Fraction(30), ("b",)))
    plane = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)
    assert digest_of(plane) != digest_of(GroundPlane(np.array([0.0, 1.0, 0.0]), 0.0))


def test_digest_does_not_depend_on_memory_layout_or_mapping_order() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert digest_of(array) == digest_of(np.asfortranarray(array))
    assert digest_of(array[::-1]) == digest_of(array[::-1].copy())
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_digest_is_the_same_in_another_process() -> None:
    code = "from mocap_video.artifacts import digest_of; print(digest_of('a', 1.5, (None, b'x'), {'k': True}))"
    out, _ = _run(code).communicate()
    assert out.strip() == digest_of("a", 1.5, (None, b"x"), {"k": True})


def test_digest_of_a_path_is_of_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.bin", tmp_path / "b.bin"
    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    assert digest_of(first) == digest_of(second)
    second.write_bytes(b"Weights")
    assert digest_of(first) != digest_of(second)


def test_digest_of_an_absent_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"absent\.npz"):
        digest_of(tmp_path / "absent.npz")


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), _Options])
def test_digest_refuses_what_has_no_canonical_encoding(value: object) -> None:
    with pytest.raises(TypeError):
        digest_of(value)


def test_atomic_write_appears_whole_and_keeps_the_suffix(tmp_path: Path) -> None:
    target = tmp_path / "new" / "clip 'a' <b>.mp4"
    with atomic_write(target) as partial:
        partial.write_bytes(b"whole")
        assert partial.suffix == ".mp4"
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert _leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), FileNotFoundError("input.mp4")])
def test_atomic_write_that_fails_leaves_the_old_file_and_passes_the_error(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "people.csv"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_write(target) as partial:
        partial.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert _leftovers(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always-full device")
def test_a_full_disk_is_a_storage_error_that_says_what_to_do(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with pytest.raises(StorageError, match=r"report\.json.*No space left.*MB free.*-o"), atomic_write(target):
        Path("/dev/full").write_bytes(b"0")
    assert not target.exists()


def test_a_disk_that_fills_up_at_the_last_moment_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError), atomic_write(tmp_path / "a.npz") as partial:
        partial.write_bytes(b"data")
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="out"), atomic_write(tmp_path / "out" / "a.csv"):
        pass
    with pytest.raises(StorageError, match="out"), RunLock(tmp_path / "out"):
        pass


def test_store_gives_back_what_was_put(tmp_path: Path) -> None:
    store = Store(tmp_path)
    arrays = {"xy": np.array([[1.0, np.nan]]), "frames": np.arange(3), "skeleton": np.array("coco17")}
    assert store.get_arrays("keypoints", "k1") is None
    store.put_arrays("keypoints", "k1", arrays)
    found = store.get_arrays("keypoints", "k1")
    assert found is not None
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert store.get_arrays("keypoints", "k2") is None
    assert store.get_arrays("lift", "k1") is None


def test_a_damaged_store_entry_is_absent_or_unharmed_but_never_wrong(tmp_path: Path) -> None:
    store, array = Store(tmp_path), np.arange(4.0)
    store.put_arrays("lift", "k", {"joints": array})
    path = store.path_of("lift", "k")
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        found = store.get_arrays("lift", "k")
        refused += found is None
        if found is not None:
            np.testing.assert_array_equal(found["joints"], array)
    assert refused > len(whole) / 2


def test_a_truncated_or_misplaced_store_entry_is_absent_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.put_arrays("lift", "k1", {"joints": np.arange(1000.0)})
    path = store.path_of("lift", "k1")
    path.with_name("k2.npz").write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        assert store.get_arrays("lift", "k1") is None
        assert store.get_arrays("lift", "k2") is None
    assert len(caplog.records) == 2
    store.put_arrays("lift", "k1", {"joints": np.arange(2.0)})
    assert store.get_arrays("lift", "k1") is not None


def test_store_opens_no_pickle(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises((TypeError, ValueError)):
        store.put_arrays("lift", "k", {"objects": np.array([object()], dtype=object)})
    path = store.path_of("lift", "k")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, objects=np.array([object()], dtype=object), __digest__=np.array(""))
    assert store.get_arrays("lift", "k") is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_store_names_cannot_leave_its_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="Store"):
        Store(tmp_path).path_of("lift", name)


def test_a_store_on_a_disk_that_fills_up_keeps_no_entry(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from mocap_video.artifacts import Store
from mocap_video.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    Store(Path(sys.argv[1])).put_arrays("lift", "k", {"joints": np.zeros(100_000)})
except StorageError as error:
    print("refused:", error)
"""
    out, err = _run(code, tmp_path).communicate()
    assert out.startswith("refused:"), err
    assert Store(tmp_path).get_arrays("lift", "k") is None
    assert _leftovers(tmp_path) == []


def test_a_killed_run_leaves_no_file_that_looks_whole_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from mocap_video.artifacts import RunLock, atomic_write
with RunLock(Path(sys.argv[1])), atomic_write(Path(sys.argv[1]) / "people" / "001.npz") as partial:
    partial.write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""
    process = _run(code, tmp_path)
    _wait_for_ready(process)
    with pytest.raises(StorageError, match=f"process {process.pid}"), RunLock(tmp_path):
        pass
    assert len(_leftovers(tmp_path)) == 1
    process.kill()
    process.communicate()
    assert not (tmp_path / "people" / "001.npz").exists()
    assert len(_leftovers(tmp_path)) == 1
    with RunLock(tmp_path):
        assert _leftovers(tmp_path) == []


def test_the_lock_leaves_nothing_behind_and_can_be_taken_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for _ in range(2):
        with RunLock(folder):
            assert [path.name for path in folder.iterdir()] == [".mocap-video.lock"]
        assert list(folder.iterdir()) == []


def test_of_many_runs_at_once_exactly_one_holds_the_folder(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from mocap_video.artifacts import RunLock
from mocap_video.errors import StorageError
try:
    with RunLock(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except StorageError:
    print("refused", flush=True)
"""
    processes = [_run(code, tmp_path) for _ in range(4)]
    answers = [process.stdout.readline().strip() for process in processes if process.stdout]
    for process in processes:
        process.communicate()
    assert sorted(answers) == ["held", "refused", "refused", "refused"]
