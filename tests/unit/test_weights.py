"""Weights that are fetched: the list, where files lie, and files that are not what was published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from mocap_video.detectors import weights
from mocap_video.detectors.weights import Weights, WeightsFile, verified_digests, weights_path
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset

CONTENT = b"as published"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Know ``one``, a single file, and ``two``, a folder of two; return the folder that all weights lie in."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    model = WeightsFile("https://example.org/a/model.pth?download=1", SHA256[:8])
    entries = (
        Weights("one", "tests", "m", "CC0", (model,)),
        Weights("two", "tests", "m", "CC0", (model, WeightsFile("https://example.org/config.json"))),
    )
    monkeypatch.setattr(weights, "known_weights", lambda: {entry.name: entry for entry in entries})
    return tmp_path


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_single_file_is_a_path_and_several_are_a_folder(folder: Path) -> None:
    path = put(folder / "one" / "model.pth")
    assert weights_path("one") == path
    put(folder / "two" / "model.pth")
    put(folder / "two" / "config.json")
    assert weights_path("two") == folder / "two"


def test_weights_that_are_not_there_name_the_command(folder: Path) -> None:
    put(folder / "two" / "model.pth")
    with pytest.raises(
        MissingAsset, match=re.escape(f"{folder / 'two' / 'config.json'}: the weights two are not")
    ) as e:
        weights_path("two")
    assert "mocap-video weights fetch two" in str(e.value)


def test_a_name_that_is_not_in_the_list_is_refused_with_those_that_are(folder: Path) -> None:
    assert folder.is_dir()
    with pytest.raises(ConfigError, match="expected one of one, two"):
        weights_path("three")


def test_digests_are_of_the_content_and_must_begin_as_published(folder: Path) -> None:
    path = put(folder / "one" / "model.pth")
    assert verified_digests("one") == (SHA256,)
    put(path, b"something else")
    with pytest.raises(ArtifactError, match=f"expected SHA-256 {SHA256[:8]}"):
        verified_digests("one")


@pytest.mark.parametrize(
    ("size", "rounding", "said"), [(14, 0, "expected 14 bytes"), (20, 5, "expected about 20 bytes")]
)
def test_a_file_of_another_size_is_another_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: int, rounding: int, said: str
) -> None:
    path = put(folder / "one" / "model.pth")
    file = WeightsFile("https://example.org/model.pth", size=size, rounding=rounding)
    monkeypatch.setattr(weights, "known_weights", lambda: {"one": Weights("one", "tests", "m", "CC0", (file,))})
    with pytest.raises(ArtifactError, match=f"{re.escape(str(path))}: {said}, got {len(CONTENT)}"):
        verified_digests("one")
    put(path, CONTENT + b"." * (size - len(CONTENT)))
    assert verified_digests("one")


def test_a_size_that_the_publisher_rounds_stands_for_all_that_it_may_mean() -> None:
    file = weights.known_weights()["rtdetr-r18-hf"].files[-1]  # 80.9 MB
    assert [file.fits(size) for size in (80_849_999, 80_850_000, 80_950_000, 80_950_001)] == [False, True, True, False]
    assert file.size == 80_900_000


def test_weights_of_a_size_that_nobody_states_have_none() -> None:
    known = weights.known_weights()
    assert known["vitpose-b"].published_size() is None
    assert known["rtmdet-tiny"].published_size() == known["rtmdet-tiny"].files[0].size


def test_without_the_variable_weights_lie_in_the_cache_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.weights_folder() == tmp_path / "mocap-video" / "weights"


@pytest.mark.parametrize("entry", weights.known_weights().values(), ids=lambda entry: entry.name)
def test_every_entry_of_the_list_is_complete(entry: Weights) -> None:
    assert all((entry.purpose, entry.model, entry.licence, entry.files))
    assert len({file.name for file in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.url.startswith("https://")
        assert re.fullmatch(r"|[0-9a-f]{8}|[0-9a-f]{64}", file.sha256)
        if file.name.endswith((".pth", ".safetensors")):
            assert file.sha256 or file.pointer.startswith("https://")
        assert file.size is None or file.size > 0
        assert file.rounding <= 0.03 * (file.size or 0)
        if "openmmlab" in file.url:  # upstream puts the first digits of the SHA-256 into the name
            assert f"-{file.sha256}" in file.name
