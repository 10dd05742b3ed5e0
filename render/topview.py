"""The site from above: metric grid, what the camera sees, everyone's path and body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.calib.ground import CanonicalFrame, canonical_frame
from mocap_video.render.gl import Canvas, DrawsOnCanvas, ScreenMesh
from mocap_video.render.mesh import PosedMesh, Topologies, Topology, coarsen
from mocap_video.render.paper import PageMap, draw_paper, fill_polygon, fit_page
from mocap_video.render.shading import StudioLight
from mocap_video.render.text import blend, cover, draw_text, pill_mask
from mocap_video.types import Camera, GroundPlane

_LIGHT = StudioLight(
    ambient=0.42,
    key=0.55,
    fill=0.15,
    sheen=0.05,
    rim=0.0,
    key_direction=(-0.5, -0.5, -0.75),
    fill_direction=(1, 0.6, -0.6),
)
_EYE_HEIGHT_M = 100.0
"""Bodies are drawn from above without perspective; this height only orders depths."""

_DOWN_VIEW = np.array([[0.0, 0.0, -1.0]], np.float32)
_SPACING_PX = 2.0
"""Bodies are small on the page: their meshes are thinned to vertices about this far apart."""

_TRAIL_PIECES = 64


@dataclass(frozen=True)
class GroundPath:
    """Where one person goes.

    ``time_s (T)`` s, increasing; ``root (T,3)`` m in the site world; ``colour (3)`` RGB 0..1; ``facing (T,3)``:
    directions in the site world in which the person faces, any length, or None where that is not known.
    """

    person: int
    time_s: np.ndarray
    root: np.ndarray
    colour: np.ndarray
    facing: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.time_s)
        if n == 0 or self.root.shape != (n, 3) or not np.isfinite(self.root).all():
            raise ValueError(f"GroundPath.root: expected shape ({n}, 3), finite and not empty, got {self.root.shape}")
        if self.facing is not None and self.facing.shape != (n, 3):
            raise ValueError(f"GroundPath.facing: expected shape ({n}, 3), got {self.facing.shape}")

    def now(self, time_s: float) -> int | None:
        """Return the row of ``time_s`` (the last one not after it), or None outside the path."""
        half_step = 0.5 * float(np.diff(self.time_s).min(initial=0.1))
        if not self.time_s[0] - half_step <= time_s <= self.time_s[-1] + half_step:
            return None
        return max(int(np.searchsorted(self.time_s, time_s + 1e-6, side="right")) - 1, 0)


class TopView(DrawsOnCanvas):
    """Draws the site from above, frame by frame; a context manager.

    The page's up direction is the camera's heading on the ground, so left and right are as in the video. The extent is
    fixed by the ``paths``, or it is that of ``page``, where these are only a part of the clip's. Nothing is kept from
    frame to frame.
    """

    def __init__(
        self,
        camera: Camera,
        ground: GroundPlane,
        paths: Sequence[GroundPath],
        size: tuple[int, int] = (720, 720),
        *,
        fade_s: float = 6.0,
        page: PageMap | None = None,
    ) -> None:
        self._frame: CanonicalFrame = canonical_frame(camera, ground)
        self._paths = list(paths)
        self._fade_s = fade_s
        roots = [self._frame.to_canonical(path.root)[:, [0, 2]] for path in self._paths]
        self.page: PageMap = page or fit_page(roots, size)
        self._tracks = [self.page.pixels(track) for track in roots]
        self._paper = draw_paper(camera, ground, self._frame, self.page)
        self._topologies = Topologies()
        self._thin: dict[Topology, tuple[np.ndarray, Topology]] = {}
        self._canvas = Canvas()

    def pixels_of(self, points_world: np.ndarray) -> np.ndarray:
        """Return where on the page, ``(...,2)`` px, ``points_world (...,3)`` m of the site world lie."""
        return self.page.pixels(self._frame.to_canonical(points_world)[..., [0, 2]])

    def draw(self, time_s: float, meshes: Sequence[PosedMesh] = ()) -> np.ndarray:
        """Return the page ``(H,W,3)`` uint8 RGB at ``time_s`` (seconds in the clip) with ``meshes`` on it."""
        out = self._paper.copy()
        for path, track in zip(self._paths, self._tracks, strict=True):
            self._draw_trail(out, path, track, time_s)
        self._draw_bodies(out, meshes)
        for path, track in zip(self._paths, self._tracks, strict=True):
            row = path.now(time_s)
            if row is not None:
                self._draw_person(out, path, track, row)
        minutes, seconds = divmod(max(time_s, 0.0), 60.0)
        stamp = f"{int(minutes):02d}:{seconds:04.1f}"
        size = max(13, out.shape[0] // 40)
        draw_text(out, stamp, (out.shape[1] - size, size * 1.4), size, np.full(3, 235.0), anchor=(1.0, 0.5))
        return out

    def _draw_trail(self, out: np.ndarray, path: GroundPath, track: np.ndarray, time_s: float) -> None:
        """Draw the path of the last seconds, the older the fainter."""
        recent = np.nonzero((path.time_s <= time_s + 1e-6) & (path.time_s >= time_s - self._fade_s))[0]
        if len(recent) < 2:
            return
        chosen = recent[np.unique(np.linspace(0, len(recent) - 1, _TRAIL_PIECES).round().astype(int))]
        points = track[chosen]
        low = np.floor(points.min(0)).astype(int) - 6
        high = np.ceil(points.max(0)).astype(int) + 7
        low, high = np.clip(low, 0, None), np.minimum(high, [out.shape[1], out.shape[0]])
        if (low >= high).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = np.rint((points - low) * 16).astype(int)
        age = (time_s - path.time_s[chosen]) / self._fade_s
        width = max(2, round(out.shape[0] / 260))
        for start, end, share in zip(fixed[:-1], fixed[1:], 1 - age[1:], strict=True):
            value = int(255 * float(np.clip(share, 0, 1)) ** 1.5)
            cv2.line(mask, start.tolist(), end.tolist(), value, width, cv2.LINE_AA, 4)
        blend(out, mask, path.colour * 255.0, (int(low[0]), int(low[1])), 0.9)

    def _thinned(self, mesh: PosedMesh) -> tuple[np.ndarray, np.ndarray, Topology]:
        """Return the canonical vertices ``(n,3)`` m to draw, their colour and their topology."""
        full = self._topologies.of(mesh)
        if full not in self._thin:
            kept, faces = coarsen(mesh.vertices, mesh.faces, _SPACING_PX / self.page.pixels_per_m)
            self._thin = {full: (kept, Topology(faces, len(kept))), **dict(list(self._thin.items())[:15])}
        kept, topology = self._thin[full]
        colour = mesh.colour if mesh.colour.ndim == 1 else mesh.colour[kept]
        return self._frame.to_canonical(mesh.vertices[kept]).astype(np.float32), colour, topology

    def _draw_bodies(self, out: np.ndarray, meshes: Sequence[PosedMesh]) -> None:
        """Draw ``meshes`` from above, lower ones first, each over a soft shadow."""
        thinned = [self._thinned(mesh) for mesh in meshes]
        for points, colour, topology in sorted(thinned, key=lambda body: float(body[0][:, 1].max())):
            xy = self.page.pixels(points[:, [0, 2]])
            low = np.maximum(np.floor(xy.min(0)).astype(int) - 8, 0)
            high = np.minimum(np.ceil(xy.max(0)).astype(int) + 9, [out.shape[1], out.shape[0]])
            if (low >= high).any():
                continue
            # Page axes, as a camera that looks down: +X right, +Y down the page, +Z into it.
            normals = np.ascontiguousarray(-topology.normals(points)[:, [0, 2, 1]])
            rgba = np.ones((len(xy), 4), np.float32)
            rgba[:, :3] = _LIGHT.shade(colour, normals, _DOWN_VIEW)
            placed = ScreenMesh(xy, _EYE_HEIGHT_M - points[:, 1], rgba, topology)
            corner, size = (int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1]))
            drawn, _ = self._canvas.draw([placed], corner, size)
            shadow = cv2.GaussianBlur(drawn[..., 3], (0, 0), 3.0)
            blend(out, shadow, np.zeros(3), (corner[0] + 1, corner[1] + 2), 0.6)
            cover(out[low[1] : high[1], low[0] : high[0]], drawn[..., :3], drawn[..., 3])

    def _draw_person(self, out: np.ndarray, path: GroundPath, track: np.ndarray, row: int) -> None:
        """Draw heading and number of the person at ``row`` of the path, the number clear of the heading."""
        at = track[row]
        colour = path.colour * 255.0
        radius = max(0.42 * self.page.pixels_per_m, 9.0)
        aside = np.array([0.7, -0.7])
        if path.facing is not None:
            heading = self._frame.R_canonical_from_site @ path.facing[row]
            toward = np.array([-heading[0], -heading[2]])
            length = float(np.linalg.norm(toward))
            if np.isfinite(length) and length > 1e-6:
                toward = toward / length
                self._draw_heading(out, at, toward, radius, colour)
                aside = aside if toward @ aside < 0.4 else aside * [-1, 1]
        size = max(12, out.shape[0] // 48)
        tall = round(size * 1.5)
        text = str(path.person)
        wide = tall + round(size * 0.56 * (len(text) - 1))
        corner = at + aside * (radius + tall / 2) - np.array([wide, tall]) / 2
        x = int(np.clip(corner[0], 2, out.shape[1] - wide - 2))
        y = int(np.clip(corner[1], 2, out.shape[0] - tall - 2))
        blend(out, pill_mask(wide, tall), colour * 0.8, (x, y), 0.95)
        ink = np.zeros(3) if colour @ [0.3, 0.59, 0.11] > 165 else np.full(3, 255.0)
        draw_text(out, text, (x + wide / 2, y + tall / 2), size, ink, anchor=(0.5, 0.5))

    def _draw_heading(
        self, out: np.ndarray, at: np.ndarray, toward: np.ndarray, radius: float, colour: np.ndarray
    ) -> None:
        """Draw a small arrow head that leaves the person's circle in direction ``toward`` (unit, page px)."""
        side = np.array([-toward[1], toward[0]])
        big = radius * 0.30 + 3
        tip = at + toward * (radius + big)
        corners = np.stack([tip, tip - toward * big + side * big * 0.7, tip - toward * big - side * big * 0.7])
        fill_polygon(out, corners, colour)
