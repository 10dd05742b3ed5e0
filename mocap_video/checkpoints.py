"""Checkpoints of mmengine's Runner, read without trusting them: ``weights_only`` with a short allow-list."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from numpy._core.multiarray import _reconstruct, scalar


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
