"""Models that stay loaded between clips: off by default, on in a process that runs many."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Model = TypeVar("Model")

_kept: list[dict[Hashable, Any]] = []
"""What the blocks of ``models_kept`` hold, the innermost last."""


@contextlib.contextmanager
def models_kept() -> Iterator[None]:
    """Have every function marked ``keepable`` answer the same arguments with the same model until the block ends.

    Files that change meanwhile are not read again.
    """
    _kept.append({})
    try:
        yield
    finally:
        _kept.pop()


def keepable(load: Callable[P, Model]) -> Callable[P, Model]:
    """Mark ``load``, whose arguments are hashable and whose model holds no state of the clip it was used on."""

    @functools.wraps(load)
    def load_or_keep(*args: P.args, **kwargs: P.kwargs) -> Model:
        if not _kept:
            return load(*args, **kwargs)
        key = (load.__module__, load.__qualname__, args, tuple(sorted(kwargs.items())))
        if key not in _kept[-1]:
            _kept[-1][key] = load(*args, **kwargs)
        return _kept[-1][key]

    return load_or_keep
