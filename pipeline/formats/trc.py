"""TRC (track row column): markers in metres with +Y up, as OpenSim and Pose2Sim read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.pipeline.formats.base import Take
from mocap_video.pipeline.formats.markers import markers_of


def write_trc(take: Take, path: Path) -> None:
    """Write the markers of ``take``: frame numbers from 1 over the clip, times in seconds from its first frame."""
    markers = markers_of(take)
    frames, count = markers.frames, len(markers.names)
    rate, start, length = f"{frames.rate:.10g}", frames.first + 1, len(frames.row)
    header = [
        ["PathFileType", "4", "(X/Y/Z)", path.name],
        ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames"],
        [rate, rate, str(length), str(count), "m", rate, str(start), str(length)],
        ["Frame#", "Time", *(cell for name in markers.names for cell in (name, "", ""))],
        ["", "", *(f"{axis}{number}" for number in range(1, count + 1) for axis in "XYZ")],
    ]  # fmt: skip
    rows = np.column_stack([np.arange(start, start + length), frames.time_s, markers.places.reshape(length, -1)])
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines("\t".join(cells) + "\n" for cells in [*header, [""]])
        np.savetxt(stream, rows, fmt=["%d", *["%.6f"] * (rows.shape[1] - 1)], delimiter="\t")
