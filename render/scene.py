"""The demo's synthetic video: people in a sunlit site, as a fixed camera with its lens would film them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.calib.ground import canonical_frame
from mocap_video.render.backdrop import SKY_COLOUR, SUN, SUN_COLOUR, render_backdrop
from mocap_video.render.gl import Canvas, DrawsOnCanvas, ScreenMesh
from mocap_video.render.lens import Lens
from mocap_video.render.mesh import PosedMesh, Topologies
from mocap_video.types import Camera, GroundPlane

_BOUNCE = np.array([0.34, 0.32, 0.29]) * 0.45
"""Light that the ground throws back up."""

_CLOSE_M = 0.35
"""What is lower than this keeps the sky from the ground under it (metres)."""

_PAD_PX = 16
_GRAIN_PLAY = 64

_GAMMA = 2.2


@dataclass(frozen=True)
class _Shadow:
    mesh: ScreenMesh
    softness_px: float
    strength: float


class SceneRenderer(DrawsOnCanvas):
    """Renders frames of people at a site; a context manager. The same ``seed`` gives the same video.

    ``noise`` is the standard deviation of the camera's noise in grey levels of 0..255.
    """

    def __init__(self, camera: Camera, ground: GroundPlane, *, seed: int = 0, noise: float = 2.0) -> None:
        self.camera = camera
        self._frame = canonical_frame(camera, ground)
        self._lens = Lens(camera)
        backdrop = render_backdrop(camera, self._frame, seed)
        self._depth, self._ground = backdrop.depth, backdrop.ground
        self._light = _developed(backdrop.light)
        self._still = _filmed(self._light)
        shape = (camera.size[1] + _GRAIN_PLAY, camera.size[0] + _GRAIN_PLAY, 3)
        grain = np.random.default_rng(seed).standard_normal(shape, np.float32)
        self._grain = np.rint(grain * np.float32(noise)).astype(np.int16)  # each frame takes another part of it
        self._seed = seed
        self._topologies = Topologies()
        self._canvas = Canvas()

    def draw(self, meshes: Sequence[PosedMesh], time_s: float) -> np.ndarray:
        """Return the frame ``(H,W,3)`` uint8 RGB at ``time_s`` s with ``meshes``, whose colours are the clothes'."""
        shadows = [shadow for mesh in meshes for shadow in self._shadows(mesh)]
        bodies = [self._lit(mesh) for mesh in meshes]
        frame = self._still.copy()
        touched = self._box([*(shadow.mesh for shadow in shadows), *bodies])
        if touched is not None:
            picture = self._light.copy()
            for shadow in shadows:
                self._lay(picture, shadow)
            self._stand(picture, bodies)
            x0, y0, x1, y1 = touched
            wide = (slice(max(y0 - 2, 0), y1 + 2), slice(max(x0 - 2, 0), x1 + 2))  # more than the optics spread
            soft = _filmed(picture[wide])
            top, left = y0 - wide[0].start, x0 - wide[1].start
            frame[y0:y1, x0:x1] = soft[top : top + y1 - y0, left : left + x1 - x0]
        rng = np.random.default_rng([self._seed, round(time_s * 1000)])
        dx, dy = rng.integers(0, _GRAIN_PLAY, 2)
        height, width = frame.shape[:2]
        return cv2.add(frame, self._grain[dy : dy + height, dx : dx + width], dtype=cv2.CV_8U)

    def _stand(self, picture: np.ndarray, bodies: Sequence[ScreenMesh]) -> None:
        """Draw ``bodies`` into ``picture (H,W,3)`` float32 in place, behind what stands nearer."""
        box = self._box(bodies)
        if box is None:
            return
        x0, y0, x1, y1 = box
        rgba, depth = self._canvas.draw(bodies, (x0, y0), (x1 - x0, y1 - y0))
        # At an edge the pixel may be covered in part and yet have no depth: it takes its neighbour's.
        depth = np.where(depth > 0, depth, cv2.dilate(np.ascontiguousarray(depth), np.ones((3, 3), np.uint8)))
        drawn = rgba.astype(np.float32)
        drawn[depth > self._depth[y0:y1, x0:x1]] = 0.0
        patch = picture[y0:y1, x0:x1]
        patch *= 1.0 - drawn[..., 3:] / 255.0
        patch += drawn[..., :3]

    def _lit(self, mesh: PosedMesh) -> ScreenMesh:
        """Lay ``mesh`` out on the image, lit by sun, sky and ground."""
        xy, depth = self._lens.place(mesh.vertices)
        topology = self._topologies.of(mesh)
        normals = topology.normals(mesh.vertices) @ self._frame.R_canonical_from_site.T.astype(np.float32)
        sun = np.clip((normals @ SUN.astype(np.float32) + 0.08) / 1.08, 0, 1)[:, None] * SUN_COLOUR
        up = normals[:, 1:2]
        diffuse = sun + (0.5 + 0.5 * up) * SKY_COLOUR + (0.5 - 0.5 * up) * _BOUNCE
        colour = np.broadcast_to(np.asarray(mesh.colour, np.float64), (len(xy), 3)) ** _GAMMA
        rgba = np.ones((len(xy), 4), np.float32)
        rgba[:, :3] = np.clip(colour * diffuse, 0, 1) ** (1 / _GAMMA)
        return ScreenMesh(xy, depth, rgba, topology)

    def _shadows(self, mesh: PosedMesh) -> list[_Shadow]:
        """Return the shadows of ``mesh`` on the ground: the sun's, and the dimness under what is close to it."""
        points = self._frame.to_canonical(mesh.vertices)
        from_sun = points - SUN * (points[:, 1:2] / SUN[1])
        from_sky = points * [1.0, 0.0, 1.0]
        close = points[:, 1] < _CLOSE_M
        return [
            self._shadow(mesh, from_sun, np.ones_like(close), softness_px=1.0, strength=0.62),
            self._shadow(mesh, from_sky, close, softness_px=4.0, strength=0.35),
        ]

    def _shadow(
        self, mesh: PosedMesh, flat: np.ndarray, cast: np.ndarray, *, softness_px: float, strength: float
    ) -> _Shadow:
        xy, depth = self._lens.place(self._frame.to_site(flat))
        rgba = np.ones((len(xy), 4), np.float32)
        body = ScreenMesh(xy, np.where(cast, depth, 0.0), rgba, self._topologies.of(mesh))
        return _Shadow(body, softness_px, strength)

    def _lay(self, picture: np.ndarray, shadow: _Shadow) -> None:
        """Darken ``picture (H,W,3)`` float32 in place where ``shadow`` falls on sunlit ground."""
        box = self._box([shadow.mesh])
        if box is None:
            return
        x0, y0, x1, y1 = box
        rgba, _ = self._canvas.draw([shadow.mesh], (x0, y0), (x1 - x0, y1 - y0))
        dark = cv2.GaussianBlur(rgba[..., 3], (0, 0), shadow.softness_px).astype(np.float32)
        shade = 1.0 - (shadow.strength / 255.0) * dark * self._ground[y0:y1, x0:x1]
        picture[y0:y1, x0:x1] *= shade[..., None]

    def _box(self, bodies: Sequence[ScreenMesh], pad: int = _PAD_PX) -> tuple[int, int, int, int] | None:
        """Return x0, y0, x1, y1 px, inside the frame, of all that is seen of ``bodies``; None where that is nothing."""
        seen = [body.xy[body.depth > 0] for body in bodies]
        points = np.concatenate(seen) if seen else np.zeros((0, 2))
        if not len(points):
            return None
        width, height = self.camera.size
        low = np.maximum(np.floor(points.min(0)).astype(int) - pad, 0)
        high = np.minimum(np.ceil(points.max(0)).astype(int) + pad + 1, [width, height])
        return (int(low[0]), int(low[1]), int(high[0]), int(high[1])) if (low < high).all() else None


def _developed(light: np.ndarray) -> np.ndarray:
    """Return linear ``light (H,W,3)`` as display values, float32 0..255."""
    return np.clip(light, 0, 1) ** np.float32(1 / _GAMMA) * np.float32(255.0)


def _filmed(picture: np.ndarray) -> np.ndarray:
    """Return ``picture (h,w,3)`` float32 0..255 as uint8, softened as optics do."""
    return np.rint(np.clip(cv2.GaussianBlur(picture, (3, 3), 0.55), 0, 255)).astype(np.uint8)
