"""Downloads against a local server that breaks off, lies about lengths, serves something else, or knows no ranges."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mocap_video.detectors import weights
from mocap_video.detectors.weights import Weights, WeightsFile
from mocap_video.errors import ArtifactError, MissingAsset, StorageError
from mocap_video.pipeline import download as downloading
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.download import Expected, download, read_pointer
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.weights import fetch_weights, list_weights, verify_weights

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHORT = Expected(SHA256[:8])
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize {len(CONTENT)}\n"


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` at every path. Set ``ranges``, ``breaks`` (bytes sent in each of the next answers),
    ``length_error`` (added to Content-Length) or ``statuses`` (of the next answers) to spoil it; ``asked`` are the
    Range headers of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.breaks: list[int] = []
        self.length_error = 0
        self.statuses: list[int] = []
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models/model.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        server = self.server
        asked = self.headers["Range"]
        server.asked.append(asked)
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        content = POINTER.encode() if self.path.endswith(".pointer") else server.content
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest) + server.length_error))
        self.end_headers()
        self.wfile.write(rest[: server.breaks.pop(0)] if server.breaks else rest)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "PAUSE_S", 0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some folder" / "model.pth"


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def fetched(server: Server, path: Path, expected: Expected = SHORT) -> bytes:
    assert download(server.url, path, expected, SilentProgress()) == SHA256
    assert not part_of(path).exists()
    return path.read_bytes()


def test_a_file_arrives_whole(server: Server, path: Path) -> None:
    assert fetched(server, path) == CONTENT
    assert server.asked == [None]


def test_a_server_that_breaks_off_is_asked_for_the_rest(server: Server, path: Path) -> None:
    server.breaks = [300_000, 100_000]
    assert fetched(server, path) == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]


def test_a_server_without_ranges_is_asked_for_all_of_it_again(server: Server, path: Path) -> None:
    server.ranges, server.breaks = False, [300_000]
    assert fetched(server, path) == CONTENT


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, path: Path) -> None:
    server.breaks = [300_000, *[0] * downloading.TRIES]
    with pytest.raises(MissingAsset, match="300000 bytes are kept"):
        download(server.url, path, SHORT, SilentProgress())
    assert not path.exists()
    assert part_of(path).stat().st_size == 300_000
    server.asked.clear()
    assert fetched(server, path) == CONTENT
    assert server.asked == ["bytes=300000-"]


@pytest.mark.parametrize("begun", [b"of another version", CONTENT + b"and more", CONTENT])
def test_a_beginning_that_is_not_of_this_file_is_dropped(server: Server, path: Path, begun: bytes) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(begun)
    assert fetched(server, path) == CONTENT


def test_what_is_whole_is_not_asked_for_again(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT)
    assert fetched(server, path, Expected(SHA256, len(CONTENT))) == CONTENT
    assert server.asked == []


def test_a_busy_server_is_asked_again(server: Server, path: Path) -> None:
    server.statuses = [503, 429]
    assert fetched(server, path) == CONTENT


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(server: Server, path: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(MissingAsset, match=f"the server refuses .*{status}"):
        download(server.url, path, SHORT, SilentProgress())
    assert len(server.asked) == 1


def test_a_length_that_is_too_long_ends_in_an_error_and_no_file(server: Server, path: Path) -> None:
    server.length_error = 10
    with pytest.raises(MissingAsset, match="ended too early"):
        download(server.url, path, SHORT, SilentProgress())
    assert not path.exists()


def test_a_length_that_is_too_short_ends_in_an_error_and_no_file(server: Server, path: Path) -> None:
    server.length_error = -10
    with pytest.raises(ArtifactError, match=f"{len(CONTENT) - 10} bytes"):
        download(server.url, path, SHORT, SilentProgress())
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("expected", [SHORT, Expected(SHA256, len(CONTENT)), Expected(size=len(CONTENT))])
def test_another_file_is_refused_and_not_kept(server: Server, path: Path, expected: Expected) -> None:
    server.content = b"<html>Please log in</html>"
    with pytest.raises(ArtifactError, match=f"expected {re.escape(str(expected))}, got 26 bytes .*login page"):
        download(server.url, path, expected, SilentProgress())
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("sizes", [Expected(size=len(CONTENT)), Expected(size=len(CONTENT), rounding=1000)])
def test_a_stated_length_that_is_not_the_files_ends_it_before_anything_is_lost(
    server: Server, path: Path, sizes: Expected
) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT[:300_000])
    server.ranges, server.content = False, b"<html>Please log in</html>"
    with pytest.raises(ArtifactError, match="got 26 bytes by what the server states"):
        download(server.url, path, sizes, SilentProgress())
    assert part_of(path).read_bytes() == CONTENT[:300_000]
    server.content = CONTENT
    assert fetched(server, path) == CONTENT


@pytest.mark.parametrize(("off", "fits"), [(0, True), (500, True), (-501, False)])
def test_a_rounded_size_allows_for_its_rounding(server: Server, path: Path, off: int, *, fits: bool) -> None:
    expected = Expected(SHA256[:8], len(CONTENT) + off, rounding=500)
    if fits:
        assert fetched(server, path, expected) == CONTENT
        return
    with pytest.raises(ArtifactError, match=f"expected about {len(CONTENT) + off} bytes with SHA-256 {SHA256[:8]}"):
        download(server.url, path, expected, SilentProgress())
    assert list(path.parent.iterdir()) == []


def test_no_server_at_all_is_an_error_with_the_address(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSE_S", 0)
    with pytest.raises(MissingAsset, match=r"http://127.0.0.1:1/model.pth: cannot be fetched"):
        download("http://127.0.0.1:1/model.pth", path, SHORT, SilentProgress())


def test_a_place_that_cannot_be_written_is_an_error_of_storage(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        download(server.url, tmp_path / "file" / "model.pth", SHORT, SilentProgress())


def test_a_pointer_states_digest_and_size(server: Server) -> None:
    assert read_pointer(f"{server.url}.pointer") == Expected(SHA256, len(CONTENT))
    with pytest.raises(ArtifactError, match="expected a Git LFS pointer"):
        read_pointer(server.url)


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Know ``net``: a file with a short digest and one with a pointer; return the folder that it belongs in."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    files = (WeightsFile(server.url, SHA256[:8]), WeightsFile(tensors(server), pointer=f"{tensors(server)}.pointer"))
    know(monkeypatch, files)
    return tmp_path / "net"


def tensors(server: Server) -> str:
    return server.url.replace(".pth", ".safetensors")


def know(monkeypatch: pytest.MonkeyPatch, files: tuple[WeightsFile, ...]) -> None:
    entry = Weights("net", "tests", "m", "CC0", files)
    monkeypatch.setattr(weights, "known_weights", lambda: {"net": entry})
    monkeypatch.setattr("mocap_video.pipeline.weights.known_weights", lambda: {"net": entry})


def states() -> list[str]:
    return [status.state for status in list_weights()]


def test_fetched_weights_are_listed_and_verified(known: Path, server: Server) -> None:
    assert states() == ["absent"]
    assert verify_weights() == []
    assert fetch_weights("net", SilentProgress()) == known
    assert states() == ["ready"]
    assert [status.state for status in verify_weights()] == ["verified"]
    server.asked.clear()
    fetch_weights("net", SilentProgress())
    assert server.asked == [], "what is there and right is not fetched again"


def test_a_fetch_that_failed_halfway_is_partial_and_says_what_to_do_by_hand(known: Path, server: Server) -> None:
    server.breaks = [len(CONTENT), len(POINTER), 1000, *[0] * downloading.TRIES]
    with pytest.raises(MissingAsset, match="1000 bytes are kept") as caught:
        fetch_weights("net", SilentProgress())
    by_hand = f"on another machine, put it at {known / 'model.safetensors'}, then mocap-video weights verify net"
    assert by_hand in str(caught.value)
    assert states() == ["partial"]
    assert [status.state for status in verify_weights(["net"])] == ["partial"]
    fetch_weights("net", SilentProgress())
    assert [status.state for status in verify_weights(["net"])] == ["verified"]


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_a_file_that_changed_after_it_was_fetched_is_damaged(known: Path, name: str) -> None:
    fetch_weights("net", SilentProgress())
    (known / name).write_bytes(CONTENT[:-1] + b"?")
    (status,) = verify_weights()
    assert status.state == "damaged"
    assert str(known / name) in status.detail
    with pytest.raises(ArtifactError, match="delete it, then mocap-video weights fetch net"):
        fetch_weights("net", SilentProgress())


def test_files_put_there_by_hand_are_taken(known: Path, server: Server) -> None:
    known.mkdir()
    for name in ("model.pth", "model.safetensors"):
        (known / name).write_bytes(CONTENT)
    (status,) = verify_weights()
    assert status.state == "unchecked", "nothing here says which SHA-256 model.safetensors should have"
    pointer = f"{tensors(server)}.pointer"
    assert status.detail == f"no SHA-256 is known here of model.safetensors: compare {SHA256} with {pointer}"
    fetch_weights("net", SilentProgress())
    assert server.asked == []


@pytest.mark.parametrize("known_beforehand", [{"sha256": "0" * 64}, {"size": len(CONTENT) + 1}])
@pytest.mark.usefixtures("known")
def test_a_pointer_to_another_file_than_the_list_knows_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, known_beforehand: dict[str, Any]
) -> None:
    file = WeightsFile(tensors(server), pointer=f"{tensors(server)}.pointer", **known_beforehand)
    know(monkeypatch, (file,))
    with pytest.raises(ArtifactError, match=r"expected a pointer to .*put another file in its place"):
        fetch_weights("net", SilentProgress())
    assert len(server.asked) == 1, "the pointer alone was asked for"
    assert states() == ["absent"]


@pytest.mark.parametrize(("file", "size"), [({"size": len(CONTENT)}, "0.7 MB"), ({}, "size ?")])
@pytest.mark.usefixtures("known")
def test_the_list_shows_what_there_is_to_fetch_and_admits_what_is_not_known(
    server: Server, monkeypatch: pytest.MonkeyPatch, file: dict[str, Any], size: str
) -> None:
    know(monkeypatch, (WeightsFile(server.url, SHA256, **file),))
    shown = CliRunner().invoke(main, ["weights", "list"]).stdout
    assert re.search(rf"absent +net +{re.escape(size)}  tests", shown)
    (listed,) = json.loads(CliRunner().invoke(main, ["weights", "list", "--json"]).stdout)
    assert (listed["size"], listed["published_size"]) == (0, file.get("size"))
    fetch_weights("net", SilentProgress())
    assert re.search(r"ready +net +0\.7 MB  tests", CliRunner().invoke(main, ["weights", "list"]).stdout)
