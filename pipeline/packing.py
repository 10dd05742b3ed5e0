"""Frozen dataclasses to named arrays and back, so that a stage's values can lie in the ``Store`` without pickles."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

Value = TypeVar("Value")
_SCALARS = (bool, int, float, str)


def pack(values: Sequence[object]) -> dict[str, np.ndarray]:
    """Return the arrays of several dataclasses, named ``<position>/<field>/<field of the field>``."""
    arrays: dict[str, np.ndarray] = {"count": np.asarray(len(values))}
    for position, value in enumerate(values):
        _pack_into(arrays, str(position), value)
    return arrays


def unpack(kind: type[Value], arrays: Mapping[str, np.ndarray]) -> list[Value]:
    """Return the dataclasses of ``kind`` that ``pack`` turned into ``arrays``; ``KeyError`` if a field is not there."""
    return [_unpack(kind, arrays, str(position)) for position in range(int(arrays["count"]))]


def _pack_into(arrays: dict[str, np.ndarray], name: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        arrays[name] = value
    elif isinstance(value, _SCALARS):
        arrays[name] = np.asarray(value)
    elif isinstance(value, tuple):
        arrays[f"{name}/count"] = np.asarray(len(value))
        for position, item in enumerate(value):
            _pack_into(arrays, f"{name}/{position}", item)
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            _pack_into(arrays, f"{name}/{part.name}", getattr(value, part.name))
    else:
        raise TypeError(
            f"pack: {name}: expected an array, a number, a string, a tuple or a dataclass, got {type(value).__name__}"
        )


def _unpack(kind: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        parts = {
            part.name: _unpack(hints[part.name], arrays, f"{name}/{part.name}") for part in dataclasses.fields(kind)
        }
        return typing.cast(Any, kind)(**parts)
    if typing.get_origin(kind) is tuple:
        item, _ = typing.get_args(kind)  # tuple[item, ...]
        return tuple(_unpack(item, arrays, f"{name}/{position}") for position in range(int(arrays[f"{name}/count"])))
    return arrays[name] if kind is np.ndarray else kind(arrays[name].item())
