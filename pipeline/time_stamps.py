"""Time stamps of files that get them wrong."""

from __future__ import annotations

import numpy as np

_RESTART_S = 1.0
"""Time stamps of neighbouring frames that step back by more than this are a clock that started again (seconds)."""


def repair_times(time_s: np.ndarray, interval_s: float) -> np.ndarray:
    """Return strictly increasing times ``(T)`` s for frames in display order whose stamps ``time_s (T)`` s fail.

    NaN (no stamp) is filled in from the neighbours; where the clock starts again it goes on from the frame before;
    stamps in the wrong order are put in order; frames of equal stamp share the time up to the next one evenly.
    ``interval_s`` is the nominal time between frames.
    """
    index = np.arange(len(time_s))
    known = np.isfinite(time_s)
    if known.sum() < 2:
        return index * interval_s
    anchors, values = index[known], time_s[known]
    times = np.interp(index, anchors, values)
    times[: anchors[0]] -= (anchors[0] - index[: anchors[0]]) * interval_s
    times[anchors[-1] + 1 :] += (index[anchors[-1] + 1 :] - anchors[-1]) * interval_s
    step = np.diff(times)
    times[1:] += np.cumsum(np.where(step < -_RESTART_S, interval_s - step, 0.0))
    distinct, count = np.unique(times, return_counts=True)
    room = np.diff(distinct, append=distinct[-1] + count[-1] * interval_s) / count
    rank = index - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(distinct, count) + rank * np.repeat(room, count)
