"""``calib import`` and ``calib export``: other tools' calibrations to cam.yaml and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from mocap_video.calib.checks import checked_rotation
from mocap_video.calib.examine import describe, examine_view, warnings_of
from mocap_video.calib.fields import Field
from mocap_video.calib.files import AXES, read_calibration, write_calibration, write_lens
from mocap_video.calib.formats import WRITERS, Foreign, read_foreign
from mocap_video.errors import ConfigError
from mocap_video.pipeline.calibrate import Made
from mocap_video.pipeline.video import probe
from mocap_video.types import Calibration, Camera, DistortionModel, GroundPlane


def import_calibration(
    path: Path,
    output: Path,
    *,
    form: str | None = None,
    camera: str | None = None,
    up: str = "z",
    ground: float = 0.0,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    clip: Path | None = None,
) -> Made:
    """Write the calibration of another tool at ``path`` as ``output``: a cam.yaml, or a lens.yaml where it has no pose.

    ``form`` names the format, None: by its content. ``camera`` chooses one of several by name. ``up`` and ``ground``
    say which axis of its world is up and where the ground is on it, m; ``scale`` is metres for its unit of length.
    ``size`` (W, H) px, or that of ``clip``, where the format does not say.
    """
    name, cameras = read_foreign(path, form)
    chosen = _chosen(cameras, camera, path)
    size = chosen.size or size or (probe(clip).size if clip else None)
    if size is None:
        raise ConfigError(f"{path}: the {name} format does not hold the image size. Give --image-size or --clip.")
    lens = Camera(
        chosen.K.astype(float), np.eye(3), np.zeros(3), size, cast(DistortionModel, chosen.model), chosen.coeffs
    )
    source = f"{name} {path.name}"
    notes = (chosen.note,) if chosen.note else ()
    if chosen.pose is None:
        write_lens(lens, output, source)
        note = "It holds no pose: this is a lens.yaml, for --lens of the other calib commands."
        return Made(
            output, f"optics of {chosen.name}: {size[0]} x {size[1]}, focal length {lens.K[0, 0]:.1f} px", (note,)
        )
    R = checked_rotation(Field(path, "rotation", chosen.pose[0].tolist()), chosen.pose[0])
    posed = replace(lens, R_cam_from_world=R, t_cam_from_world=scale * chosen.pose[1])
    calibration = Calibration(posed, GroundPlane(AXES[up], -ground + 0.0), name=chosen.name, source=source)
    write_calibration(calibration, output)
    return Made(output, describe(calibration), notes, tuple(warnings_of(examine_view(calibration))))


def _chosen(cameras: list[Foreign], name: str | None, path: Path) -> Foreign:
    names = [camera.name for camera in cameras]
    if name is None and len(cameras) == 1:
        return cameras[0]
    if name in names:
        return cameras[names.index(name)]
    listed = ", ".join(names[:20])
    if name is None:
        raise ConfigError(f"{path}: it holds {len(cameras)} cameras: {listed}. Say which with --camera.")
    raise ConfigError(f"--camera {name}: expected one of {listed}.")


def export_calibration(calib_path: Path, form: str, output: Path) -> Path:
    """Write the cam.yaml at ``calib_path`` in the format ``form``."""
    WRITERS[form](read_calibration(calib_path), output)
    return output
