"""A pickle as joblib writes it, uncompressed: each array's bytes stand in the stream behind a stand-in object."""

from __future__ import annotations

import io
import pickle
import sys
from types import ModuleType
from typing import Any

import numpy as np

_ALIGNMENT = 16


class NumpyArrayWrapper:
    """What joblib puts in an array's place."""

    def __init__(self, array: np.ndarray) -> None:
        self.subclass, self.shape, self.order, self.dtype = type(array), array.shape, "C", array.dtype
        self.allow_mmap, self.numpy_array_alignment_bytes = True, _ALIGNMENT


NumpyArrayWrapper.__module__ = "joblib.numpy_pickle"


_PythonPickler: Any = vars(pickle)["_Pickler"]


class _Pickler(_PythonPickler):
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, np.ndarray):
            super().save(obj, save_persistent_id)
            return
        super().save(NumpyArrayWrapper(obj), save_persistent_id)
        self.framer.commit_frame(force=True)
        padding = _ALIGNMENT - (self.stream.tell() + 1) % _ALIGNMENT
        self.stream.write(bytes([padding]) + b"\xff" * padding + np.ascontiguousarray(obj).tobytes())


def joblib_bytes(value: Any) -> bytes:
    """Return ``value`` as ``joblib.dump`` writes it."""
    package, module = ModuleType("joblib"), ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = NumpyArrayWrapper  # type: ignore[attr-defined]
    sys.modules.update({"joblib": package, "joblib.numpy_pickle": module})
    try:
        stream = io.BytesIO()
        pickler = _Pickler(stream, protocol=4)
        pickler.stream = stream
        pickler.dump(value)
        return stream.getvalue()
    finally:
        del sys.modules["joblib"], sys.modules["joblib.numpy_pickle"]
