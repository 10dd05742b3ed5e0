"""``calib from-people``: from people who walk before the camera to a cam.yaml."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.calib.accuracy import RANGES_M
from mocap_video.calib.examine import describe, examine_people, examine_view, warnings_of
from mocap_video.calib.files import write_calibration
from mocap_video.calib.mount import Mount, pinhole
from mocap_video.calib.people import PeopleFit, calibrate_from_people
from mocap_video.calib.upright import STATURE_M, STATURE_SPREAD_M, UprightViews
from mocap_video.errors import CalibrationError
from mocap_video.pipeline.calibrate import Made, chosen_lens, see_people, write_proof
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.video import probe
from mocap_video.types import Camera

_GUESS = Mount(3.0, float(np.radians(18)), 0.0)
_KNOWN_SPREAD_M = 0.03
"""Shoes, hair and posture, when the user says how tall people are."""


def from_people(
    clip: Path,
    output: Path,
    progress: Progress,
    *,
    height_m: float | None = None,
    lens: Path | None = None,
    hfov_deg: float | None = None,
) -> Made:
    """Write the cam.yaml of ``clip`` to ``output``, and the proof picture beside it.

    People are found twice: with a guessed camera, then with the one that they gave.
    """
    video = probe(clip)
    optics = chosen_lens(video, lens, hfov_deg)
    rough = _GUESS.calibration(optics or pinhole(video.size, 0.75 * max(video.size)))
    try:
        rough = _fitted(see_people(clip, video, rough, progress), video.size, optics, height_m).calibration
    except CalibrationError as error:
        progress.note(f"the first look is not enough ({error}); looking again")
    sightings = see_people(clip, video, rough, progress)
    fit = _fitted(sightings, video.size, optics, height_m)
    write_calibration(fit.calibration, output)
    proof = output.with_suffix(".png")
    findings = [*examine_view(fit.calibration), *examine_people(fit.calibration, sightings)]
    write_proof(clip, fit.calibration, proof, findings, sightings)
    return Made(
        path=output,
        claim=describe(fit.calibration),
        notes=(_seen_text(fit), *fit.uncertainty.as_text().splitlines()),
        warnings=(*fit.warnings(), *warnings_of(findings)),
        proof=proof,
        details={"uncertainty": vars(fit.uncertainty), "ranges_m": RANGES_M, "statures_m": fit.stature.tolist()},
    )


def _fitted(sightings: UprightViews, size: tuple[int, int], lens: Camera | None, height_m: float | None) -> PeopleFit:
    known = height_m is not None
    return calibrate_from_people(
        sightings,
        size,
        lens,
        height_m=height_m if known else STATURE_M,
        height_spread_m=_KNOWN_SPREAD_M if known else STATURE_SPREAD_M,
    )


def _seen_text(fit: PeopleFit) -> str:
    tall = ", ".join(f"{s:.2f}" for s in fit.stature[:12])
    count = len(fit.stature)
    people = f"{count} {'person' if count == 1 else 'people'}"
    return f"from {fit.used} of {fit.sightings} views of {people}, {tall} m tall"
