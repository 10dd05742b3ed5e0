"""``calib from-board``: from pictures of a checkerboard or ChArUco board to a lens.yaml, or with one that lies on the
ground to a cam.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mocap_video.calib.board import Board, BoardView, find_board, other_pattern
from mocap_video.calib.board_lens import LensFit, calibrate_lens
from mocap_video.calib.board_pose import GroundFit, pose_over_board
from mocap_video.calib.examine import describe, examine_view
from mocap_video.calib.files import camera_for_size, read_lens, write_calibration, write_lens
from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.pipeline.calibrate import Made, save_picture, save_proof
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.video import probe, read_frames
from mocap_video.render.coverage import draw_coverage

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_RATE_HZ = 4.0
_MOST_FRAMES = 200
_GROUND_FRAMES = 12
_LENS_SPREAD = 0.005
"""How well the focal length of a lens file holds, relative standard deviation."""

_STEADY_PX = 1.5


@dataclass(frozen=True)
class _Picture:
    name: str
    rgb: np.ndarray

    @property
    def grey(self) -> np.ndarray:
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @property
    def size(self) -> tuple[int, int]:
        return self.rgb.shape[1], self.rgb.shape[0]


def from_board(
    sources: Sequence[Path],
    output: Path | None,
    progress: Progress,
    *,
    board: Board,
    ground: Path | None = None,
    lens: Path | None = None,
    thickness_m: float = 0.0,
) -> Made:
    """Write the lens.yaml of the camera that took ``sources`` (clips, pictures, folders of pictures), or its cam.yaml
    when ``ground`` shows ``board`` lying on the ground, its printed face ``thickness_m`` m above it; and a picture.
    """
    if (lens is None) == (not sources):
        raise ConfigError("expected either clips or pictures of a board that is moved about, or --lens FILE.")
    if lens is not None and ground is None:
        raise ConfigError("--lens without --ground: the lens is known and nothing else was asked for. Give --ground.")
    fit, size, backdrop = _lens_of(sources, board, progress) if sources else (None, None, None)
    if ground is None:
        assert fit is not None
        assert backdrop is not None
        return _lens_made(fit, board, backdrop, output or Path("lens.yaml"))
    picture, view = _lying(ground, board, progress)
    if size is not None and picture.size != size:
        raise _other_size(picture, size)
    if fit is not None:
        optics, focal_spread = fit.lens, fit.focal_spread
    else:
        assert lens is not None
        optics = camera_for_size(read_lens(lens), picture.size, calib_path=lens, clip_path=ground)
        focal_spread = _LENS_SPREAD
    pose = pose_over_board(view, board, optics, thickness_m=thickness_m, focal_spread=focal_spread)
    return _camera_made(pose, fit, board, picture, output or Path("cam.yaml"))


def _lens_of(sources: Sequence[Path], board: Board, progress: Progress) -> tuple[LensFit, tuple[int, int], _Picture]:
    """Return the lens, the size of the pictures, and the last one that shows the board."""
    files = [file for source in sources for file in _files(source)]
    views: list[BoardView] = []
    samples: list[np.ndarray] = []
    size, backdrop, count = None, None, 0
    with progress.stage("board", sum(_count(file) for file in files)) as advance:
        for file in files:
            for picture in _pictures(file):
                size = size or picture.size
                if picture.size != size:
                    raise _other_size(picture, size)
                view = find_board(picture.grey, board, picture.name, thorough=_is_picture(file))
                if view is not None:
                    views.append(view)
                    backdrop = picture
                elif count & (count - 1) == 0:  # numbers 0, 1, 2, 4, 8, ...
                    samples.append(picture.grey)
                count += 1
                advance(1)
    if size is None or backdrop is None:
        raise _not_found(", ".join(map(str, sources)), board, samples, count)
    return calibrate_lens(views, board, size), size, backdrop


def _files(source: Path) -> list[Path]:
    """Return ``source``, or the pictures and clips in it if it is a folder."""
    if not source.is_dir():
        return [source]
    files = sorted(file for file in source.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise CalibrationError(f"{source}: expected pictures of a board, got an empty folder.")
    return files


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in _PICTURES


def _pictures(file: Path, most: int = _MOST_FRAMES) -> Iterator[_Picture]:
    """Yield the picture in ``file``, or frames spread over the clip."""
    if _is_picture(file):
        bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if bgr is None:
            raise CalibrationError(f"{file}: expected a picture, and OpenCV cannot read it. Export it again.")
        yield _Picture(file.name, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        return
    wanted = _wanted(file, most)
    for frame in read_frames(file):
        if frame.index in wanted:
            yield _Picture(f"{file.name} at {frame.time_s:.2f} s", frame.rgb)


def _wanted(clip: Path, most: int) -> frozenset[int]:
    """Return the numbers of the frames of ``clip`` to look at: a few a second, at most ``most``."""
    time_s = probe(clip).time_s
    step_s = max(1 / _RATE_HZ, float(time_s[-1]) / most)
    return frozenset(np.searchsorted(time_s, np.arange(0, time_s[-1] + 1e-6, step_s) - 1e-6).tolist())


def _count(file: Path) -> int:
    return 1 if _is_picture(file) else len(_wanted(file, _MOST_FRAMES))


def _other_size(picture: _Picture, size: tuple[int, int]) -> CalibrationError:
    own, first = ("x".join(map(str, s)) for s in (picture.size, size))
    return CalibrationError(
        f"{picture.name}: expected pictures of {first}, as the first was, got {own}. Use one camera in one mode, "
        "held the same way."
    )


def _not_found(where: str, board: Board, samples: Sequence[np.ndarray], count: int) -> CalibrationError:
    text = f"{where}: a {board} was not found in any of {count} pictures. "
    other = other_pattern(samples, board) if board.charuco is None else None
    if other is not None:
        columns, rows = other
        return CalibrationError(
            f"{text}One of {columns} x {rows} inner corners is there: give --pattern {columns}x{rows}. Inner corners "
            "are one fewer each way than squares."
        )
    advice = (
        "A checkerboard must be seen whole, with a white margin" if board.charuco is None
        else "Check the dictionary, the sides of squares and markers, and that --pattern counts inner corners; the "
        "markers must be readable"
    )  # fmt: skip
    return CalibrationError(f"{text}{advice}, flat, in focus and evenly lit.")


def _lying(ground: Path, board: Board, progress: Progress) -> tuple[_Picture, BoardView]:
    """Return a picture of the board on the ground, and where its corners are: their medians over the clip."""
    pictures, views = [], []
    with progress.stage("ground", 1) as advance:
        for picture in _pictures(ground, _GROUND_FRAMES):
            view = find_board(picture.grey, board, picture.name, thorough=True)
            pictures.append(picture)
            if view is not None:
                views.append(view)
        advance(1)
    if not views:
        raise _not_found(str(ground), board, [picture.grey for picture in pictures[:3]], len(pictures))
    seen = np.full((len(views), board.columns * board.rows, 2), np.nan)
    for row, view in enumerate(views):
        seen[row, view.rows] = view.pixels
    rows = np.flatnonzero(np.isfinite(seen[..., 0]).mean(0) > 0.5)
    middle = np.nanmedian(seen[:, rows], axis=0)
    moved = float(np.nanmedian(np.linalg.norm(seen[:, rows] - middle, axis=-1), axis=1).max())
    if moved > _STEADY_PX:
        raise CalibrationError(
            f"{ground}: expected a board that lies still, but it moves by {moved:.1f} px. Give a picture or a clip in "
            "which nobody touches it."
        )
    return pictures[-1], replace(views[-1], rows=rows, pixels=middle)


def _lens_notes(fit: LensFit) -> tuple[str, ...]:
    lens = fit.lens
    scores = ", ".join(f"{s.model} {s.error_px:.2f}" for s in fit.scores if np.isfinite(s.error_px))
    return (
        f"lens: {fit.model}; focal length {lens.K[0, 0]:.1f} px, known to {2 * fit.focal_spread:.2%}, centre to "
        f"{2 * fit.center_spread_px:.1f} px (95 %)",
        f"from {len(fit.views)} pictures that differ, turned by up to {fit.turned_deg:.0f} deg; error "
        f"{fit.rms_px:.2f} px (root mean square)",
        f"on pictures held back, px: {scores}",
        f"the board covered {fit.covered:.0%} of the picture",
    )


def _lens_details(fit: LensFit) -> dict[str, object]:
    return {
        "model": fit.model,
        "held_back_px": {score.model: score.error_px for score in fit.scores if np.isfinite(score.error_px)},
        "rms_px": fit.rms_px,
        "focal_spread": fit.focal_spread,
        "pictures": [view.source for view in fit.views],
        "left_out": list(fit.left_out),
        "covered": fit.covered,
        "bare": list(fit.bare),
    }


def _lens_made(fit: LensFit, board: Board, backdrop: _Picture, output: Path) -> Made:
    write_lens(fit.lens, output, f"from-board, {board}, {fit.rms_px:.2f} px")
    said = [("note", text) for text in _lens_notes(fit)] + [("warning", text) for text in fit.warnings()]
    outlines = [(view.pixels, error) for view, error in zip(fit.views, fit.error_px.tolist(), strict=True)]
    picture = output.with_suffix(".png")
    save_picture(draw_coverage(backdrop.rgb, outlines, said), picture)
    width, height = fit.lens.size
    return Made(
        path=output,
        claim=f"lens of {width} x {height} pictures from a {board}",
        notes=(*_lens_notes(fit), "this is a lens.yaml, for --lens of the other calib commands"),
        warnings=tuple(fit.warnings()),
        proof=picture,
        details=_lens_details(fit),
    )


def _camera_made(pose: GroundFit, fit: LensFit | None, board: Board, picture: _Picture, output: Path) -> Made:
    write_calibration(pose.calibration, output)
    proof = output.with_suffix(".png")
    save_proof(picture.rgb, pose.calibration, proof, examine_view(pose.calibration))
    return Made(
        path=output,
        claim=describe(pose.calibration),
        notes=(
            *(_lens_notes(fit) if fit else ()),
            f"board on the ground: {pose.rms_px:.2f} px (root mean square)",
            _frame_text(board),
            *pose.uncertainty.as_text().splitlines(),
        ),
        warnings=(*(fit.warnings() if fit else ()), *pose.warnings()),
        proof=proof,
        details={**(_lens_details(fit) if fit else {}), "uncertainty": vars(pose.uncertainty)},
    )


def _frame_text(board: Board) -> str:
    along = f"x along its rows of {board.columns} corners"
    if board.charuco is not None:
        return f"site frame: z up, origin under the inner corner at the lower left of the print, {along} to its right"
    return f"site frame: z up, origin under the board's nearest left corner, {along}, to the right in the picture"
