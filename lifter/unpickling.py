"""Pickles of plain arrays, read without running anything they name: only for files that a user says to trust."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mocap_video.errors import ArtifactError

UNREADABLE = (
    pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, ImportError, ValueError, IndexError,
)  # fmt: skip
"""What a pickle that is broken, or that holds something else, raises."""

_CONTAINERS = {
    ("collections", "defaultdict"): collections.defaultdict,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
}


def _allowed(module: str, name: str) -> bool:
    """Return whether numpy needs ``module.name`` to make an array."""
    if module.partition(".")[0] == "numpy" and name in ("ndarray", "dtype", "_reconstruct", "scalar"):
        return True
    return (module, name) == ("_codecs", "encode")


class ArrayUnpickler(pickle.Unpickler):
    """Reads numpy's arrays and numbers in Python's own containers, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names as ``module.name``; ``UnpicklingError`` unless numpy needs it for an array."""
        if _allowed(module, name):
            return super().find_class(module, name)
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array")


class _JoblibArray:
    """Stands where joblib writes an array's bytes into the stream, right behind this object."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype


_PythonUnpickler: Any = vars(pickle)["_Unpickler"]
"""The one in C cannot stop to read the bytes of an array."""


class _JoblibUnpickler(_PythonUnpickler):
    """Reads what ``ArrayUnpickler`` reads, and arrays as joblib writes them, uncompressed."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file, encoding="latin1")
        self._stream = file

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names; ``UnpicklingError`` for what is no array."""
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _JoblibArray
        if _allowed(module, name):
            return super().find_class(module, name)
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array")

    def load_build(self) -> None:
        """Give an object its state; put the array that follows in place of joblib's stand-in."""
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self._array(self.stack[-1])

    def _array(self, wrapper: _JoblibArray) -> np.ndarray:
        if wrapper.dtype.hasobject:
            raise pickle.UnpicklingError("holds an array of Python objects")
        if getattr(wrapper, "numpy_array_alignment_bytes", None) is not None:
            self._stream.read(self._stream.read(1)[0])
        size = int(np.prod(wrapper.shape, dtype=np.int64)) * wrapper.dtype.itemsize
        data = self._stream.read(size)
        order = "F" if wrapper.order == "F" else "C"
        return np.frombuffer(bytearray(data), wrapper.dtype).reshape(wrapper.shape, order=order)

    dispatch: ClassVar = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # type: ignore[attr-defined]


def read_arrays(path: Path) -> dict[str, Any]:
    """Return the dictionary of arrays that is pickled at ``path``, by Python or by joblib; ``ArtifactError`` when it
    holds anything else.
    """
    data = path.read_bytes()
    try:
        stream = io.BytesIO(data)
        joblib = b"joblib.numpy_pickle" in data
        stored = _JoblibUnpickler(stream).load() if joblib else ArrayUnpickler(stream, encoding="latin1").load()
    except UNREADABLE as error:
        raise ArtifactError(f"{path}: expected a pickle of plain arrays ({error}); convert it to npz") from error
    if not isinstance(stored, dict):
        raise ArtifactError(f"{path}: expected a pickled dictionary of arrays, got {type(stored).__name__}")
    return stored


def read_object_array(path: Path) -> dict[str, Any]:
    """Return the dictionary that ``np.save`` pickled into an npy; ``ArtifactError`` when it holds anything else."""
    try:
        with path.open("rb") as file:
            major, _ = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            _, _, dtype = header(file)
            if not dtype.hasobject:
                raise ValueError("an array of numbers")
            stored = ArrayUnpickler(file, encoding="latin1").load()
        stored = stored.item() if isinstance(stored, np.ndarray) else stored
    except UNREADABLE as error:
        raise ArtifactError(f"{path}: expected a dictionary that numpy saved ({error})") from error
    if not isinstance(stored, dict):
        raise ArtifactError(f"{path}: expected a dictionary that numpy saved, got {type(stored).__name__}")
    return stored
