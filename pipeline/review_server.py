"""The web server of the review: on the loopback address, over one folder of results, for its own page alone.

A request under another host's name is refused. What changes something is a POST that carries the page's token, which no
other site's page can read. Files are named by a clip's number and one of the known names, never by a path, and are sent
only when they lie, links resolved, below the folder. The page's policy allows no script or style but its own files.
"""

from __future__ import annotations

import csv
import functools
import html
import io
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mocap_video.errors import ArtifactError
from mocap_video.pipeline import loopback
from mocap_video.pipeline.pages_files import page_file, script, style
from mocap_video.pipeline.plain_json import strict_json
from mocap_video.pipeline.results_folder import VIDEO_NAMES
from mocap_video.pipeline.review_store import Query, ReviewStore, Said
from mocap_video.pipeline.review_thumbs import thumbnail

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MOST_BYTES = 50_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Review:
    """One review that is being served: the store and the token of its page."""

    store: ReviewStore
    token: str

    def file(self, clip: int, name: str) -> Path | None:
        """Return the file ``name`` of the clip if it is a plain file below the root, wherever links may point."""
        folder = self.store.folder_of(clip)
        if folder is None:
            return None
        try:
            path = (self.store.root / folder / name).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return path if path.is_relative_to(self.store.root) and path.is_file() else None


def build_app(store: ReviewStore) -> Starlette:
    """Return the application that serves ``store``."""
    review = Review(store, secrets.token_urlsafe(24))

    def bound(handler: Callable[[Review, Request], Response]) -> Callable[[Request], Response]:
        return functools.partial(handler, review)

    async def say(request: Request) -> Response:
        return await _say(review, request)

    routes = [
        Route("/", bound(_page)),
        Route("/pages/{name}", bound(_asset)),
        Route("/api/overview", bound(_overview)),
        Route("/api/list", bound(_list)),
        Route("/api/clip/{clip:int}", bound(_clip)),
        Route("/api/clip/{clip:int}/view", bound(_view)),
        Route("/api/clip/{clip:int}/verdict", say, methods=["POST"]),
        Route("/api/scan", bound(_scan), methods=["POST"]),
        Route("/media/{clip:int}/{name}", bound(_media)),
        Route("/thumb/{clip:int}/{person:int}", bound(_thumb)),
        Route("/verdicts.csv", bound(_verdicts_csv)),
        Route("/verdicts.json", bound(_verdicts_json)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guard, token=review.token)])


class _Guard:
    """Refuses what does not come from the page itself, and marks every answer so that browsers keep it apart."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in loopback.HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            await send(message)

        await (refusal or self._app)(scope, receive, marked)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        if not loopback.is_local(headers.get("host", "")):
            return PlainTextResponse("this page is for localhost", 403)
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers["host"]:
            return PlainTextResponse("from another page", 403)
        if not secrets.compare_digest(headers.get("x-token", "").encode(), self._token.encode()):
            return PlainTextResponse("wrong token: reload the page", 403)
        return None


def _json(value: object, status: int = 200) -> Response:
    return Response(strict_json(value), status, media_type="application/json")


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _page(review: Review, _request: Request) -> Response:
    root = review.store.root
    parts = {"TOKEN": review.token, "ROOT": html.escape(root.name or str(root), quote=True)}
    before, *rest = page_file("review.html").split("%%")
    text = "".join([before, *(parts.get(part, part) for part in rest)])
    return Response(text, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})


def _asset(_review: Review, request: Request) -> Response:
    """Our own script, style and three.js, by three fixed names."""
    assets: dict[str, tuple[Callable[[], str], str]] = {
        "review.js": (lambda: script("review"), "text/javascript"),
        "style.css": (style, "text/css"),
        "three.js": (lambda: page_file("vendor/three.min.js"), "text/javascript"),
    }
    if request.path_params["name"] not in assets:
        return _refused(404, "not found")
    text, kind = assets[request.path_params["name"]]
    return Response(text(), media_type=kind)


def _overview(review: Review, _request: Request) -> Response:
    return _json(review.store.overview())


def _scan(review: Review, _request: Request) -> Response:
    """Look for results that are new or have changed."""
    review.store.start_update()
    return _overview(review, _request)


def _list(review: Review, request: Request) -> Response:
    asked = request.query_params
    try:
        query = Query(
            of=asked.get("of", "clips"),
            text=asked.get("text", "")[:200],
            verdict=asked.get("verdict", ""),
            flag=asked.get("flag", "")[:200],
            sort=asked.get("sort", "trust"),
            descending=asked.get("descending") == "1",
            offset=int(asked.get("offset", "0")),
            limit=int(asked.get("limit", "100")),
        )
    except ValueError as error:
        return _refused(400, str(error))
    return _json(review.store.listing(query))


def _clip(review: Review, request: Request) -> Response:
    listing = review.store.clip(request.path_params["clip"])
    return _json(listing) if listing.total else _refused(404, "no such clip")


def _view(review: Review, request: Request) -> Response:
    """What the viewer shows of a clip: the same as stands in its index.html."""
    from mocap_video.pipeline.viewer import read_page_data

    report = review.file(request.path_params["clip"], "report.json")
    if report is None:
        return _refused(404, "no such clip")
    try:
        return _json(read_page_data(report.parent))
    except ArtifactError as error:
        return _refused(409, str(error))


def _media(review: Review, request: Request) -> Response:
    name = request.path_params["name"]
    path = review.file(request.path_params["clip"], name) if name in VIDEO_NAMES else None
    if path is None:
        return _refused(404, "not found")
    return FileResponse(path, media_type="video/mp4", content_disposition_type="inline")


def _thumb(review: Review, request: Request) -> Response:
    clip, person = request.path_params["clip"], request.path_params["person"]
    jpeg = review.store.thumb(clip, person)
    if jpeg is None:
        moment, video = review.store.moment(clip, person), review.file(clip, "overlay.mp4")
        if moment is None:
            return _refused(404, "not found")
        jpeg = thumbnail(video.parent, person, moment[0], moment[0] - moment[1]) if video else b""
        review.store.keep_thumb(clip, person, jpeg)
    if not jpeg:
        return _refused(404, "no picture")
    return Response(jpeg, media_type="image/jpeg")


async def _say(review: Review, request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return _refused(413, "too large")
    try:
        said = json.loads(body)
        person, verdict, note = said["person"], said["verdict"], said["note"]
        if type(person) is not int or not isinstance(verdict, str) or not isinstance(note, str):
            raise ValueError("expected person (a number), verdict and note (texts)")
        await run_in_threadpool(review.store.say, request.path_params["clip"], person, verdict, note)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _refused(400, f"cannot be saved: {error}")
    return _json({"saved": True})


def _verdicts_json(review: Review, _request: Request) -> Response:
    return _json(review.store.said())


def _verdicts_csv(review: Review, _request: Request) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="verdicts.csv"'}
    return Response(verdicts_csv(review.store.said()), media_type="text/csv; charset=utf-8", headers=headers)


def verdicts_csv(said: list[Said]) -> str:
    """Return verdicts as CSV. A text that a spreadsheet would take for a formula has an apostrophe put before it."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["folder", "person", "verdict", "note", "changed", "stale", "found"])
    for one in said:
        texts = [f"'{text}" if text.startswith(_FORMULA) else text for text in (one.folder, one.note)]
        writer.writerow(
            [texts[0], one.person or "", one.verdict, texts[1], one.changed, int(one.stale), int(one.found)]
        )
    return stream.getvalue()
