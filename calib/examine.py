"""Does a calibration look right? What it claims in words, and what the people seen say to it.

``checks`` refuses what cannot be; this looks for what can be and is still wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mocap_video.calib import points, straight
from mocap_video.calib.accuracy import RANGES_M, altered, pixels_ahead
from mocap_video.calib.checks import summarize
from mocap_video.calib.upright import STATURE_M, STATURE_SPREAD_M, Rulers, UprightViews, measure
from mocap_video.types import Calibration

logger = logging.getLogger(__name__)

_FEWEST = 5
"""Fewer sightings than this say nothing."""

_MANY_PEOPLE, _LONG_S = 3, 10.0
"""So many people, or views over so many seconds in all, are beyond one person's posture."""

_LEAN_DEG = 6.0
_TREND = 0.06
_TREND_SIGMA = 3.0
_SCATTER = 0.035
"""Standard deviation of a single measured stature, relative: gait, posture and keypoints."""

_TWIN_PATCH_M = 2.0
_TWIN_PX = 2.0
_BULGE, _BULGE_SIGMA = 0.01, 4.0
"""Distortion that is left in the corners, in half diagonals of the picture, and in standard deviations."""

_UPRIGHT_EDGES_DEG = 3.0
_HUMAN_M = (1.2, 2.2)
_HIGH_M = 40.0
_ADULT_M = (1.50, 1.92)


@dataclass(frozen=True)
class Finding:
    """One thing found: ``level`` ok, note, warning, or wrong (the calibration cannot be true); ``text`` says what it is
    and, where something is amiss, what to do.
    """

    level: Literal["ok", "note", "warning", "wrong"]
    topic: str
    text: str


def describe(calibration: Calibration) -> str:
    """Return one line that says what ``calibration`` claims."""
    said = summarize(calibration)
    tilt = f"looks {abs(said.tilt_down_deg):.1f} deg {'down' if said.tilt_down_deg >= 0 else 'up'}"
    horizon = f"the horizon is {_horizon_place(calibration)}"
    return (
        f"calibration: camera {said.height_m:.2f} m above the ground, {tilt}, roll {round(said.roll_deg, 1) + 0.0:.1f} "
        f"deg, field of view {said.hfov_deg:.0f} x {said.vfov_deg:.0f} deg; {horizon}"
    )


def horizon_row(calibration: Calibration) -> float:
    """Return the image row (px) at which the horizon lies straight ahead; NaN where the lens does not show it."""
    return float(pixels_ahead(calibration, np.array([1e7]))[0, 1])


def _horizon_place(calibration: Calibration) -> str:
    row, height = horizon_row(calibration), calibration.camera.size[1]
    if not np.isfinite(row):
        return "out of the lens's sight"
    if row < 0:
        return f"{-row:.0f} px above the picture"
    if row > height - 1:
        return "below the picture"
    return f"in the picture, {row / height:.0%} from its top"


def examine_view(calibration: Calibration) -> list[Finding]:
    """Return what can be said of ``calibration`` (already accepted by ``checks``) without looking at the picture."""
    return [_view_finding(calibration), _range_finding(calibration), _twin_finding(calibration)]


def warnings_of(findings: Sequence[Finding]) -> list[str]:
    """Return what of ``findings`` looks or is wrong, in words."""
    return [finding.text for finding in findings if finding.level in ("warning", "wrong")]


def warn_of_view(calibration: Calibration) -> None:
    """Log what looks wrong with ``calibration`` before anything is computed from it."""
    for finding in examine_view(calibration):
        if finding.level == "warning":
            logger.warning("calibration: %s See mocap-video calib check.", finding.text)


def _view_finding(calibration: Calibration) -> Finding:
    said = summarize(calibration)
    if said.height_m > _HIGH_M:
        advice = f"{said.height_m:.0f} m above the ground is high for a camera that sees people: are lengths in metres?"
        return Finding("warning", "mount", advice)
    if abs(said.roll_deg) > 8:
        advice = (
            f"{said.roll_deg:.1f} degrees of roll is much for a fixed camera: compare the horizon with the picture."
        )
        return Finding("warning", "mount", advice)
    return Finding("ok", "mount", "Camera above the ground; height, tilt and roll are possible.")


def _range_finding(calibration: Calibration) -> Finding:
    """Say how the ground is resolved: what one pixel is worth at 5, 10 and 20 m."""
    distances = np.array(RANGES_M)
    step = 0.01 * distances
    moved = pixels_ahead(calibration, distances + step) - pixels_ahead(calibration, distances - step)
    cm = 100 * 2 * step / np.maximum(np.linalg.norm(moved, axis=-1), 1e-9)
    worth = ", ".join(f"{c:.1f} cm at {d:.0f} m" for c, d in zip(cm, distances, strict=True) if np.isfinite(c))
    return Finding("note", "resolution", f"One pixel is worth, along the view: {worth}.")


def _twin_finding(calibration: Calibration) -> Finding:
    """Compare with the mirror twin: the other pose that shows a flat patch of ground in nearly the same pixels."""
    twin = points.twin_of(calibration, _TWIN_PATCH_M)
    if twin is None:
        return Finding("ok", "mirror twin", "No second pose shows the ground before the camera in similar pixels.")
    said = summarize(twin.calibration)
    text = (
        f"Its mirror twin ({said.height_m:.2f} m up, {said.tilt_down_deg:.0f} degrees down, roll {said.roll_deg:.0f}) "
        f"shows {_TWIN_PATCH_M:g} m of ground in the middle of the view within {twin.rms_px:.1f} px of this pose."
    )
    if twin.rms_px < _TWIN_PX:
        text += (
            " Marks on so small a patch cannot tell the two apart: the posts in the picture must stand as people do."
        )
        return Finding("note", "mirror twin", text)
    return Finding("ok", "mirror twin", text)


def examine_edges(calibration: Calibration, grey: np.ndarray) -> list[Finding]:
    """Return what long edges of a picture ``grey (H,W)`` uint8 say: whether straight ones stay straight, and whether
    those that seem to be upright are.
    """
    edges = straight.long_edges(grey, calibration)
    left = straight.left_distortion(edges, calibration.camera)
    if left is None:
        found = [Finding("note", "straight edges", "Too few long straight edges: they say nothing of the lens.")]
    else:
        found = [_bulge_finding(calibration, left)]
    lean = edges.lean_deg[np.isfinite(edges.lean_deg)]
    if len(lean) >= _FEWEST:
        middle, scatter = float(np.median(lean)), float(np.median(np.abs(lean - np.median(lean))))
        text = f"{len(lean)} edges that seem upright stand {abs(middle):.1f} degrees off the claimed vertical (median)."
        if abs(middle) > _UPRIGHT_EDGES_DEG and scatter < abs(middle) / 2:
            text += " If they are posts, walls or doors, roll or tilt is off."
            found.append(Finding("warning", "upright edges", text))
        else:
            found.append(Finding("ok", "upright edges", text))
    return found


def _bulge_finding(calibration: Calibration, left: straight.LeftDistortion) -> Finding:
    half_diagonal = float(np.linalg.norm(calibration.camera.size)) / 2
    told = abs(left.corner_px) > _BULGE_SIGMA * left.spread_px
    if told and abs(left.corner_px) > _BULGE * half_diagonal:
        side = "bulge outwards, as a wide lens makes them" if left.corner_px < 0 else "are bent inwards"
        text = (
            f"{left.edges} long edges {side}: the distortion is off by {abs(left.corner_px):.0f} +- "
            f"{left.spread_px:.0f} px in the corners. Calibrate the lens with from-board and give it by --lens."
        )
        return Finding("warning", "straight edges", text)
    text = (
        f"{left.edges} long edges show no distortion beyond the lens's: {abs(left.corner_px):.0f} +- "
        f"{left.spread_px:.0f} px in the corners."
    )
    return Finding("ok" if left.spread_px < _BULGE * half_diagonal else "note", "straight edges", text)


def examine_people(calibration: Calibration, sightings: UprightViews) -> list[Finding]:
    """Return what the people seen say: whether they stand upright, are of human height, and equally tall everywhere."""
    rulers = measure(calibration, sightings)
    seen = np.isfinite(rulers.stature) & (rulers.stature > 0.3) & (rulers.stature < 6)
    if seen.sum() < _FEWEST:
        if len(sightings) >= _FEWEST:
            return [_off_ground(len(sightings), int(seen.sum()))]
        return [Finding("note", "people", "Too few people seen upright and whole: their heights say nothing.")]
    return [
        _stature_finding(rulers, sightings, seen),
        _weighed(_lean_finding(rulers, seen), sightings),
        _weighed(_trend_finding(calibration, rulers, sightings, seen), sightings),
    ]


def _weighed(finding: Finding, sightings: UprightViews) -> Finding:
    """Return a warning from few people in a short time as a note: they may simply bend."""
    seen_s = sum(float(np.ptp(sightings.time_s[sightings.person == number])) for number in np.unique(sightings.person))
    if finding.level != "warning" or sightings.people >= _MANY_PEOPLE or seen_s >= _LONG_S:
        return finding
    return replace(finding, level="note", text=f"{finding.text} Or people bend: so few of them are no proof.")


def _off_ground(count: int, seen: int) -> Finding:
    text = (
        f"Of {count} views of upright people only {seen} have feet on the ground that the calibration claims: it puts "
        "the horizon too low or has another ground. Compare the grid in the picture with the floor."
    )
    return Finding("wrong", "people", text)


def _stature_finding(rulers: Rulers, sightings: UprightViews, seen: np.ndarray) -> Finding:
    numbers = np.unique(sightings.person[seen])
    each = np.array([np.median(rulers.stature[seen & (sightings.person == number)]) for number in numbers])
    mean, spread = float(each.mean()), float(rulers.stature[seen].std())
    people = "1 person" if len(each) == 1 else f"{len(each)} people"
    text = f"{people} seen upright {seen.sum()} times, {mean:.2f} m tall on average (spread over all {spread:.2f} m)."
    change = STATURE_M / mean - 1
    advice = (
        f" If they are ordinary adults, all lengths should be {abs(change):.0%} "
        f"{'larger' if change > 0 else 'smaller'}: check height_m, or t and its units."
    )
    if not _HUMAN_M[0] <= mean <= _HUMAN_M[1]:
        return Finding("wrong", "people's height", text + advice)
    if not _ADULT_M[0] <= mean <= _ADULT_M[1] or abs(mean - STATURE_M) > 3 * STATURE_SPREAD_M / np.sqrt(len(each)):
        return Finding("warning", "people's height", text + advice)
    return Finding("ok", "people's height", text)


def _lean_finding(rulers: Rulers, seen: np.ndarray) -> Finding:
    lean = float(np.median(rulers.lean_deg[seen]))
    if abs(lean) > 45:
        text = f"People stand {abs(lean):.0f} degrees off the claimed vertical: the up axis or the picture is turned."
        return Finding("wrong", "upright", text)
    if abs(lean) > _LEAN_DEG:
        side = "right" if lean > 0 else "left"
        text = f"People lean {abs(lean):.1f} degrees to the {side} of the claimed vertical: roll or tilt is off."
        return Finding("warning", "upright", text)
    return Finding("ok", "upright", f"People stand along the calibration's vertical to {abs(lean):.1f} degrees.")


def _trend_finding(calibration: Calibration, rulers: Rulers, sightings: UprightViews, seen: np.ndarray) -> Finding:
    """Fit the logarithm of stature against that of distance, each person by themselves, and see what is common."""
    distance = np.log(np.linalg.norm(rulers.place[seen], axis=-1))
    tall, person = np.log(rulers.stature[seen]), sightings.person[seen]
    for number in np.unique(person):
        own = person == number
        distance[own] -= distance[own].mean()
        tall[own] -= np.median(tall[own])
    spread = float((distance**2).sum())
    reach = float(np.ptp(np.quantile(distance, [0.05, 0.95])))
    if reach < 0.15:
        return Finding("note", "trend", "People keep to one distance: whether tilt and focal length agree is not seen.")
    slope = float((distance * tall).sum()) / spread
    sigma = _SCATTER / np.sqrt(spread)
    change = slope * reach
    text = f"Walking from {np.exp(-reach / 2):.2f} to {np.exp(reach / 2):.2f} of their mean distance, people seem to "
    if abs(change) < _TREND or abs(slope) < _TREND_SIGMA * sigma:
        return Finding("ok", "trend", text + f"keep their height to {abs(change):.0%}.")
    tilt = _levelling_tilt(calibration, sightings, slope)
    advice = "" if tilt is None else f" {tilt:+.1f} degrees of tilt would level it; so would another focal length."
    verb = "grow" if change > 0 else "shrink"
    return Finding("warning", "trend", text + f"{verb} by {abs(change):.0%}: tilt or focal length is wrong.{advice}")


def _levelling_tilt(calibration: Calibration, sightings: UprightViews, slope: float) -> float | None:
    """Return the change of tilt (degrees) nearest to none at which people are equally tall near and far, if any is."""
    step = np.radians(0.25)
    for count in range(1, 41):
        for sign in (1, -1):
            other = measure(altered(calibration, tilt_down=sign * count * step), sightings)
            seen = np.isfinite(other.stature) & (other.stature > 0.3)
            distance = np.log(np.linalg.norm(other.place[seen], axis=-1))
            if seen.sum() >= _FEWEST and np.polyfit(distance, np.log(other.stature[seen]), 1)[0] * slope <= 0:
                return float(np.degrees(sign * count * step))
    return None
