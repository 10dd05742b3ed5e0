"""The review's server as plain HTTP: for this machine and its own page alone, over one folder and its known files."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from mocap_video.errors import ConfigError
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.review import ReviewServer
from mocap_video.pipeline.review_server import verdicts_csv
from mocap_video.pipeline.review_store import DATABASE, Query, Said
from synth.reviews import walker, write_clip

NASTY = 'a "quoted" it\'s <script>alert(1)<b>'
SECRET = b"not yours"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("template") / "clip", walker(1), videos=True)


def make_root(folder: Path, template: Path) -> Path:
    """Make results with a nasty name; beside the folder a secret, to which links inside it point."""
    root = folder / "root <b>"
    shutil.copytree(template, root / NASTY)
    (folder / "secret.mp4").write_bytes(SECRET)
    linked = root / "linked"
    shutil.copytree(template, linked)
    (linked / "overlay.mp4").unlink()
    (linked / "overlay.mp4").symlink_to(folder / "secret.mp4")
    shutil.copytree(template, folder / "outside")
    (root / "way out").symlink_to(folder / "outside")
    return root


@contextlib.contextmanager
def serving(root: Path) -> Iterator[ReviewServer]:
    server = ReviewServer(root, 0)
    server.store.update()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    server.stop()
    thread.join()


@pytest.fixture(scope="module")
def shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    with serving(make_root(tmp_path_factory.mktemp("shared"), template)) as server:
        yield server


@pytest.fixture
def server(shared: ReviewServer) -> ReviewServer:
    """The server of all tests that leave the results as they are, without verdicts."""
    for row in (*shared.store.listing(Query()).rows, *shared.store.listing(Query(of="people")).rows):
        shared.store.say(row.id, row.number, "", "")
    return shared


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Iterator[ReviewServer]:
    """A server for a test that meddles with the results."""
    with serving(make_root(tmp_path, template)) as server:
        yield server


Reply = tuple[int, dict[str, str], bytes]


def request(server: ReviewServer, method: str, path: str, body: object = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()


def get(server: ReviewServer, path: str) -> object:
    status, _, content = request(server, "GET", path)
    assert status == 200, content
    return json.loads(content)


def token(server: ReviewServer) -> str:
    return re.findall(r'name="token" content="([^"]+)"', request(server, "GET", "/")[2].decode())[0]


def clip_of(server: ReviewServer, folder: str) -> int:
    listing = get(server, "/api/list")
    assert isinstance(listing, dict)
    return next(row["id"] for row in listing["rows"] if row["folder"] == folder)


SAY = {"person": 0, "verdict": "accept", "note": "good"}


def said(server: ReviewServer) -> list[tuple[int, str, str]]:
    return [(one.person, one.verdict, one.note) for one in server.store.said()]


def test_it_is_bound_to_the_loopback_address(server: ReviewServer) -> None:
    assert server.address[0] == "127.0.0.1"


def test_the_page_has_no_inline_script_and_its_policy_allows_none(server: ReviewServer) -> None:
    status, headers, content = request(server, "GET", "/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    text = content.decode()
    assert "root &lt;b&gt;" in text
    assert "<b>" not in text
    assert re.findall(r"<script(?![^>]* src=)", text) == []
    assert re.findall(r"<style|style=|\son\w+=", text) == []


def test_every_answer_is_marked(server: ReviewServer) -> None:
    for path in ("/", "/pages/review.js", "/api/list", "/nothing", "/media/1/overlay.mp4", "/verdicts.csv"):
        headers = request(server, "GET", path)[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_our_pages_never_turn_text_into_markup(server: ReviewServer) -> None:
    script = request(server, "GET", "/pages/review.js")[2].decode()
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script) == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost:x", ""])
def test_another_hosts_name_is_refused(server: ReviewServer, host: str) -> None:
    for path in ("/", "/api/list", "/media/1/overlay.mp4"):
        assert request(server, "GET", path, Host=host)[0] == 403
    assert request(server, "POST", "/api/clip/1/verdict", SAY, Host=host, X_Token=token(server))[0] == 403
    assert said(server) == []


def test_a_get_changes_nothing(server: ReviewServer) -> None:
    for path in ("/api/clip/1/verdict", "/api/scan"):
        assert request(server, "GET", path, X_Token=token(server))[0] == 405
    assert said(server) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("wrong", ["", "wrong", "\u00fc"])
def test_a_change_without_the_token_is_refused(server: ReviewServer, method: str, wrong: str) -> None:
    assert request(server, method, "/api/clip/1/verdict", SAY, X_Token=wrong)[0] == 403
    assert request(server, method, "/api/clip/1/verdict", SAY)[0] == 403
    assert said(server) == []


def test_a_change_from_another_page_is_refused_even_with_the_token(server: ReviewServer) -> None:
    for origin in ("http://evil.example", f"http://127.0.0.1:{server.port + 1}", "null"):
        status = request(server, "POST", "/api/clip/1/verdict", SAY, X_Token=token(server), Origin=origin)[0]
        assert status == 403
    own = f"http://127.0.0.1:{server.port}"
    assert request(server, "POST", "/api/clip/1/verdict", SAY, X_Token=token(server), Origin=own)[0] == 200


def test_a_verdict_is_in_the_database_before_the_answer(server: ReviewServer) -> None:
    clip = clip_of(server, NASTY)
    assert request(server, "POST", f"/api/clip/{clip}/verdict", SAY, X_Token=token(server))[0] == 200
    with sqlite3.connect(server.store.root / DATABASE) as database:
        rows = database.execute("select folder, person, verdict, note from verdict").fetchall()
    assert rows == [(NASTY, 0, "accept", "good")]


@pytest.mark.parametrize(
    "body",
    [b"{", b"", {}, [], 3, {**SAY, "verdict": "perfect"}, {**SAY, "person": "1"}, {**SAY, "person": 99},
     {**SAY, "person": True}, {**SAY, "note": None}, {**SAY, "note": "x" * 4001}, b"[" * 20_000],
)  # fmt: skip
def test_nonsense_is_answered_and_changes_nothing(server: ReviewServer, body: object) -> None:
    clip = clip_of(server, NASTY)
    assert request(server, "POST", f"/api/clip/{clip}/verdict", body, X_Token=token(server))[0] == 400
    assert said(server) == []


def test_a_flood_is_cut_off(server: ReviewServer) -> None:
    status = request(server, "POST", "/api/clip/1/verdict", b" " * 60_000, X_Token=token(server))[0]
    assert status == 413


def test_known_files_are_served_in_parts_and_nothing_else(server: ReviewServer) -> None:
    root = server.store.root
    clip = clip_of(server, NASTY)
    whole = (root / NASTY / "overlay.mp4").read_bytes()
    status, headers, content = request(server, "GET", f"/media/{clip}/overlay.mp4")
    assert (status, headers["content-type"], content) == (200, "video/mp4", whole)
    status, headers, content = request(server, "GET", f"/media/{clip}/overlay.mp4", Range="bytes=10-19")
    assert (status, content) == (206, whole[10:20])
    assert headers["content-range"] == f"bytes 10-19/{len(whole)}"
    for name in ("report.json", "people.csv", "people/001.npz", ".mocap-video.lock", DATABASE, "overlay.mp4/"):
        assert request(server, "GET", f"/media/{clip}/{quote(name)}")[0] in (404, 307), name
    assert request(server, "GET", "/media/999999/overlay.mp4")[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/../secret.mp4", "/%2e%2e/secret.mp4", "/media/1/../../secret.mp4", "/media/1/..%2f..%2fsecret.mp4",
     "/media/1/%2e%2e%5csecret.mp4", "/media/..%2foutside/overlay.mp4", "/pages/../review.html",
     "/pages/..%2freview.py", "/pages/vendor%2fREADME.md", "//etc/passwd", "/media/1/overlay.mp4%00.txt",
     "/thumb/1/..%2f1"],
)  # fmt: skip
def test_no_path_leads_out(server: ReviewServer, path: str) -> None:
    status, _, content = request(server, "GET", path)
    assert status == 404
    assert SECRET not in content


def test_a_link_that_leads_out_is_not_followed(server: ReviewServer) -> None:
    assert sorted(row.folder for row in server.store.listing(Query()).rows) == sorted([NASTY, "linked"])
    clip = clip_of(server, "linked")
    assert request(server, "GET", f"/media/{clip}/overlay.mp4")[0] == 404
    assert request(server, "GET", f"/thumb/{clip}/0")[0] == 404
    assert request(server, "GET", f"/media/{clip}/topview.mp4")[0] == 200


def test_a_folder_swapped_for_a_link_after_the_scan_is_not_followed(fresh: ReviewServer) -> None:
    root = fresh.store.root
    clip = clip_of(fresh, NASTY)
    (root / NASTY).rename(root / "elsewhere")
    (root / NASTY).symlink_to(root.parent / "outside")
    for name in VIDEO_NAMES:
        assert request(fresh, "GET", f"/media/{clip}/{name}")[0] == 404
    assert request(fresh, "GET", f"/api/clip/{clip}/view")[0] == 404


def test_a_pipe_under_a_videos_name_is_not_opened(fresh: ReviewServer) -> None:
    root = fresh.store.root
    clip = clip_of(fresh, NASTY)
    (root / NASTY / "overlay.mp4").unlink()
    os.mkfifo(root / NASTY / "overlay.mp4")
    assert request(fresh, "GET", f"/media/{clip}/overlay.mp4")[0] == 404


@pytest.mark.parametrize(
    "asked",
    ["of=files", "sort=folder;drop table clip", "verdict=maybe", "limit=0", "limit=100000", "offset=-1", "offset=x"],
)
def test_a_query_that_makes_no_sense_is_refused(server: ReviewServer, asked: str) -> None:
    assert request(server, "GET", f"/api/list?{quote(asked, safe='=')}")[0] == 400


@pytest.mark.parametrize("text", ["%", "_", "'", '"', "' or 1 --", "\\", "\x00", "🙂"])
def test_what_is_searched_for_is_text(server: ReviewServer, text: str) -> None:
    listing = get(server, f"/api/list?text={quote(text)}&flag={quote(text)}")
    assert listing == {"total": 0, "rows": []}
    listing = get(server, f"/api/list?text={quote(text)}")
    assert isinstance(listing, dict)
    assert listing["total"] == sum(text in folder for folder in (NASTY, "linked"))


def test_the_view_is_that_of_the_page_and_pictures_are_made(server: ReviewServer) -> None:
    clip = clip_of(server, NASTY)
    view = get(server, f"/api/clip/{clip}/view")
    assert isinstance(view, dict)
    assert view["videos"] == list(VIDEO_NAMES)
    assert [person["number"] for person in view["people"]] == [1]
    for person in (0, 1):
        for _ in range(2):  # made, then kept
            status, headers, content = request(server, "GET", f"/thumb/{clip}/{person}")
            assert (status, headers["content-type"], content[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
    assert request(server, "GET", f"/thumb/{clip}/7")[0] == 404


def test_results_that_cannot_be_read_are_listed_with_the_reason(fresh: ReviewServer) -> None:
    root = fresh.store.root
    clip = clip_of(fresh, NASTY)
    (root / NASTY / "report.json").write_text('{"clip": 3}')
    status, _, content = request(fresh, "GET", f"/api/clip/{clip}/view")
    assert status == 409
    assert b"Run the clip again" in content
    fresh.store.update()
    assert "report.json" in next(row.problem for row in fresh.store.listing(Query()).rows if row.folder == NASTY)


def test_verdicts_are_exported(server: ReviewServer) -> None:
    clip = clip_of(server, NASTY)
    for person, verdict, note in ((0, "needs work", "=1+1"), (1, "reject", 'two\nlines, "quoted"')):
        body = {"person": person, "verdict": verdict, "note": note}
        assert request(server, "POST", f"/api/clip/{clip}/verdict", body, X_Token=token(server))[0] == 200
    exported = get(server, "/verdicts.json")
    assert isinstance(exported, list)
    assert [(one["folder"], one["person"], one["verdict"], one["note"]) for one in exported] == [
        (NASTY, 0, "needs work", "=1+1"),
        (NASTY, 1, "reject", 'two\nlines, "quoted"'),
    ]
    status, headers, content = request(server, "GET", "/verdicts.csv")
    assert (status, headers["content-disposition"]) == (200, 'attachment; filename="verdicts.csv"')
    lines = content.decode().splitlines()
    assert lines[0] == "folder,person,verdict,note,changed,stale,found"
    assert "needs work,'=1+1," in lines[1]


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    text = verdicts_csv([Said("@cmd/clip", 0, "accept", "-2", "2026-01-01T00:00:00+00:00", stale=False, found=True)])
    assert "\n'@cmd/clip,,accept,'-2," in text


def test_a_port_in_use_is_a_bad_option(server: ReviewServer) -> None:
    with pytest.raises(ConfigError, match="--port"):
        ReviewServer(server.store.root, server.port)
