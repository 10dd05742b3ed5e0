"""Marks whose places are known by the rules of the game: courts and pitches in metres.

The site frame of a court: origin at its centre on the floor, +x along its length from end A to end B, +y across to the
left as one looks from A to B, +z up. Lines are taken at their outer edges where the rules measure them so.
"""

from __future__ import annotations

from collections.abc import Callable

from mocap_video.errors import ConfigError

Marks = dict[str, tuple[float, float, float]]
"""Places (x, y, z) m by name, in the order in which one would click them."""


def _mirrored(name: str, x: float, y: float, z: float = 0.0) -> Marks:
    """Return the four marks at (-+x, +-y): both ends, left and right."""
    return {
        f"{name} {end} {side}": (sx * x, sy * y, z)
        for end, sx in (("A", -1.0), ("B", 1.0))
        for side, sy in (("left", 1.0), ("right", -1.0))
    }


def _middle(name: str, y: float, z: float = 0.0) -> Marks:
    return {f"{name} left": (0.0, y, z), f"{name} right": (0.0, -y, z)}


def _ends(name: str, x: float, z: float = 0.0) -> Marks:
    return {f"{name} A": (-x, 0.0, z), f"{name} B": (x, 0.0, z)}


def _tennis() -> Marks:
    return {
        **_mirrored("doubles corner", 11.885, 5.485),
        **_mirrored("singles corner", 11.885, 4.115),
        **_mirrored("service line", 6.40, 4.115),
        **_ends("service centre", 6.40),
        **_middle("net post top", 6.399, 1.07),
    }


def _badminton() -> Marks:
    return {
        **_mirrored("doubles corner", 6.70, 3.05),
        **_mirrored("singles corner", 6.70, 2.59),
        **_mirrored("short service line", 1.98, 3.05),
        **_ends("service centre", 1.98),
        **_middle("net post top", 3.05, 1.55),
    }


def _volleyball() -> Marks:
    return {
        **_mirrored("corner", 9.0, 4.5),
        **_mirrored("attack line", 3.0, 4.5),
        **_middle("centre line", 4.5),
    }


def _basketball() -> Marks:
    return {
        **_mirrored("corner", 14.0, 7.5),
        **_middle("centre line", 7.5),
        **_mirrored("key at end line", 14.0, 2.45),
        **_mirrored("free-throw line", 8.2, 2.45),
        **_mirrored("backboard lower corner", 12.8, 0.90, 2.90),
        **_ends("centre circle", 1.80),
    }


def _handball() -> Marks:
    return {
        **_mirrored("corner", 20.0, 10.0),
        **_middle("centre line", 10.0),
        **_mirrored("goal post foot", 20.0, 1.5),
        **_mirrored("goal post top", 20.0, 1.5, 2.0),
        **_ends("7 m line", 13.0),
    }


def _football() -> Marks:
    return {
        **_mirrored("corner", 52.5, 34.0),
        **_middle("halfway line", 34.0),
        **_mirrored("penalty area corner", 36.0, 20.16),
        **_mirrored("penalty area at goal line", 52.5, 20.16),
        **_mirrored("goal area corner", 47.0, 9.16),
        **_mirrored("goal post foot", 52.5, 3.66),
        **_mirrored("goal post top", 52.5, 3.66, 2.44),
        **_ends("penalty spot", 41.5),
        **_middle("centre circle", 9.15),
    }


COURTS: dict[str, Callable[[], Marks]] = {
    "badminton": _badminton,
    "basketball": _basketball,
    "football": _football,
    "futsal": _handball,
    "handball": _handball,
    "tennis": _tennis,
    "volleyball": _volleyball,
}
"""Tennis (ITF), badminton (BWF), volleyball (FIVB), basketball (FIBA), handball (IHF) and futsal of 40 x 20 m, football
of 105 x 68 m."""


def court_marks(name: str) -> Marks:
    """Return the marks of the court called ``name``, or of the rectangle ``WxH`` in metres (origin at its corner A)."""
    if name in COURTS:
        return COURTS[name]()
    width, cross, height = name.partition("x")
    try:
        w, h = float(width), float(height)
    except ValueError:
        w = h = 0.0
    if not cross or not (0.05 <= w <= 500 and 0.05 <= h <= 500):
        raise ConfigError(
            f"court {name!r}: expected one of {', '.join(COURTS)}, or the sides of a rectangle in metres such as 4x2.5."
        )
    return {
        "corner A (origin)": (0.0, 0.0, 0.0),
        f"corner B ({w:g} m along x from A)": (w, 0.0, 0.0),
        "corner C (opposite A)": (w, h, 0.0),
        f"corner D ({h:g} m along y from A)": (0.0, h, 0.0),
    }
