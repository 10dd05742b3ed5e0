"""Files at fsspec URLs (``s3://...``, ``sftp://...``): the one place that imports fsspec."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mocap_video.errors import ConfigError, StorageError, VideoError
from mocap_video.optional import require

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::|://)")
LAST = "report.json"
"""A results folder that has one is whole, so it is put last."""


def is_url(text: str) -> bool:
    """Whether ``text`` names a place by URL, not by a path."""
    return _URL.match(text) is not None


def _at(url: str) -> tuple[Any, str]:
    """Return the file system of ``url`` and the path on it."""
    fsspec = require("fsspec", "ray")
    try:
        return fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{url}: not a place that fsspec knows ({error}). Install what it names.") from error


def glob_urls(pattern: str) -> list[str]:
    """Return the URLs that the URL ``pattern`` matches, by name."""
    system, path = _at(pattern)
    try:
        return sorted(system.unstrip_protocol(found) for found in system.glob(path))
    except Exception as error:  # every file system has errors of its own
        raise VideoError(f"{pattern}: cannot be listed ({type(error).__name__}: {error}).") from error


def stamp(url: str) -> str:
    """Return a text that changes when the file at ``url`` does."""
    system, path = _at(url)
    try:
        return str(system.ukey(path))
    except Exception:  # noqa: BLE001 - what cannot be read now is reported when the clip runs
        return ""


def exists(url: str) -> bool:
    """Whether there is a file at ``url``."""
    system, path = _at(url)
    return bool(system.exists(path))


def read_bytes(url: str) -> bytes:
    """Return the content of the file at ``url``."""
    system, path = _at(url)
    try:
        return system.cat_file(path)
    except Exception as error:
        raise VideoError(f"{url}: cannot be read ({type(error).__name__}: {error}).") from error


def fetch(url: str, folder: Path) -> Path:
    """Copy the file at ``url`` into ``folder`` under its own name."""
    system, path = _at(url)
    target = folder / (path.rstrip("/").rpartition("/")[2] or "file")
    try:
        system.get_file(path, str(target))
    except Exception as error:
        raise VideoError(f"{url}: cannot be fetched ({type(error).__name__}: {error}).") from error
    return target


def push(folder: Path, url: str, files: Iterable[Path]) -> None:
    """Copy ``files``, which lie in ``folder``, to the same places under ``url``, the report last."""
    system, root = _at(url)
    try:
        if system.exists(f"{root}/{LAST}"):
            system.rm_file(f"{root}/{LAST}")
        for path in sorted(files, key=lambda path: path.name == LAST):
            place = f"{root}/{path.relative_to(folder).as_posix()}"
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), place)
    except Exception as error:
        raise StorageError(f"{url}: cannot be written ({type(error).__name__}: {error}).") from error
