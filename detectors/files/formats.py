"""The table of formats: a new one is a class in a module of its own and a line here."""

from __future__ import annotations

from pathlib import Path

from mocap_video.detectors.files.arrays import ArrayFile, ResultsFolder
from mocap_video.detectors.files.base import KeypointFormat, Sightings, Source
from mocap_video.detectors.files.coco import AlphaPose, CocoAnnotations, CocoResults
from mocap_video.detectors.files.layouts import LAYOUTS
from mocap_video.detectors.files.mmpose import MMPosePredictions
from mocap_video.detectors.files.openpose import OpenPoseFolder
from mocap_video.errors import KeypointsError
from mocap_video.skeletons import SKELETONS

FORMATS: dict[str, KeypointFormat] = {
    "npz": ArrayFile(),
    "results": ResultsFolder(),
    "openpose": OpenPoseFolder(),
    "mmpose": MMPosePredictions(),
    "coco": CocoAnnotations(),
    "coco-results": CocoResults(),
    "alphapose": AlphaPose(),
}
"""Formats by the name that ``--format`` takes, in the order in which they are tried."""

LAYOUT_NAMES = tuple(dict.fromkeys([*SKELETONS, *LAYOUTS]))
"""What ``--skeleton`` takes."""


def read_sightings(path: Path, *, kind: str | None = None, layout: str | None = None) -> Sightings:
    """Return what the keypoint file or folder ``path`` says, in the format ``kind`` or the one that it looks like.

    ``layout`` names the joint set where the file does not and its length is not that of one set alone. Raises
    ``KeypointsError``.
    """
    if not path.exists():
        raise KeypointsError(f"{path}: no such file. Check the path.")
    source = Source(path)
    chosen = kind or next((name for name, reader in FORMATS.items() if reader.matches(source)), None)
    if chosen is None:
        known = "; ".join(f"{name}: {reader.expects}" for name, reader in FORMATS.items())
        raise KeypointsError(f"{path}: looks like no format that can be read. Expected one of these. {known}.")
    return FORMATS[chosen].read(source, layout)
