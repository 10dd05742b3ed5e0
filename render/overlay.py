"""The bodies over the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mocap_video.render.gl import Canvas, DrawsOnCanvas, ScreenMesh
from mocap_video.render.lens import Lens
from mocap_video.render.mesh import PosedMesh, Topologies
from mocap_video.render.shading import StudioLight
from mocap_video.render.text import blend, cover, draw_text, pill_mask
from mocap_video.types import Camera

_PAD_PX = 3
_STEP_M, _STEP_SHARE = 0.10, 0.02
"""A line is drawn where depth jumps by more than this (metres) plus this share of the depth."""

_GREY = np.array([0.62, 0.64, 0.67], np.float32)


@dataclass(frozen=True)
class _Placed:
    """A mesh on the image: ``box`` x0, y0, x1, y1 px in the frame, x1 and y1 past its end; ``top`` px over the head."""

    mesh: ScreenMesh
    box: tuple[int, int, int, int]
    top: tuple[float, float]
    height_px: float
    colour: np.ndarray
    label: str | None
    depth: float


class OverlayRenderer(DrawsOnCanvas):
    """Draws bodies over frames of one fixed camera; a context manager.

    The lens is in the picture: see ``Lens``. People hide each other by depth.
    """

    def __init__(self, camera: Camera, *, opacity: float = 0.85, light: StudioLight | None = None) -> None:
        self.camera = camera
        self.opacity = opacity
        self._light = light or StudioLight()
        self._lens = Lens(camera)
        self._topologies = Topologies()
        self._canvas = Canvas()

    def draw(
        self,
        rgb: np.ndarray,
        meshes: Sequence[PosedMesh],
        *,
        labels: Sequence[str] | None = None,
        trust: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Return a new frame ``(H,W,3)`` uint8 RGB: ``rgb (H,W,3)`` uint8 with ``meshes`` drawn over it.

        ``labels`` go over the heads. ``trust`` 0..1, one a mesh: the less, the greyer and the more transparent.
        """
        width, height = self.camera.size
        if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"rgb: expected ({height}, {width}, 3) uint8, got {rgb.shape} {rgb.dtype}")
        for name, values in (("labels", labels), ("trust", trust)):
            if values is not None and len(values) != len(meshes):
                raise ValueError(f"{name}: expected one for each of {len(meshes)} meshes, got {len(values)}")
        out = rgb.copy()
        placed = [
            person
            for i, mesh in enumerate(meshes)
            if (person := self._place(mesh, labels[i] if labels else None, trust[i] if trust is not None else 1.0))
        ]
        for box, group in _overlapping(placed):
            self._paint(out, box, group)
        for person in sorted(placed, key=lambda p: -p.depth):
            if person.label:
                _tag(out, person)
        return out

    def _place(self, mesh: PosedMesh, label: str | None, trust: float) -> _Placed | None:
        """Lay ``mesh`` out and light it; None when no part of it is on the image."""
        xy, depth = self._lens.place(mesh.vertices)
        seen = depth > 0
        if not seen.any():
            return None
        low, high = xy[seen].min(0), xy[seen].max(0)
        width, height = self.camera.size
        x0, y0 = (int(max(np.floor(edge) - _PAD_PX, 0)) for edge in low)
        x1 = int(min(np.ceil(high[0]) + _PAD_PX + 1, width))
        y1 = int(min(np.ceil(high[1]) + _PAD_PX + 1, height))
        if x0 >= x1 or y0 >= y1:
            return None
        topology = self._topologies.of(mesh)
        R = self.camera.R_cam_from_world.astype(np.float32)
        normals = topology.normals(mesh.vertices) @ R.T
        view = (self.camera.center_world - mesh.vertices).astype(np.float32) @ R.T
        view /= np.maximum(np.sqrt(np.einsum("ij,ij->i", view, view)), 1e-9)[:, None]
        trust = float(np.clip(trust, 0, 1))
        colour = _GREY + (np.asarray(mesh.colour, np.float32) - _GREY) * (0.25 + 0.75 * trust)
        opacity = self.opacity * (0.5 + 0.5 * trust)
        rgba = np.empty((len(xy), 4), np.float32)
        rgba[:, :3] = self._light.shade(colour, normals, view) * opacity
        rgba[:, 3] = opacity
        highest = int(np.argmin(np.where(seen, xy[:, 1], np.inf)))
        return _Placed(
            mesh=ScreenMesh(xy, depth, rgba, topology),
            box=(x0, y0, x1, y1),
            top=(float(xy[highest, 0]), float(low[1])),
            height_px=float(high[1] - low[1]),
            colour=colour.reshape(-1, 3).mean(0),
            label=label,
            depth=float(depth[seen].min()),
        )

    def _paint(self, out: np.ndarray, box: tuple[int, int, int, int], group: Sequence[_Placed]) -> None:
        """Blend ``group`` into ``out`` in place; ``box`` holds all of it."""
        x0, y0, x1, y1 = box
        rgba, depth = self._canvas.draw([person.mesh for person in group], (x0, y0), (x1 - x0, y1 - y0))
        strength = 0.6 * float(np.clip(max(p.height_px for p in group) / 240.0, 0.25, 1.0))
        lit = cv2.multiply(
            cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB),
            cv2.cvtColor(_unlined(depth, strength), cv2.COLOR_GRAY2RGB),
            scale=1 / 255,
        )
        cover(out[y0:y1, x0:x1], lit, rgba[..., 3])


def _unlined(depth: np.ndarray, strength: float) -> np.ndarray:
    """Return how much light ``(h,w)`` uint8 the silhouette lines leave on each pixel of ``depth (h,w)`` m: 255 where
    there is none, the less the nearer to a line, which lies on the near side and takes ``strength`` 0..1 at most.
    """
    filled = np.where(depth > 0, depth, np.float32(1e6))
    beyond = cv2.dilate(filled, np.ones((3, 3), np.uint8))
    line = (beyond > filled * np.float32(1 + _STEP_SHARE) + np.float32(_STEP_M)).view(np.uint8)
    kept = cv2.GaussianBlur(line * np.uint8(255), (3, 3), 0.6)
    return cv2.convertScaleAbs(kept, alpha=-strength, beta=255)


def _overlapping(placed: Sequence[_Placed]) -> list[tuple[tuple[int, int, int, int], list[_Placed]]]:
    """Gather people whose boxes meet: only these can hide each other, and only their common box need be drawn."""
    groups: list[tuple[tuple[int, int, int, int], list[_Placed]]] = []
    for person in placed:
        box, members = person.box, [person]
        apart = []
        for other_box, others in groups:
            if box[0] < other_box[2] and other_box[0] < box[2] and box[1] < other_box[3] and other_box[1] < box[3]:
                members = others + members
                box = (
                    min(box[0], other_box[0]), min(box[1], other_box[1]),
                    max(box[2], other_box[2]), max(box[3], other_box[3]),
                )  # fmt: skip
            else:
                apart.append((other_box, others))
        groups = [*apart, (box, members)]
    return groups


def _tag(out: np.ndarray, person: _Placed) -> None:
    """Draw the person's label on a coloured pill over the head, kept inside the frame."""
    assert person.label is not None
    height, width = out.shape[:2]
    size = round(np.clip(person.height_px * 0.055, 12, max(14, height / 40)))
    tall = round(size * 1.55)
    colour = person.colour * 255.0 * 0.8
    wide = tall + round(size * 0.56 * max(len(person.label) - 1, 0))
    x = int(np.clip(person.top[0] - wide / 2, 2, max(2, width - wide - 2)))
    y = int(np.clip(person.top[1] - tall * 1.35, 2, max(2, height - tall - 2)))
    blend(out, pill_mask(wide, tall), np.zeros(3), (x, y + 1), 0.35)
    blend(out, pill_mask(wide, tall), colour, (x, y), 0.95)
    text = np.zeros(3) if colour @ [0.3, 0.59, 0.11] > 140 else np.full(3, 255.0)
    draw_text(out, person.label, (x + wide / 2, y + tall / 2), size, text, anchor=(0.5, 0.5))
