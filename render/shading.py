"""Light on vertices. Bodies have many small triangles, so light computed at the vertices looks as good as per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def _unit(x: float, y: float, z: float) -> np.ndarray:
    v = np.array([x, y, z], np.float32)
    return v / np.linalg.norm(v)


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the inner products ``(N)`` of ``a`` and ``b``, ``(N,3)`` or ``(1,3)``.

    Without BLAS, which starts threads for so little and has them wait for more at a processor's full cost.
    """
    return np.einsum("ij,ij->i", a, np.broadcast_to(b, a.shape))


def _power24(x: np.ndarray) -> np.ndarray:
    """Return ``x`` to the 24th power; products cost a tenth of ``**``."""
    eighth = np.square(np.square(np.square(x)))
    return eighth * eighth * eighth


@dataclass(frozen=True)
class StudioLight:
    """Three-point lighting fixed to the camera (+X right, +Y down, +Z forward); directions ``(3)`` point to the light.

    Diffuse light wraps a little past the terminator, as it does on skin and cloth.
    """

    ambient: float = 0.34
    key: float = 0.62
    fill: float = 0.22
    sheen: float = 0.16
    rim: float = 0.30
    key_direction: tuple[float, float, float] = (-0.55, -0.75, -0.60)
    fill_direction: tuple[float, float, float] = (0.85, 0.05, -0.55)
    wrap: float = 0.25

    def shade(self, colour: np.ndarray, normals: np.ndarray, view: np.ndarray) -> np.ndarray:
        """Return the lit ``(N,3)`` RGB 0..1 of ``colour (3)`` or ``(N,3)``.

        ``normals (N,3)`` and ``view (N,3)`` are unit vectors in the camera frame; ``view`` points to the eye.
        """
        key, fill = _unit(*self.key_direction), _unit(*self.fill_direction)
        lit, filled = (self._wrapped(_dots(normals, light[None])) for light in (key, fill))
        diffuse = self.ambient + self.key * lit + self.fill * filled
        away = 1 - np.clip(_dots(normals, view), 0, 1)
        half = view + key
        cosine = np.clip(_dots(normals, half) / np.sqrt(_dots(half, half)), 0, 1)
        glint = self.sheen * _power24(cosine)
        from_above = np.clip(0.6 - 0.6 * normals[:, 1], 0, 1)
        rim = self.rim * (away * away * away) * from_above
        return np.clip(np.asarray(colour, np.float32) * diffuse[:, None] + (glint + rim)[:, None], 0, 1)

    def _wrapped(self, cosine: np.ndarray) -> np.ndarray:
        return np.clip((cosine + self.wrap) / (1 + self.wrap), 0, None)
