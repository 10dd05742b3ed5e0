"""One file from the network to disk: goes on where it stopped, and appears whole and checked, or not at all."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from mocap_video import __version__
from mocap_video.artifacts import digest_file, storage_errors
from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.pipeline.progress import Progress, Transferred

TRIES = 5
"""Attempts that bring nothing new, one after the other, before a download gives up."""

PAUSE_S = 1.0
_TIMEOUT_S = 30.0
_CHUNK = 1 << 18
_POINTER_LENGTH = 1024
_NETWORK_ERRORS = (OSError, http.client.HTTPException)
_POINTER = re.compile(r"^oid sha256:(?P<sha256>[0-9a-f]{64})\nsize (?P<size>\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand: ``sha256``, its first digits or all, or ""; ``size`` in bytes or None.

    ``rounding`` in bytes: how far off the size may be.
    """

    sha256: str = ""
    size: int | None = None
    rounding: int = 0

    def __str__(self) -> str:
        known = [f"SHA-256 {self.sha256}{'...' if len(self.sha256) < 64 else ''}"] if self.sha256 else []
        if self.size is not None:
            known.insert(0, f"{'about ' if self.rounding else ''}{self.size} bytes")
        return " with ".join(known)

    def fits(self, size: int) -> bool:
        """Return whether a file of ``size`` bytes may be the one."""
        return self.size is None or abs(size - self.size) <= self.rounding


def read_pointer(url: str) -> Expected:
    """Return what the Git LFS pointer at ``url`` states. Raises ``ArtifactError`` where something else is there, and
    ``MissingAsset`` where the server cannot be reached.
    """
    try:
        with _open(url) as response:
            text = response.read(_POINTER_LENGTH).decode("utf-8", "replace")
    except _NETWORK_ERRORS as error:
        raise MissingAsset(f"{url}: cannot be read ({error})") from error
    match = _POINTER.search(text)
    if match is None:
        raise ArtifactError(f"{url}: expected a Git LFS pointer with oid sha256 and size, got {text[:60]!r}")
    return Expected(match["sha256"], int(match["size"]))


def download(url: str, path: Path, expected: Expected, progress: Progress) -> str:
    """Fetch ``url`` to ``path`` and return the SHA-256 of the file in hexadecimal.

    What arrives lies in ``path`` with ".part" appended until it is whole and what was ``expected``; a later call goes
    on from there where the server can. Raises ``MissingAsset`` when the server cannot be reached or keeps breaking off,
    ``ArtifactError`` when it serves something else, ``StorageError`` when the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.exists()
    with progress.transfer(path.name) as transferred:
        digest = _fetch_whole(url, part, expected, transferred)
        if resumed and not _is(expected, part, digest):  # it may have begun as another version of the file
            part.unlink()
            digest = _fetch_whole(url, part, expected, transferred)
    if not _is(expected, part, digest):
        size = part.stat().st_size
        part.unlink()
        raise ArtifactError(
            f"{url}: expected {expected}, got {size} bytes with SHA-256 {digest}. The server, or a login page on the "
            "way to it, gave something else; nothing of it was kept"
        )
    with storage_errors(path):
        part.replace(path)
    return digest


def _is(expected: Expected, part: Path, digest: str) -> bool:
    return digest.startswith(expected.sha256) and expected.fits(part.stat().st_size)


def _fetch_whole(url: str, part: Path, expected: Expected, transferred: Transferred) -> str:
    """Ask for what is missing until ``part`` is whole, as long as something arrives; return its SHA-256."""
    idle = 0
    reason: Exception = ConnectionError("the connection ended too early")
    while idle < TRIES:
        before = _size(part)
        try:
            if _receive(url, part, expected, transferred):
                return digest_file(part)
        except urllib.error.HTTPError as error:
            if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR and error.code != http.HTTPStatus.TOO_MANY_REQUESTS:
                raise MissingAsset(f"{url}: the server refuses ({error})") from error
            reason = error
        except _NETWORK_ERRORS as error:
            reason = error
        idle = 0 if _size(part) > before else idle + 1
        time.sleep(idle * PAUSE_S)
    cause = reason.reason if isinstance(reason, urllib.error.URLError) else reason
    kept = f"; {_size(part)} bytes are kept, and the same command goes on from there" if _size(part) else ""
    raise MissingAsset(f"{url}: cannot be fetched ({cause}){kept}") from reason


def _receive(url: str, part: Path, expected: Expected, transferred: Transferred) -> bool:
    """Ask once for the rest of ``part``; return whether it is whole now, as far as lengths tell.

    Raises ``ArtifactError`` before anything is written where the server states a length that is not the file's.
    """
    done = _size(part)
    if done and done == expected.size and not expected.rounding:
        return True
    try:
        response = _open(url, start=done)
    except urllib.error.HTTPError as error:
        if not done or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()  # as long as the file or longer, so not the beginning of this file
        response = _open(url)
    with response:
        # whole where nothing was asked for, or where the server cannot begin in the middle
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        total = _total(response.headers, done)
        if total is not None and not expected.fits(total):
            raise ArtifactError(
                f"{url}: expected {expected}, got {total} bytes by what the server states. It, or a login page on the "
                "way to it, gives something else; nothing of it was fetched"
            )
        with _open_part(part) as stream:
            stream.truncate(done)
            transferred(done, total)
            while chunk := response.read(_CHUNK):
                with storage_errors(part):
                    stream.write(chunk)
                done += len(chunk)
                transferred(done, total)
    return total is None or done >= total


def _open(url: str, start: int = 0) -> http.client.HTTPResponse:
    headers = {"User-Agent": f"mocap-video/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)


def _open_part(part: Path) -> BinaryIO:
    with storage_errors(part):
        return part.open("ab", buffering=0)


def _total(headers: Message, start: int) -> int | None:
    """Return the length of the whole file in bytes that an answer which begins at byte ``start`` promises."""
    length = headers["Content-Length"]
    return start + int(length) if length is not None and length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
