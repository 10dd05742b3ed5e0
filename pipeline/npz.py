"""An npz written as its rows come, so that no array need be in memory as a whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mocap_video.artifacts import atomic_write


class NpzWriter:
    """Collects rows of several arrays beside ``path``; use ``open_npz``."""

    def __init__(self, path: Path) -> None:
        self._stem = path.parent / f".partial-{os.getpid()}-{secrets.token_hex(4)}"
        self._rows: dict[str, IO[bytes]] = {}
        self._shape: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._whole: dict[str, np.ndarray] = {}

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add ``rows`` of the arrays that have some, by name; all but the first axis must be as before."""
        for name, array in rows.items():
            if name not in self._rows:
                self._rows[name] = self._spool(name).open("wb")
                self._shape[name] = array.dtype, (0, *array.shape[1:])
            dtype, (count, *rest) = self._shape[name]
            if array.dtype != dtype or list(array.shape[1:]) != rest:
                raise ValueError(f"{name}: expected rows of {dtype} {rest}, got {array.dtype} {array.shape[1:]}")
            self._shape[name] = dtype, (count + len(array), *rest)
            self._rows[name].write(np.ascontiguousarray(array).tobytes())

    def put(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add ``arrays`` as they are, by name."""
        self._whole.update(arrays)

    def write(self, path: Path) -> None:
        """Write all of it to ``path`` as ``numpy.savez`` does."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, stream in self._rows.items():
                stream.close()
                dtype, shape = self._shape[name]
                header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry, self._spool(name).open("rb") as rows:
                    npy.write_array_header_1_0(entry, header)
                    shutil.copyfileobj(rows, entry, 1 << 20)
            for name, array in self._whole.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    npy.write_array(entry, array, allow_pickle=False)

    def discard(self) -> None:
        """Remove what was collected."""
        for name, stream in self._rows.items():
            with contextlib.suppress(OSError):  # on a full disk what stayed in the buffer finds no room again
                stream.close()
            self._spool(name).unlink(missing_ok=True)

    def _spool(self, name: str) -> Path:
        return Path(f"{self._stem}.{name}")


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[NpzWriter]:
    """Yield a writer; when the block ends well, ``path`` is there whole. A full disk is a ``StorageError``."""
    with atomic_write(path) as partial:
        writer = NpzWriter(path)
        try:
            yield writer
            writer.write(partial)
        finally:
            writer.discard()
