"""What our local pages share: they are for this machine alone, whoever's page asks."""

from __future__ import annotations

import socket

from mocap_video.errors import ConfigError

ADDRESS = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Sent with every answer."""


def is_local(host: str) -> bool:
    """Whether a request's Host header names this machine: another name means that a foreign page sent it here."""
    return host in HOSTS or (host.rpartition(":")[0] in HOSTS and host.rpartition(":")[2].isdigit())


def listen(port: int) -> socket.socket:
    """Return a socket that listens on the loopback address; ``port`` 0 takes a free one.

    ``ConfigError`` where the port is taken.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise port_taken(port, error) from error
    return found


def port_taken(port: int, error: OSError) -> ConfigError:
    """Return the error for a ``port`` that cannot be used."""
    return ConfigError(f"--port {port}: cannot be used ({error.strerror}). Choose another, or 0 for any.")


def over_ssh(port: int) -> str:
    """Return how to reach ``port`` from another machine."""
    return f"over SSH: ssh -L {port}:localhost:{port} HOST"
