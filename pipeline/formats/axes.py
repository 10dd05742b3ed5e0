"""From the site world, whose up axis may be any, to the axes that other programs expect. The origin stays."""

from __future__ import annotations

import numpy as np

_R_ZUP_FROM_YUP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""What Blender does to a file with +Y up: (x, y, z) becomes (x, -z, y)."""


def R_yup_from_site(up: np.ndarray) -> np.ndarray:  # noqa: N802 - a rotation, named by its frames
    """Return the rotation ``(3,3)`` that brings the site's unit vector ``up (3)`` to +Y by the smallest angle.

    A site with +Z up turns about X: (x, y, z) becomes (x, z, -y). One with +Y up stays as it is; +Y down turns half
    round about X.
    """
    x, y, z = up
    if y < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    axis = np.array([-z, 0.0, x])  # up x (0, 1, 0)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + y)


def R_zup_from_site(up: np.ndarray) -> np.ndarray:  # noqa: N802 - a rotation, named by its frames
    """Return the rotation ``(3,3)`` that brings ``up (3)`` to +Z: the one to +Y, then what Blender does to that.

    A site with +Z up stays as it is.
    """
    return _R_ZUP_FROM_YUP @ R_yup_from_site(up)
