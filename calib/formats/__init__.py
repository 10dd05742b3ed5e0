"""Calibrations of other tools: one module for each format, a table of them, and the choice by content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mocap_video.calib.formats import colmap, easymocap, fspy, kalibr, opencv, pose2sim, ros, tsai
from mocap_video.calib.formats.base import Foreign
from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.types import Calibration

__all__ = ["FORMATS", "WRITERS", "Foreign", "Format", "read_foreign"]


@dataclass(frozen=True)
class Format:
    """How a format is told (``fits`` looks at name and content, and never fails) and read; its default ``up`` axis."""

    fits: Callable[[Path], bool]
    read: Callable[[Path], list[Foreign]]
    up: str = "z"


FORMATS = {
    "opencv": Format(opencv.fits, opencv.read),
    "ros": Format(ros.fits, ros.read),
    "kalibr": Format(kalibr.fits, kalibr.read),
    "colmap": Format(colmap.fits, colmap.read),
    "pose2sim": Format(pose2sim.fits, pose2sim.read),
    "easymocap": Format(easymocap.fits, easymocap.read),
    "fspy": Format(fspy.fits, fspy.read),
    "tsai": Format(tsai.fits, tsai.read),
}
"""Every format that can be read, by name. Order matters: the first that fits is taken."""

WRITERS: dict[str, Callable[[Calibration, Path], None]] = {"opencv": opencv.write, "pose2sim": pose2sim.write}
"""Every format that can be written, by name."""


def read_foreign(path: Path, name: str | None = None) -> tuple[str, list[Foreign]]:
    """Return the format (``name``, or what the content looks like) and the cameras of the file or folder ``path``."""
    if not path.exists():
        raise CalibrationError(f"{path}: no such file or folder. Check the path.")
    if name is None:
        name = next((known for known, form in FORMATS.items() if form.fits(path)), None)
    if name is None:
        raise CalibrationError(
            f"{path}: expected a calibration in one of the formats {', '.join(FORMATS)}, got none of them. "
            "Say which with --format."
        )
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: expected one of {', '.join(FORMATS)}.")
    cameras = FORMATS[name].read(path)
    if not cameras:
        raise CalibrationError(f"{path}: expected at least one camera in this {name} calibration, got none.")
    return name, cameras
