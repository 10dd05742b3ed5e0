"""Files that survive a crash, results that are found again by content, and one run at a time on an output folder.

A cache entry is named by the digest of everything it was made from, so new weights or another option can never answer
with old results. Every file is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import fcntl
import hashlib
import io
import logging
import lzma
import math
import os
import re
import secrets
import shutil
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Set
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mocap_video.errors import ArtifactError, InUseError, MissingAsset, StorageError

logger = logging.getLogger(__name__)

NPZ_FAULTS = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, struct.error, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError, tokenize.TokenError,
)  # fmt: skip
"""What reading an npz raises where its bytes are damaged; RuntimeError: it says it is encrypted, MemoryError: it claims
to be larger than the memory."""

_PARTIAL = re.compile(r"\.partial-(?P<pid>\d{1,9})-")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SEAL = "__digest__"
_CHUNK = 1 << 20


def digest_file(path: Path) -> str:
    """Return the SHA-256 of the content of ``path`` in hexadecimal."""
    sha = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                sha.update(chunk)
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such file. Check the path.") from error
    except OSError as error:
        raise ArtifactError(f"{path}: expected a readable file ({error.strerror}).") from error
    return sha.hexdigest()


def digest_of(*parts: object) -> str:
    """Return the SHA-256 of ``parts`` in hexadecimal: equal values, and only equal values, agree in every process.

    Takes None, bool, int, float, Fraction, str, bytes, enums, numpy arrays and scalars, dataclasses, mappings, tuples,
    lists, and ``Path``, which stands for the CONTENT of the file. Anything else is a ``TypeError``.
    """
    sha = hashlib.sha256()
    for piece in _encode(parts):
        sha.update(piece)
    return sha.hexdigest()


def _encode(value: object) -> Iterator[bytes]:
    """Yield an encoding in which every piece carries its kind and length, so that no two values run into each other."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("digest_of: an array of Python objects has no canonical content")
        yield _tag("array", f"{value.dtype.str}{value.shape}".encode())
        yield np.ascontiguousarray(value).tobytes()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        yield _tag("dataclass", type(value).__qualname__.encode())
        yield from _encode(fields)
    elif isinstance(value, Mapping):
        yield _tag("mapping", str(len(value)).encode())
        for key, item in sorted((b"".join(_encode(key)), item) for key, item in value.items()):
            yield key
            yield from _encode(item)
    elif isinstance(value, (tuple, list)):
        yield _tag("sequence", str(len(value)).encode())
        for item in value:
            yield from _encode(item)
    else:
        yield _encode_scalar(value)


def _encode_scalar(value: object) -> bytes:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, enum.Enum):
        return _tag("enum", f"{type(value).__qualname__}.{value.name}".encode())
    if value is None or isinstance(value, (bool, int, Fraction)):
        return _tag(type(value).__name__, str(value).encode())
    if isinstance(value, float):
        return _tag("float", b"nan" if math.isnan(value) else struct.pack(">d", value))
    if isinstance(value, str):
        return _tag("str", value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return _tag("bytes", value)
    if isinstance(value, Path):
        return _tag("file", digest_file(value).encode())
    raise TypeError(f"digest_of: no canonical encoding for {type(value).__name__}")


def _tag(kind: str, payload: bytes) -> bytes:
    return f"{kind}:{len(payload)}:".encode() + payload


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block, which writes ``path``, into a ``StorageError`` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            advice = f"{_free_space(path)} free there; free some space or choose another folder with -o, then run again"
        else:
            advice = "check that the folder exists and is yours to write, or choose another with -o"
        raise StorageError(f"{path}: cannot be written ({error.strerror or error}): {advice}.") from error


@contextlib.contextmanager
def full_disk_errors(path: Path) -> Iterator[None]:
    """As ``storage_errors``, but of a full disk alone; the block's other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        with storage_errors(path):
            raise


def _free_space(path: Path) -> str:
    folder = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; when the block ends well it becomes ``path`` at once.

    The folder is made if need be. The temporary file has the suffix of ``path``, because encoders read the container
    from it. Whatever ends the block early, an error or Ctrl-C, leaves ``path`` as it was and no temporary file. A full
    disk is a ``StorageError``; the block's other errors pass unchanged.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".partial-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}"
    try:
        with full_disk_errors(path):
            yield partial
        with storage_errors(path):
            _flush_to_disk(partial)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclasses.dataclass(frozen=True)
class Store:
    """Finished stages on disk under ``root``, one file a stage and key; the key is a digest of all that went in."""

    root: Path

    def path_of(self, stage: str, key: str) -> Path:
        """Return where the entry lies, whether or not it exists."""
        for name in (stage, key):
            if not _NAME.fullmatch(name):
                raise ValueError(f"Store: expected a name of letters, digits, '.', '_' and '-', got {name!r}")
        return self.root / stage / f"{key}.npz"

    def get_arrays(self, stage: str, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of a finished stage, or None where there is no entry or a damaged one (logged)."""
        path = self.path_of(stage, key)
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays: dict[str, np.ndarray] = {name: archive[name] for name in archive.files}
            seal = str(arrays.pop(_SEAL))
        except FileNotFoundError:
            return None
        except NPZ_FAULTS as error:
            logger.warning("%s: damaged store entry ignored, its stage runs again (%s)", path, error)
            return None
        if seal != digest_of(stage, key, arrays):
            logger.warning("%s: store entry does not match its digest and is ignored, its stage runs again", path)
            return None
        return arrays

    def put_arrays(self, stage: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of a finished stage; an entry that is there already is replaced as a whole."""
        if _SEAL in arrays:
            raise ValueError(f"Store: the array name {_SEAL!r} is taken")
        contents: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
        contents[_SEAL] = np.asarray(digest_of(stage, key, contents))
        with atomic_write(self.path_of(stage, key)) as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **contents)

    def keep_only(self, entries: Set[tuple[str, str]]) -> None:
        """Remove all that lies under ``root`` but these ``entries``, each a stage and a key."""
        kept = {self.path_of(stage, key) for stage, key in entries}
        with storage_errors(self.root):
            for path in sorted(self.root.rglob("*"), reverse=True):  # what is in a folder before the folder
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif path not in kept:
                    path.unlink()


class RunLock:
    """Holds an output folder for one run: ``with RunLock(folder): ...``.

    The kernel keeps the lock, so it ends with its process, however that dies; the file only says whose it is. Entering
    also removes what a killed run left half-written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ".mocap-video.lock"
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        with storage_errors(self._path):
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._descriptor is None:
                self._descriptor = self._try_to_hold()
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())
        _remove_leftovers(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _try_to_hold(self) -> int | None:
        """Return the locked file's descriptor; None if its last holder removed the file meanwhile."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._path.exists() and os.path.samestat(os.fstat(descriptor), self._path.stat()):
                return descriptor
        except BlockingIOError as error:
            with io.FileIO(descriptor, "r", closefd=False) as stream:
                holder = stream.read().decode(errors="replace") or "unknown"
            os.close(descriptor)
            raise InUseError(
                f"{self._folder}: another run (process {holder}) is writing here. Wait for it, or choose another -o."
            ) from error
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None


def _remove_leftovers(folder: Path) -> None:
    for path in folder.rglob(".partial-*"):
        match = _PARTIAL.match(path.name)
        if match and not _alive(int(match["pid"])):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
