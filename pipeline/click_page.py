"""A page in the user's browser in which known points are clicked in a frame.

It is served on the loopback address alone, so over SSH its port is forwarded. A request that changes anything is a POST
that carries the token of the page; a request under another host's name is refused, so that no other site's page can
reach this one. Names are shown as text, never as HTML.
"""

from __future__ import annotations

import io
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

import numpy as np
from PIL import Image

from mocap_video.calib.marks import MarkedPoints
from mocap_video.pipeline import loopback

_MOST_BYTES = 200_000
_MOST_POINTS = 300
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Answer:
    """What is said of the points so far: ``solved``, in ``text``, with ``warnings``; ``points`` are figures (or None)
    for each; ``picture (H,W,3)`` uint8 RGB shows the calibration.
    """

    solved: bool
    text: str
    warnings: Sequence[str]
    points: Sequence[dict[str, object] | None]
    picture: np.ndarray | None


Ask = Callable[[MarkedPoints], Answer]


def mark_points(
    rgb: np.ndarray, points: MarkedPoints, ask: Ask, port: int, announce: Callable[[str], None]
) -> MarkedPoints:
    """Serve the page for ``rgb (H,W,3)`` uint8 until the user is done; return the points as marked.

    ``ask`` judges the points after every change. ``port`` 0 takes a free one; ``announce`` is told the address.
    """
    page = ClickPage(rgb, points, ask)
    try:
        server = page.server(port)
    except OSError as error:
        raise loopback.port_taken(port, error) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with server:
        thread.start()
        number = server.server_address[1]
        announce(f"open http://localhost:{number}/ and mark the points ({loopback.over_ssh(number)})")
        try:
            page.done.wait()
        finally:
            server.shutdown()
            thread.join()
    return page.points


class ClickPage:
    """The page's state: ``points`` as they were last sent, ``done`` once the user has saved, the page's ``token``."""

    def __init__(self, rgb: np.ndarray, points: MarkedPoints, ask: Ask) -> None:
        self.points = points
        self.done = threading.Event()
        self.token = secrets.token_urlsafe(24)
        self._ask = ask
        self._asking = threading.Lock()
        self._frame = _png(rgb)
        self._picture = self._frame
        self._html = resources.files("mocap_video.pipeline").joinpath("pages/points.html").read_text(encoding="utf-8")

    def server(self, port: int) -> ThreadingHTTPServer:
        """Return the server of this page, bound to the loopback address."""
        page = self

        class Handler(_Handler):
            state = page

        return ThreadingHTTPServer((loopback.ADDRESS, port), Handler)

    def html(self, nonce: str) -> bytes:
        """Return the page; ``nonce`` marks its own script and style for the content security policy."""
        listed = [
            {"name": name, "world": world, "pixel": None if np.isnan(pixel).any() else pixel.tolist()}
            for name, world, pixel in zip(
                self.points.names, self.points.world.tolist(), self.points.pixels, strict=True
            )
        ]
        state = {"token": self.token, "points": listed, "fixed": bool(self.points.court), "court": self.points.court}
        written = json.dumps(state).replace("<", "\\u003c")
        return self._html.replace("__NONCE__", nonce).replace("__STATE__", written).encode()

    def picture(self, name: str) -> bytes | None:
        """Return the PNG called ``name``: the frame, or the proof of the last answer."""
        return {"/frame.png": self._frame, "/proof.png": self._picture}.get(name)

    def take(self, body: bytes, *, final: bool) -> dict[str, object]:
        """Take in the points of ``body`` (JSON) and answer; ``ValueError`` for anything that is no list of points."""
        self.points = _parsed(body, self.points)
        if final:
            self.done.set()
            return {}
        with self._asking:
            answer = self._ask(self.points)
            if answer.picture is not None:
                self._picture = _png(answer.picture)
        return {
            "solved": answer.solved,
            "text": answer.text,
            "warnings": list(answer.warnings),
            "points": list(answer.points),
        }


def _png(rgb: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()


def _parsed(body: bytes, before: MarkedPoints) -> MarkedPoints:
    listed = json.loads(body)["points"]
    if not isinstance(listed, list) or len(listed) > _MOST_POINTS:
        raise ValueError(f"points: expected a list of at most {_MOST_POINTS}")
    names = tuple(str(entry["name"])[:_LONGEST_NAME] for entry in listed)
    if before.court and names != before.names:
        raise ValueError("points: expected the marks of the court")
    world = np.array([[float(value) for value in entry["world"]] for entry in listed], float).reshape(-1, 3)
    pixels = [entry["pixel"] or (np.nan, np.nan) for entry in listed]
    return MarkedPoints(names, world, np.array(pixels, float).reshape(-1, 2), before.size, before.court)


class _Handler(BaseHTTPRequestHandler):
    state: ClickPage
    server_version = "mocap-video"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._is_local():
            return
        picture = self.state.picture(path)
        if path == "/":
            nonce = secrets.token_urlsafe(16)
            policy = (
                f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
                "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
            self._send(HTTPStatus.OK, self.state.html(nonce), "text/html; charset=utf-8", policy)
        elif picture is not None:
            self._send(HTTPStatus.OK, picture, "image/png")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")

    def do_POST(self) -> None:
        if not self._is_local():
            return
        token = self.headers.get("X-Token", "")
        length = int(self.headers.get("Content-Length") or 0)
        if not secrets.compare_digest(token.encode(), self.state.token.encode()):
            self._send(HTTPStatus.FORBIDDEN, b"wrong token: reload the page", "text/plain")
        elif self.path not in ("/solve", "/done"):
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")
        elif not 0 < length <= _MOST_BYTES:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too large", "text/plain")
        else:
            self._answer(self.rfile.read(length))

    def _answer(self, body: bytes) -> None:
        try:
            answer = self.state.take(body, final=self.path == "/done")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self._send(HTTPStatus.BAD_REQUEST, f"expected a list of points: {error}".encode(), "text/plain")
            return
        self._send(HTTPStatus.OK, json.dumps(answer).encode(), "application/json")

    def _is_local(self) -> bool:
        local = loopback.is_local(self.headers.get("Host", ""))
        if not local:
            self._send(HTTPStatus.FORBIDDEN, b"this page is for localhost", "text/plain")
        return local

    def _send(self, status: HTTPStatus, content: bytes, kind: str, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        for name, value in loopback.HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the terminal belongs to the user."""
