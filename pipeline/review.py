"""``review``: serves the results below a folder to the browser of this machine until it is stopped."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mocap_video.pipeline import loopback
from mocap_video.pipeline.review_server import build_app
from mocap_video.pipeline.review_store import ReviewStore


class ReviewServer:
    """A review of the results below ``root``, bound to ``port`` of the loopback address (0: any); ``run`` serves it."""

    def __init__(self, root: Path, port: int) -> None:
        self._socket = loopback.listen(port)
        try:
            self.store = ReviewStore(root)
        except BaseException:
            self._socket.close()
            raise
        config = uvicorn.Config(
            build_app(self.store), log_level="warning", access_log=False, lifespan="off", server_header=False,
            ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://localhost:{self.port}/"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the socket."""
        return self._socket.getsockname()[:2]

    def run(self) -> None:
        """Serve until ``stop`` or Ctrl-C; results are looked for meanwhile."""
        self.store.start_update()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.store.close()

    def stop(self) -> None:
        """Let ``run`` end; any thread may call."""
        self._server.should_exit = True


def serve(root: Path, port: int, announce: Callable[[str], None], *, show: bool) -> None:
    """Serve the review of ``root`` until Ctrl-C; ``announce`` is told the address, ``show`` opens a browser there."""
    server = ReviewServer(root, port)
    announce(f"review of {root}: {server.url} ({loopback.over_ssh(server.port)}). Ctrl-C ends it; verdicts are saved.")
    if show:
        threading.Timer(0.5, webbrowser.open, (server.url,)).start()
    try:
        server.run()
    except KeyboardInterrupt:
        announce("")
