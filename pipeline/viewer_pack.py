"""Values as text for a page: colours, and numbers in base64, of 16 bits with a scale where that is fine enough."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from mocap_video.render.mesh import person_colour

_MISSING = {"i1": -128, "i2": -32768}


@dataclass(frozen=True)
class Packed:
    """``data``: base64 of the numbers in row-major order, little-endian, of numpy's ``kind``; times ``scale`` they are
    the values. The lowest number of i1 and i2 stands for NaN.
    """

    kind: str
    data: str
    scale: float = 1.0


def pack(values: np.ndarray, kind: str) -> Packed:
    """Return ``values`` as numbers of ``kind`` (f4, f8, u1, u2 or u4)."""
    return Packed(kind, base64.b64encode(np.ascontiguousarray(values, f"<{kind}").tobytes()).decode())


def pack_scaled(values: np.ndarray, kind: str) -> Packed:
    """Return ``values`` in 8 or 16 bits (``kind`` i1 or i2), exact to 1/254 or 1/65534 of the largest; NaN is kept."""
    missing = _MISSING[kind]
    finite = np.isfinite(values)
    largest = float(np.abs(values[finite]).max(initial=0.0))
    scale = largest / -(missing + 1) or 1.0
    numbers = np.where(finite, np.rint(np.where(finite, values, 0.0) / scale), missing)
    packed = pack(numbers, kind)
    return Packed(kind, packed.data, scale)


def hex_colour(person: int) -> str:
    """Return the colour of a person's number as #rrggbb, the one of the videos."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in person_colour(person))
