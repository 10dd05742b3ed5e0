"""Values as JSON that every parser takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np


def strict_json(value: object) -> str:
    """Return ``value`` as JSON that every parser takes: NaN and infinity become null.

    Takes dataclasses, mappings, sequences, numpy values, paths and fractions besides JSON's own. ``<`` is written as an
    escape, so the text may stand inside a page's script element whatever a name contains.
    """
    text = json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, indent=2)
    text = text.encode("utf-8", "replace").decode()  # a file's name may be no UTF-8
    return text.replace("<", "\\u003c") + "\n"


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (Path, Fraction)):
        return str(value)
    raise TypeError(f"strict_json: no JSON for {type(value).__name__}")
