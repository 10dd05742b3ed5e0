"""Calibration boards in pictures: where the corners of a checkerboard or a ChArUco board are. OpenCV finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.errors import ConfigError

_SCAN_PX = 1000
"""Longer side of the picture in which a checkerboard is looked for; its corners are then refined in the full one."""

_LEAST_CORNERS = 8
"""A ChArUco board with fewer corners in view is not used."""

_SMALLEST = 3


@dataclass(frozen=True)
class Charuco:
    """The markers of a ChArUco board: OpenCV's ``dictionary`` such as 5X5_100, and a marker's side in m."""

    dictionary: str
    marker_m: float

    def board(self, board: Board, *, legacy: bool = False) -> cv2.aruco.CharucoBoard:
        """Return OpenCV's board; ``legacy`` for boards with even rows printed for OpenCV before 4.6."""
        code = getattr(cv2.aruco, f"DICT_{self.dictionary}")
        squares = (board.columns + 1, board.rows + 1)
        made = cv2.aruco.CharucoBoard(squares, board.square_m, self.marker_m, cv2.aruco.getPredefinedDictionary(code))
        made.setLegacyPattern(legacy)
        return made


@dataclass(frozen=True)
class Board:
    """A flat board of ``columns`` x ``rows`` inner corners, ``square_m`` m apart; with markers if ``charuco``."""

    columns: int
    rows: int
    square_m: float
    charuco: Charuco | None = None

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < _SMALLEST:
            raise ConfigError(
                f"--pattern: expected at least {_SMALLEST} x {_SMALLEST} inner corners, got "
                f"{self.columns} x {self.rows}. Use a board with more squares."
            )
        if self.charuco is None:
            return
        if not hasattr(cv2.aruco, f"DICT_{self.charuco.dictionary}"):
            names = [name[5:] for name in dir(cv2.aruco) if name.startswith("DICT_")]
            raise ConfigError(f"--charuco {self.charuco.dictionary}: expected one of {', '.join(names)}.")
        if not 0 < self.charuco.marker_m < self.square_m:
            raise ConfigError("--marker-mm: expected less than --square-mm. Measure a marker's black outline.")

    @property
    def points(self) -> np.ndarray:
        """Corners ``(columns rows, 3)`` m in the board's frame, row by row from the top left of the print: x to the
        right, y up, z towards the reader, the origin at the lower left corner.
        """
        column, row = np.meshgrid(np.arange(self.columns), np.arange(self.rows)[::-1])
        flat = np.stack([column.ravel(), row.ravel(), np.zeros(column.size)], -1)
        return self.square_m * flat

    def __str__(self) -> str:
        kind = "checkerboard" if self.charuco is None else f"ChArUco board ({self.charuco.dictionary})"
        return f"{kind} of {self.columns} x {self.rows} inner corners"


@dataclass(frozen=True)
class BoardView:
    """One picture of a board: ``source`` says which; ``rows (N)`` of ``Board.points`` seen at ``pixels (N,2)`` px;
    ``outline (4,2)`` px are the board's outer corners, seen or not; ``sharpness`` is the steepest slope of its edges,
    in shares of their contrast a pixel: 0.5 is sharp, 0.1 blurred.
    """

    source: str
    rows: np.ndarray
    pixels: np.ndarray
    outline: np.ndarray
    sharpness: float

    def __post_init__(self) -> None:
        if self.pixels.shape != (len(self.rows), 2):
            raise ValueError(f"BoardView.pixels: expected shape ({len(self.rows)}, 2), got {self.pixels.shape}")


def find_board(grey: np.ndarray, board: Board, source: str, *, thorough: bool = False) -> BoardView | None:
    """Return ``board`` in the picture ``grey (H,W)`` uint8; None where it is not found. ``thorough`` takes longer."""
    found = _checkerboard(grey, board, thorough) if board.charuco is None else _charuco(grey, board, board.charuco)
    if found is None:
        return None
    rows, pixels = found
    pixels = _refined(grey, pixels, _clear_share(board) * _spacing(board, rows, pixels))
    to_picture, _ = cv2.findHomography(board.points[rows, :2], pixels)
    if to_picture is None or np.linalg.det(to_picture) == 0:
        return None
    outer = board.points[[0, board.columns - 1, -1, -board.columns], :2]
    outline = cv2.perspectiveTransform(outer[:, None], to_picture)[:, 0]
    return BoardView(source, rows, pixels, outline, _sharpness(grey, pixels, _spacing(board, rows, pixels)))


def _checkerboard(grey: np.ndarray, board: Board, thorough: bool) -> tuple[np.ndarray, np.ndarray] | None:
    scale = min(1.0, _SCAN_PX / max(grey.shape))
    small = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | (cv2.CALIB_CB_EXHAUSTIVE if thorough else 0)
    found, corners = cv2.findChessboardCornersSB(small, (board.columns, board.rows), flags=flags)
    if not found:
        return None
    sides = np.array(grey.shape[::-1]) / small.shape[::-1]
    pixels = (corners.reshape(-1, 2) + 0.5) * sides - 0.5
    pixels = _as_printed(pixels.reshape(board.rows, board.columns, 2)).reshape(-1, 2)
    return np.arange(len(pixels)), pixels


def _clear_share(board: Board) -> float:
    """Return how far around a corner there is nothing but its four squares, in squares."""
    return 0.35 if board.charuco is None else 0.9 * (1 - board.charuco.marker_m / board.square_m) / 2


def _refined(grey: np.ndarray, pixels: np.ndarray, reach_px: float) -> np.ndarray:
    half = int(np.clip(reach_px, 2, 11))
    done = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 0.005)
    start = pixels.astype(np.float32).reshape(-1, 1, 2)
    return cv2.cornerSubPix(grey, start, (half, half), (-1, -1), done).reshape(-1, 2).astype(float)


def _as_printed(grid: np.ndarray) -> np.ndarray:
    """Return ``grid (rows,columns,2)`` px in the order of the print, never that of its mirror image; of the two ways
    round, which a plain checkerboard does not tell, the one whose rows run to the right in the picture.
    """
    right, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    if right[0] * down[1] - right[1] * down[0] < 0:
        grid = grid[::-1]
    return grid if (grid[:, -1] - grid[:, 0])[:, 0].sum() >= 0 else grid[::-1, ::-1]


def _charuco(grey: np.ndarray, board: Board, markers: Charuco) -> tuple[np.ndarray, np.ndarray] | None:
    """Return corners of the board; of today's layout or of that before OpenCV 4.6, whichever shows more."""
    best: tuple[np.ndarray, np.ndarray] | None = None
    for legacy in (False, True):
        detector = cv2.aruco.CharucoDetector(markers.board(board, legacy=legacy))
        corners, ids, _, _ = detector.detectBoard(grey)
        enough = ids is not None and len(ids) >= _LEAST_CORNERS
        if enough and (best is None or len(ids) > len(best[0])):
            best = ids.ravel(), corners.reshape(-1, 2).astype(float)
    if best is None or np.linalg.matrix_rank(board.points[best[0], :2] - board.points[best[0][0], :2]) < 2:
        return None
    return best


def _spacing(board: Board, rows: np.ndarray, pixels: np.ndarray) -> float:
    """Return the smallest distance (px) of neighbouring corners seen."""
    place = np.full((board.rows * board.columns, 2), np.nan)
    place[rows] = pixels
    grid = place.reshape(board.rows, board.columns, 2)
    steps = [np.linalg.norm(np.diff(grid, axis=axis), axis=-1).ravel() for axis in (0, 1)]
    apart = np.concatenate(steps)
    return float(np.nanmin(apart)) if np.isfinite(apart).any() else 10.0


def _sharpness(grey: np.ndarray, pixels: np.ndarray, spacing_px: float) -> float:
    """Return the steepness of the edges at the corners, in the blurrier of the picture's two directions."""
    half = int(np.clip(0.35 * spacing_px, 2, 12))
    steep = []
    for x, y in np.rint(pixels).astype(int):
        patch = grey[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1].astype(np.float32)
        contrast = float(np.ptp(np.quantile(patch, [0.05, 0.95]))) if patch.size else 0.0
        if min(patch.shape) > 2 and contrast > 0:
            steep.append([np.quantile(np.abs(np.diff(patch, axis=axis)), 0.95) / contrast for axis in (0, 1)])
    return float(np.median(steep, axis=0).min()) if steep else 0.0


def other_pattern(pictures: Sequence[np.ndarray], board: Board) -> tuple[int, int] | None:
    """Return columns and rows of another checkerboard than ``board`` that one of ``pictures (H,W)`` uint8 shows."""
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_LARGER
    for grey in pictures:
        scale = min(1.0, _SCAN_PX / max(grey.shape))
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found, _, meta = cv2.findChessboardCornersSBWithMeta(small, (_SMALLEST, _SMALLEST), flags)
        if found and {meta.shape[1], meta.shape[0]} != {board.columns, board.rows}:
            return max(meta.shape), min(meta.shape)
    return None
