"""The bodies over the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mocap_video.render.gl import Canvas, DrawsOnCanvas, ScreenMesh
from mocap_video.render.lens import Lens
from mocap_video.render.mesh import PosedMesh, Topologies
from mocap_video.render.shading import StudioLight
from mocap_video.render.text import blend, draw_text, pill_mask, text_mask
from mocap_video.render.yuv import Layer
from mocap_video.types import Camera

_PAD_PX = 3
_STEP_M, _STEP_SHARE = 0.10, 0.02
"""A line is drawn where depth jumps by more than this (metres) plus this share of the depth."""

_GREY = np.array([0.62, 0.64, 0.67], np.float32)


@dataclass(frozen=True)
class Placed:
    """A mesh on the image: ``box`` x0, y0, x1, y1 px in the frame, x1 and y1 past its end; ``top`` px over the head."""

    mesh: ScreenMesh
    box: tuple[int, int, int, int]
    top: tuple[float, float]
    height_px: float
    colour: np.ndarray
    depth: float
    label: str | None = None
    note: str = ""


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

    def place(
        self,
        meshes: Sequence[PosedMesh],
        *,
        labels: Sequence[str] | None = None,
        notes: Sequence[str] | None = None,
        trust: Sequence[float] | None = None,
    ) -> list[Placed]:
        """Lay ``meshes`` out on the camera's image and light them; what is not on it is left out.

        Nothing is drawn, so this may run in a thread of its own. ``labels`` go over the heads, ``notes`` small beside
        them where they are not empty. ``trust`` 0..1, one a mesh: the less, the greyer and the more transparent.
        """
        for name, values in (("labels", labels), ("notes", notes), ("trust", trust)):
            if values is not None and len(values) != len(meshes):
                raise ValueError(f"{name}: expected one for each of {len(meshes)} meshes, got {len(values)}")
        return [
            replace(person, label=labels[i] if labels else None, note=notes[i] if notes else "")
            for i, mesh in enumerate(meshes)
            if (person := self._place(mesh, trust[i] if trust is not None else 1.0))
        ]

    def draw(self, placed: Sequence[Placed]) -> list[Layer]:
        """Return what lies over the camera's picture, in the order in which it is to be laid: bodies, then labels."""
        bodies = [self._body(box, group) for box, group in _overlapping(placed)]
        tags = [_tag(person, self.camera.size) for person in sorted(placed, key=lambda p: -p.depth) if person.label]
        return bodies + tags

    def _place(self, mesh: PosedMesh, trust: float) -> Placed | None:
        """Lay ``mesh`` out and light it; None when no part of it is on the image."""
        xy, depth = self._lens.place(mesh.vertices)
        seen = depth > 0
        if not seen.any():
            return None
        low, high = xy[seen].min(0), xy[seen].max(0)
        width, height = self.camera.size
        # On even pixels, so that a layer covers whole cells of a stored picture's colour.
        x0, y0 = (int(max(np.floor(edge) - _PAD_PX, 0)) // 2 * 2 for edge in low)
        x1 = int(min(np.ceil(high[0]) + _PAD_PX + 2, width + 1)) // 2 * 2
        y1 = int(min(np.ceil(high[1]) + _PAD_PX + 2, height + 1)) // 2 * 2
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
        return Placed(
            mesh=ScreenMesh(xy, depth, rgba, topology),
            box=(x0, y0, x1, y1),
            top=(float(xy[highest, 0]), float(low[1])),
            height_px=float(high[1] - low[1]),
            colour=colour.reshape(-1, 3).mean(0),
            depth=float(depth[seen].min()),
        )

    def _body(self, box: tuple[int, int, int, int], group: Sequence[Placed]) -> Layer:
        """Draw ``group``, all of which ``box`` holds."""
        x0, y0, x1, y1 = box
        rgba, depth = self._canvas.draw([person.mesh for person in group], (x0, y0), (x1 - x0, y1 - y0))
        strength = 0.6 * float(np.clip(max(p.height_px for p in group) / 240.0, 0.25, 1.0))
        _line(rgba, depth, strength)
        return Layer((x0, y0), rgba)


def _line(rgba: np.ndarray, depth: np.ndarray, strength: float) -> None:
    """Draw silhouette lines into ``rgba (h,w,4)`` uint8 in place, where ``depth (h,w)`` m jumps, on the near side; they
    take ``strength`` 0..1 of the light at most.
    """
    filled = np.where(depth > 0, depth, np.float32(1e6))
    beyond = cv2.dilate(filled, np.ones((3, 3), np.uint8))
    line = (beyond > filled * np.float32(1 + _STEP_SHARE) + np.float32(_STEP_M)).view(np.uint8)
    kept = cv2.GaussianBlur(line * np.uint8(255), (3, 3), 0.6)
    at = np.nonzero(kept)  # few pixels of many
    light = 1.0 - (strength / 255.0) * kept[at].astype(np.float32)
    rgba[(*at, slice(3))] = np.rint(rgba[(*at, slice(3))] * light[:, None])


def _overlapping(placed: Sequence[Placed]) -> list[tuple[tuple[int, int, int, int], list[Placed]]]:
    """Gather people whose boxes meet: only these can hide each other, and only their common box need be drawn."""
    groups: list[tuple[tuple[int, int, int, int], list[Placed]]] = []
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


def _tag(person: Placed, size: tuple[int, int]) -> Layer:
    """Draw the person's label on a coloured pill over the head, the note on a dark one beside it, all kept inside a
    picture of ``size`` (W, H) px.
    """
    assert person.label is not None
    letter = round(np.clip(person.height_px * 0.055, 12, max(14, size[1] / 40)))
    tall = round(letter * 1.55)
    wide = tall + round(letter * 0.56 * max(len(person.label) - 1, 0))
    small = max(9, round(letter * 0.72))
    aside = text_mask(person.note, small).shape[1] + small + 2 if person.note else 0
    x = int(np.clip(person.top[0] - wide / 2, 2, max(2, size[0] - wide - aside - 2)))
    y = int(np.clip(person.top[1] - tall * 1.35, 2, max(2, size[1] - tall - 2)))
    colour = person.colour * 255.0 * 0.8
    ink = np.zeros(3) if colour @ [0.3, 0.59, 0.11] > 140 else np.full(3, 255.0)
    rgba = np.zeros((tall + 1, wide + aside, 4), np.uint8)
    blend(rgba, pill_mask(wide, tall), _opaque(np.zeros(3)), (0, 1), 0.35)
    blend(rgba, pill_mask(wide, tall), _opaque(colour), (0, 0), 0.95)
    draw_text(rgba, person.label, (wide / 2, tall / 2), letter, _opaque(ink), anchor=(0.5, 0.5))
    if person.note:
        low = round(small * 1.5)
        blend(rgba, pill_mask(aside - 2, low), _opaque(np.zeros(3)), (wide + 2, (tall - low) // 2), 0.55)
        at = (wide + 2 + (aside - 2) / 2, tall / 2)
        draw_text(rgba, person.note, at, small, _opaque(np.full(3, 255.0)), anchor=(0.5, 0.5))
    return Layer((x, y), rgba)


def _opaque(rgb: np.ndarray) -> np.ndarray:
    """Return ``rgb (3)`` 0..255 with alpha ``(4)``: blended into premultiplied pixels it lies over them."""
    return np.append(rgb, 255.0)
