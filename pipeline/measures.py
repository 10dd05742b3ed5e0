"""What is told of a person frame by frame: speed and foot contact. Plain functions of arrays."""

from __future__ import annotations

import numpy as np

from mocap_video.skeletons import COCO17
from mocap_video.types import GroundPlane

SPEED_WINDOW_S = 0.3
CONTACT_WINDOW_S = 0.2
REACH_S = 0.5 * max(SPEED_WINDOW_S, CONTACT_WINDOW_S) + 1e-3
"""Frames farther away than this, s, do not matter to what is told of a frame, but for neighbours in a slow video: so
much of a track is read about a piece of it.
"""

CONTACT_HEIGHT_M = 0.15
CONTACT_SPEED_M_S = 0.5

_ANKLES = (COCO17.index("left_ankle"), COCO17.index("right_ankle"))


def velocity(positions: np.ndarray, time_s: np.ndarray, window_s: float) -> np.ndarray:
    """Return the velocity ``(T,...)`` m/s of ``positions (T,...)`` m at ``time_s (T)`` s.

    It is the slope of a straight line fitted to the frames within half of ``window_s`` on either side, so noise is
    averaged and a steady motion keeps its speed up to both ends and over uneven frames. A slow video widens the window
    to the neighbouring frames. NaN for a frame that stands alone in its window.
    """
    half = window_s / 2
    if len(time_s) > 1:
        half = max(half, 1.5 * float(np.median(np.diff(time_s))))
    first = np.searchsorted(time_s, time_s - half, "left")
    count = np.searchsorted(time_s, time_s + half, "right") - first
    flat = positions.reshape(len(time_s), -1)
    sum_t = sum_tt = np.zeros(len(time_s))
    sum_x = sum_tx = np.zeros(flat.shape)
    for step in range(int(count.max(initial=0))):  # sums over the window, one frame of it at a time
        inside = step < count
        frame = np.where(inside, first + step, 0)
        t = np.where(inside, time_s[frame] - time_s, 0.0)
        x = np.where(inside[:, None], flat[frame] - flat, 0.0)
        sum_t, sum_tt = sum_t + t, sum_tt + t * t
        sum_x, sum_tx = sum_x + x, sum_tx + t[:, None] * x
    spread = count * sum_tt - sum_t**2
    slope = count[:, None] * sum_tx - sum_t[:, None] * sum_x
    alone = count < 2
    slope = np.where(alone[:, None], np.nan, slope / np.where(alone, 1.0, spread)[:, None])
    return slope.reshape(positions.shape)


def ground_speed(root: np.ndarray, time_s: np.ndarray, ground: GroundPlane) -> np.ndarray:
    """Return the speed along the ground ``(T)`` m/s of ``root (T,3)`` m, site world, over ``SPEED_WINDOW_S``."""
    v = velocity(root, time_s, SPEED_WINDOW_S)
    along = v - (v @ ground.normal)[:, None] * ground.normal
    return np.linalg.norm(along, axis=-1)


def foot_contact(joints: np.ndarray, time_s: np.ndarray, ground: GroundPlane) -> np.ndarray:
    """Return which feet stand on the ground ``(T,2)`` bool, left and right, from COCO-17 ``joints (T,17,3)`` m.

    A foot stands while its ankle is less than ``CONTACT_HEIGHT_M`` above the ground (an ankle's joint lies about 9 cm
    over the sole) and slower than ``CONTACT_SPEED_M_S``, averaged over ``CONTACT_WINDOW_S``. Stairs and kerbs are not
    ground.
    """
    ankles = joints[:, _ANKLES]
    speed = np.linalg.norm(velocity(ankles, time_s, CONTACT_WINDOW_S), axis=-1)
    return (ground.height_of(ankles) < CONTACT_HEIGHT_M) & (speed < CONTACT_SPEED_M_S)
