"""C3D: markers in millimetres with +Y up. The one place that imports ezc3d (extra ``export``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.errors import InputError
from mocap_video.optional import require
from mocap_video.pipeline.formats.base import Need, Take
from mocap_video.pipeline.formats.markers import markers_of

NEEDS = Need("ezc3d", "export")
_MOST_FRAMES = 65535
"""The format counts frames in 16 bits."""


def write_c3d(take: Take, path: Path) -> None:
    """Write the markers of ``take``.

    Frames are numbered from 1 over the clip; from 1 over the person where those numbers would pass 65,535.
    ``InputError`` for a person with more frames than that.
    """
    ezc3d = require(NEEDS.module, NEEDS.extra)
    markers = markers_of(take)
    length = len(markers.frames.row)
    if length > _MOST_FRAMES:
        raise InputError(
            f"{take.source}: a C3D holds at most {_MOST_FRAMES} frames, got {length}. Export trc, which holds any "
            "number, or run a part of the clip with --start and --end."
        )
    file = ezc3d.c3d()
    points = file["parameters"]["POINT"]
    points["RATE"]["value"] = [markers.frames.rate]
    points["UNITS"]["value"] = ["mm"]
    points["LABELS"]["value"] = list(markers.names)
    for axis in "XY":
        file.add_parameter("POINT", f"{axis}_SCREEN", [f"+{axis}"])
    fits = markers.frames.first + length <= _MOST_FRAMES
    file["header"]["points"]["first_frame"] = markers.frames.first if fits else 0
    homogeneous = np.ones((4, len(markers.names), length))
    homogeneous[:3] = 1e3 * markers.places.transpose(2, 1, 0)
    file["data"]["points"] = homogeneous
    with atomic_write(path) as partial:
        file.write(str(partial))
