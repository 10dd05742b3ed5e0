"""Focal lengths in pixels from what data sheets and recordings say of a camera."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np

from mocap_video.errors import ConfigError

SENSOR_WIDTH_MM = {
    "1/4": 3.60,
    "1/3.2": 4.54,
    "1/3": 4.80,
    "1/2.9": 5.14,
    "1/2.8": 5.37,
    "1/2.7": 5.37,
    "1/2.5": 5.76,
    "1/2.3": 6.17,
    "1/2": 6.40,
    "1/1.8": 7.18,
    "1/1.7": 7.60,
    "2/3": 8.80,
    "1": 13.20,
    "4/3": 17.30,
    "aps-c": 23.50,
    "full-frame": 36.00,
}
"""Nominal widths of sensor formats, mm. Recording modes may use less of the sensor."""

WIDTH_OF_35MM = 34.6
"""35 mm equivalents are of the diagonal, 43.27 mm; a phone's 4:3 sensor of that diagonal is so many mm wide, and its
video uses the whole width."""

EQUIVALENT_MM = {
    "iPhone X": 28.0,
    "iPhone XS": 26.0,
    "iPhone 11": 26.0,
    "iPhone 11 Pro": 26.0,
    "iPhone 12": 26.0,
    "iPhone 12 Pro": 26.0,
    "iPhone 13": 26.0,
    "iPhone 13 Pro": 26.0,
    "iPhone 14": 26.0,
    "iPhone 14 Pro": 24.0,
    "iPhone 15": 26.0,
    "iPhone 15 Pro": 24.0,
}
"""35 mm equivalents of phones' main cameras, mm, as their makers state them; stabilised video shows 5 to 15 % less."""

_EQUIVALENT_TAGS = ("com.apple.quicktime.camera.focal_length.35mm_equivalent", "focallengthin35mmfilm")
_MODEL_TAGS = ("com.apple.quicktime.model", "com.android.model", "model")


def focal_from_hfov(size: tuple[int, int], hfov_deg: float) -> float:
    """Return the focal length (px) of an ideal camera that shows ``hfov_deg`` across an image of ``size`` (W, H)."""
    return size[0] / 2 / float(np.tan(np.radians(hfov_deg) / 2))


def focal_from_equivalent(size: tuple[int, int], equivalent_mm: float) -> float:
    """Return the focal length (px) of a 35 mm equivalent ``equivalent_mm``; the image's longer side is the sensor's."""
    return max(size) * equivalent_mm / WIDTH_OF_35MM


def focal_from_sensor(size: tuple[int, int], sensor: str, focal_mm: float) -> float:
    """Return the focal length (px) of a lens of ``focal_mm`` on ``sensor``: a format's name, or its width in mm."""
    width = SENSOR_WIDTH_MM.get(sensor.lower().rstrip('"'))
    if width is None:
        try:
            width = float(sensor)
        except ValueError:
            width = 0.0
    if not 0.5 < width < 100:
        raise ConfigError(
            f"--sensor {sensor}: expected a width in mm or one of {', '.join(SENSOR_WIDTH_MM)}. See the data sheet."
        )
    return max(size) * focal_mm / width


def equivalent_of_model(model: str) -> float:
    """Return the 35 mm equivalent (mm) of the camera called ``model``; ``ConfigError`` for one that is not listed."""
    by_name = {name.lower(): mm for name, mm in EQUIVALENT_MM.items()}
    if model.lower() in by_name:
        return by_name[model.lower()]
    close = difflib.get_close_matches(model, EQUIVALENT_MM, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"--camera {model}: not listed. {hint}Give --hfov-deg, --focal-35mm (its data sheet says), or --sensor with "
        f"--focal-mm. Listed are {', '.join(EQUIVALENT_MM)}."
    )


def equivalent_from_tags(tags: Mapping[str, str]) -> tuple[float, str] | None:
    """Return the 35 mm equivalent (mm) that a recording's ``tags`` give and where it stands; None if they give none."""
    lower = {key.lower(): value for key, value in tags.items()}
    for key in _EQUIVALENT_TAGS:
        try:
            value = float(lower.get(key, "nan"))
        except ValueError:
            continue
        if 5 <= value <= 500:
            return value, f"its metadata say {value:g} mm (35 mm equivalent)"
    for key in _MODEL_TAGS:
        name = lower.get(key, "")
        if name in EQUIVALENT_MM:
            return EQUIVALENT_MM[name], f"its metadata say {name}, {EQUIVALENT_MM[name]:g} mm (35 mm equivalent)"
    return None
