"""``calib from-mount``: from a tape, a level and what is known of the lens to a cam.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mocap_video.calib import optics
from mocap_video.calib.accuracy import Uncertainty, uncertainty
from mocap_video.calib.examine import describe, examine_view, warnings_of
from mocap_video.calib.files import write_calibration
from mocap_video.calib.mount import Mount, pinhole, zoomed
from mocap_video.calib.upright import upright_views
from mocap_video.errors import ConfigError
from mocap_video.pipeline.calibrate import Made, chosen_lens, write_proof
from mocap_video.pipeline.video import probe, read_tags
from mocap_video.types import Calibration, Camera, VideoInfo

BY_HAND = (np.radians(0.5), np.radians(0.5), 0.02)
"""What a level and a tape are good for: tilt and roll (rad) and height (m), standard deviations."""

FOCAL_SPREAD = {"lens": 0.005, "hfov": 0.02, "sensor": 0.03, "equivalent": 0.06}
"""How well each statement of the lens holds in a recording, relative standard deviation: modes crop."""


def from_mount(
    clip: Path,
    output: Path,
    *,
    height_m: float,
    tilt_down_deg: float,
    roll_deg: float = 0.0,
    lens: Path | None = None,
    hfov_deg: float | None = None,
    focal_35mm: float | None = None,
    sensor: str | None = None,
    focal_mm: float | None = None,
    camera: str | None = None,
) -> Made:
    """Write the cam.yaml of ``clip`` to ``output``, and the proof picture beside it.

    Without any word on the lens the clip's own metadata are asked; ``ConfigError`` where they say nothing.
    """
    video = probe(clip)
    known, how, spread = _lens(video, lens, hfov_deg, focal_35mm, sensor, focal_mm, camera)
    mount = Mount(height_m, float(np.radians(tilt_down_deg)), float(np.radians(roll_deg)))
    calibration = replace(mount.calibration(known), source="from-mount")
    write_calibration(calibration, output)
    proof = output.with_suffix(".png")
    findings = examine_view(calibration)
    write_proof(clip, calibration, proof, findings, upright_views([], video.size))
    expected = expected_uncertainty(mount, known, spread)
    by_hand = "with tape and level used well (0.5 degrees, 2 cm):"
    return Made(
        path=output,
        claim=describe(calibration),
        notes=(f"lens: {how}", by_hand, *expected.as_text().splitlines()),
        warnings=tuple(warnings_of(findings)),
        proof=proof,
        details={"uncertainty": vars(expected)},
    )


def expected_uncertainty(mount: Mount, lens: Camera, focal_spread: float) -> Uncertainty:
    """Return how well a camera on ``mount`` is known by tape and level used well, the focal length of ``lens`` to
    ``focal_spread`` (relative standard deviation).
    """

    def build(x: np.ndarray) -> Calibration:
        changed = Mount(mount.height_m + x[2], mount.tilt_down + x[0], mount.roll + x[1])
        return changed.calibration(zoomed(lens, float(np.exp(x[3]))))

    return uncertainty(build, np.zeros(4), np.diag(np.square([*BY_HAND, focal_spread])))


def _lens(
    video: VideoInfo,
    lens: Path | None,
    hfov_deg: float | None,
    focal_35mm: float | None,
    sensor: str | None,
    focal_mm: float | None,
    camera: str | None,
) -> tuple[Camera, str, float]:
    """Return the optics, where they come from in words, and how well the focal length is known (relative)."""
    if (sensor is None) != (focal_mm is None):
        raise ConfigError("--sensor and --focal-mm: expected both or none. The focal length alone says no angle.")
    said = [lens, hfov_deg, focal_35mm, sensor, camera]
    if sum(option is not None for option in said) > 1:
        raise ConfigError("--lens, --hfov-deg, --focal-35mm, --sensor, --camera: expected one of them, got several.")
    given = chosen_lens(video, lens, hfov_deg)
    if given is not None:
        return given, "as given", FOCAL_SPREAD["lens" if lens else "hfov"]
    if sensor is not None and focal_mm is not None:
        focal = optics.focal_from_sensor(video.size, sensor, focal_mm)
        return pinhole(video.size, focal), f"{focal_mm:g} mm on a sensor of {sensor}", FOCAL_SPREAD["sensor"]
    if focal_35mm is not None:
        found: tuple[float, str] | None = (focal_35mm, f"{focal_35mm:g} mm (35 mm equivalent)")
    elif camera is not None:
        found = optics.equivalent_of_model(camera), f"{camera}, {optics.equivalent_of_model(camera):g} mm equivalent"
    else:
        found = optics.equivalent_from_tags(read_tags(video.path))
    if found is None:
        raise ConfigError(
            f"{video.path}: its metadata do not name the lens. Give --hfov-deg, --focal-35mm, --camera, --lens, or "
            "--sensor with --focal-mm."
        )
    focal = optics.focal_from_equivalent(video.size, found[0])
    return pinhole(video.size, focal), found[1], FOCAL_SPREAD["equivalent"]
