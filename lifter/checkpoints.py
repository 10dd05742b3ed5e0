"""Training checkpoints of mmengine's Runner, read without trusting them: weights_only with a short allow-list."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from numpy._core.multiarray import _reconstruct, scalar

from mocap_video.errors import ArtifactError, MissingAsset


def _buffer_method(owner: object, name: str) -> Callable[..., object]:
    """Stand in for ``getattr`` in a checkpoint: only public methods of the log buffer may be named."""
    if owner is HistoryBuffer and not name.startswith("_"):
        return getattr(HistoryBuffer, name)
    raise AttributeError(f"not allowed in a checkpoint: getattr({owner!r}, {name!r})")


def allow_runner_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read the Runner's log buffers and numpy numbers; nothing that runs code."""
    dtypes = [type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8", "u1", "b1")]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.ndarray,
            np.dtype,
            _reconstruct,
            scalar,
            (_reconstruct, "numpy.core.multiarray._reconstruct"),
            (scalar, "numpy.core.multiarray.scalar"),
            (_buffer_method, "builtins.getattr"),
            *dtypes,
        ]
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of our training to the CPU. Raises ``MissingAsset`` or ``ArtifactError``."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no checkpoint there")
    allow_runner_checkpoints()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        stored["meta"]["training"], stored["state_dict"]
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise ArtifactError(f"{path}: expected a checkpoint of the lifter's training ({error})") from error
    return stored
