"""``calib from-points``: from measured points, read from a file or clicked in a page, to a cam.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mocap_video.calib.examine import describe, examine_view, warnings_of
from mocap_video.calib.files import write_calibration
from mocap_video.calib.marks import MarkedPoints, enough, points_of_court, read_points, write_points
from mocap_video.calib.points import PointFit, calibrate_from_points
from mocap_video.calib.upright import upright_views
from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.pipeline.calibrate import Made, chosen_lens, write_proof
from mocap_video.pipeline.click_page import Answer, mark_points
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.video import probe, read_frames
from mocap_video.render.proof import draw_proof
from mocap_video.types import Camera


def from_points(
    clip: Path,
    output: Path,
    progress: Progress,
    *,
    points: Path | None = None,
    court: str | None = None,
    ask: bool | None = None,
    port: int = 0,
    time_s: float = 0.0,
    lens: Path | None = None,
    hfov_deg: float | None = None,
) -> Made:
    """Write the cam.yaml of ``clip`` to ``output``, the proof picture and, if they were clicked, the points beside it.

    ``ask``: whether the page is shown; None: where fewer than four points have a pixel.
    """
    video = probe(clip)
    optics = chosen_lens(video, lens, hfov_deg)
    known = _known_points(points, court, video.size)
    where: Path | str = points or "the points"
    if ask or (ask is None and len(known.marked.names) < 4):
        frame = next(iter(read_frames(clip, start_s=time_s)))
        known = mark_points(frame.rgb, known, _answerer(frame.rgb, optics), port, progress.note)
        where = output.with_name(f"{output.stem}.points.yaml")
        write_points(known, where)
        progress.note(f"points: {where}")
    marked = enough(known, where)
    fit = calibrate_from_points(marked, optics)
    write_calibration(fit.calibration, output)
    proof = output.with_suffix(".png")
    findings = examine_view(fit.calibration)
    write_proof(clip, fit.calibration, proof, findings, upright_views([], video.size))
    return Made(
        path=output,
        claim=describe(fit.calibration),
        notes=(*_point_lines(marked, fit), *fit.uncertainty.as_text().splitlines()),
        warnings=(*fit.warnings(), *warnings_of(findings)),
        proof=proof,
        details={"points": _point_figures(marked, fit), "uncertainty": vars(fit.uncertainty)},
    )


def _known_points(points: Path | None, court: str | None, size: tuple[int, int]) -> MarkedPoints:
    if points is not None and court is not None:
        raise ConfigError("--points and --court: expected one of them, got both. A points file may name its court.")
    if points is not None:
        return read_points(points, size)
    if court is not None:
        return points_of_court(court, size)
    return MarkedPoints((), np.zeros((0, 3)), np.zeros((0, 2)), size)


def _point_lines(points: MarkedPoints, fit: PointFit) -> list[str]:
    lines = [f"points to {fit.rms_px:.1f} px (root mean square):"]
    for row, name in enumerate(points.names):
        left_out = "" if fit.used[row] else "   left out"
        lines.append(f"  {name:<32}{fit.error_px[row]:7.1f} px {100 * fit.error_m[row]:8.1f} cm{left_out}")
    return lines


def _point_figures(points: MarkedPoints, fit: PointFit) -> list[dict[str, object]]:
    rows = zip(points.names, fit.error_px.tolist(), fit.error_m.tolist(), fit.used.tolist(), strict=True)
    return [{"name": name, "error_px": px, "error_m": m, "used": used} for name, px, m, used in rows]


def _answerer(rgb: np.ndarray, lens: Camera | None) -> Callable[[MarkedPoints], Answer]:
    """Return what the page asks after every click: a calibration of the points so far, drawn over ``rgb``."""

    def answer(points: MarkedPoints) -> Answer:
        figures: list[dict[str, object] | None] = [None] * len(points.names)
        try:
            marked = enough(points, "points")
            fit = calibrate_from_points(marked, lens)
        except CalibrationError as error:
            return Answer(False, str(error), (), figures, None)
        rows = np.flatnonzero(np.isfinite(points.pixels).all(-1))
        for row, figure in zip(rows.tolist(), _point_figures(marked, fit), strict=True):
            figures[row] = figure
        said = f"{describe(fit.calibration)}.\n{fit.uncertainty.as_text()}"
        return Answer(True, said, tuple(fit.warnings()), figures, draw_proof(rgb, fit.calibration))

    return answer
