"""The page for marking points: on the loopback address alone, changes only by a POST with its token, names as text."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import numpy as np
import pytest

from mocap_video.calib.marks import MarkedPoints, points_of_court
from mocap_video.errors import ConfigError
from mocap_video.pipeline.click_page import Answer, ClickPage, mark_points

SIZE = (64, 48)
FRAME = np.full((48, 64, 3), 90, np.uint8)
NASTY = "</script><script>alert('x')</script>"
POINTS = MarkedPoints((NASTY, "b"), np.array([[0, 0, 0], [1, 2, 3.0]]), np.array([[1.5, 2], [np.nan, np.nan]]), SIZE)


def answer(points: MarkedPoints) -> Answer:
    return Answer(True, f"{len(points.names)} points", ("careful",), [None] * len(points.names), FRAME + 1)


@pytest.fixture
def page() -> ClickPage:
    return ClickPage(FRAME, POINTS, answer)


@pytest.fixture
def server(page: ClickPage) -> Iterator[ThreadingHTTPServer]:
    with page.server(0) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def request(
    server: ThreadingHTTPServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read()


def test_it_is_bound_to_the_loopback_address(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_holds_the_points_and_escapes_their_names(server: ThreadingHTTPServer, page: ClickPage) -> None:
    status, headers, content = request(server, "GET", "/")
    text = content.decode()
    assert status == 200
    assert NASTY not in text
    state = json.loads(re.findall(r"^const state = (.*);$", text, re.MULTILINE)[0])
    assert [point["name"] for point in state["points"]] == [NASTY, "b"]
    assert state["points"][0]["pixel"] == [1.5, 2.0]
    assert state["points"][1]["pixel"] is None
    assert state["token"] == page.token
    nonces = set(re.findall(r'nonce="([^"]+)"', text))
    assert len(nonces) == 1
    assert f"'nonce-{nonces.pop()}'" in headers["Content-Security-Policy"]
    assert "innerHTML" not in text


def test_pictures_are_served_and_nothing_else(server: ThreadingHTTPServer) -> None:
    for path in ("/frame.png", "/proof.png?3"):
        status, headers, content = request(server, "GET", path)
        assert (status, headers["Content-Type"], content[:4]) == (200, "image/png", b"\x89PNG")
    for path in ("/etc/passwd", "/../pyproject.toml", "/points.html"):
        assert request(server, "GET", path)[0] == 404


def test_a_get_changes_nothing(server: ThreadingHTTPServer, page: ClickPage) -> None:
    for path in ("/solve", "/done"):
        assert request(server, "GET", path, X_Token=page.token)[0] == 404
    assert page.points is POINTS
    assert not page.done.is_set()


@pytest.mark.parametrize("token", ["", "wrong", "ü"])
def test_a_post_without_the_token_is_refused(server: ThreadingHTTPServer, page: ClickPage, token: str) -> None:
    status, _, _ = request(server, "POST", "/done", {"points": []}, X_Token=token.encode("latin-1").decode("latin-1"))
    assert status == 403
    assert not page.done.is_set()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_hosts_name_is_refused(server: ThreadingHTTPServer, page: ClickPage, host: str) -> None:
    assert request(server, "GET", "/", Host=host)[0] == 403
    assert request(server, "POST", "/done", {"points": []}, Host=host, X_Token=page.token)[0] == 403
    assert not page.done.is_set()


@pytest.mark.parametrize(
    "body",
    [b"{", {}, {"points": 3}, {"points": [{"name": "a"}]}, {"points": [{"name": "a", "world": [1], "pixel": None}]},
     {"points": [{"name": "a", "world": ["x", 0, 0], "pixel": None}]}, [], {"points": [None] * 400}],
)  # fmt: skip
def test_nonsense_is_answered_and_changes_nothing(server: ThreadingHTTPServer, page: ClickPage, body: object) -> None:
    assert request(server, "POST", "/solve", body, X_Token=page.token)[0] == 400
    assert page.points is POINTS


def test_points_are_taken_judged_and_saved(server: ThreadingHTTPServer, page: ClickPage) -> None:
    sent = {
        "points": [
            {"name": "a", "world": [1, 2, 0], "pixel": [3.25, 4]},
            {"name": "b", "world": [0, 0, 0], "pixel": None},
        ]
    }
    before = request(server, "GET", "/proof.png")[2]
    status, _, content = request(server, "POST", "/solve", sent, X_Token=page.token)
    assert status == 200
    assert json.loads(content)["warnings"] == ["careful"]
    assert request(server, "GET", "/proof.png")[2] != before
    assert request(server, "POST", "/done", sent, X_Token=page.token)[0] == 200
    assert page.done.is_set()
    assert page.points.names == ("a", "b")
    np.testing.assert_array_equal(page.points.pixels, [[3.25, 4], [np.nan, np.nan]])


def test_the_marks_of_a_court_stay_those_of_the_court() -> None:
    page = ClickPage(FRAME, points_of_court("tennis", SIZE), answer)
    with pytest.raises(ValueError, match="marks of the court"):
        page.take(b'{"points": [{"name": "a", "world": [0, 0, 0], "pixel": null}]}', final=False)


def test_it_waits_until_the_user_has_saved() -> None:
    said: list[str] = []

    def save(text: str) -> None:
        said.append(text)
        port = int(re.findall(r"localhost:(\d+)/", text)[0])

        def post() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            token = re.findall(r'"token": "([^"]+)"', connection.getresponse().read().decode())[0]
            body = json.dumps({"points": [{"name": "z", "world": [0, 0, 0], "pixel": [1, 1]}]})
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/done", body, {"X-Token": token})
            connection.getresponse().read()

        threading.Thread(target=post).start()

    assert mark_points(FRAME, POINTS, answer, 0, save).names == ("z",)
    assert "ssh -L" in said[0]


def test_a_port_in_use_is_a_bad_option(server: ThreadingHTTPServer) -> None:
    with pytest.raises(ConfigError, match="--port"):
        mark_points(FRAME, POINTS, answer, server.server_address[1], lambda _: None)
