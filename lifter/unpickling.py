"""Pickles of plain arrays, read without running anything they name: only for files that a user says to trust."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from mocap_video.errors import ArtifactError

UNREADABLE = (
    pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, ImportError, ValueError, IndexError,
)  # fmt: skip
"""What a pickle that is broken, or that holds something else, raises."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads numpy's arrays and numbers in Python's own containers, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names as ``module.name``; ``UnpicklingError`` unless numpy needs it for an array."""
        if module.partition(".")[0] == "numpy" and name in ("ndarray", "dtype", "_reconstruct", "scalar"):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array")


def read_arrays(path: Path) -> dict[str, Any]:
    """Return the dictionary of arrays that is pickled at ``path``; ``ArtifactError`` when it holds anything else."""
    try:
        with path.open("rb") as file:
            stored = ArrayUnpickler(file, encoding="latin1").load()
    except UNREADABLE as error:
        raise ArtifactError(f"{path}: expected a pickle of plain arrays ({error}); convert it to npz") from error
    if not isinstance(stored, dict):
        raise ArtifactError(f"{path}: expected a pickled dictionary of arrays, got {type(stored).__name__}")
    return stored
