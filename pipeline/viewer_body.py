"""The body that ships, light enough to stand in a page: fewer vertices, four bones each, shapes in 8 bits."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mocap_video.lifter.body import load_body
from mocap_video.pipeline.viewer_pack import Packed, pack, pack_scaled
from mocap_video.render.mesh import coarsen

SPACING_M = 0.022
"""Distance of the vertices kept: about a third of the body's."""

_BONES = 4  # as many a vertex as three.js blends


@dataclass(frozen=True)
class LightBody:
    """n vertices: ``template`` (n,3) m and ``shapes``, ten of (n,3) m a beta; ``faces`` (f,3) vertex numbers;
    ``bones`` (n,4) joint numbers and ``weights`` (n,4), of 255. ``digest`` is that of the whole body's file.
    """

    digest: str
    count: int
    template: Packed
    shapes: tuple[Packed, ...]
    faces: Packed
    bones: Packed
    weights: Packed


@functools.cache
def light_body() -> LightBody:
    """Return the neutral body, made light."""
    body = load_body("neutral")
    kept, faces = coarsen(body.v_template.numpy(), body.faces, SPACING_M)
    weights, shapes = body.weights.numpy()[kept], body.shapedirs.numpy()[kept]
    bones = np.argsort(-weights, 1, kind="stable")[:, :_BONES]
    strength = np.take_along_axis(weights, bones, 1)
    strength = np.rint(255 * strength / strength.sum(1, keepdims=True))
    strength[:, 0] += 255 - strength.sum(1)  # rounding must not make a vertex lighter than one
    return LightBody(
        digest=body.digest,
        count=len(kept),
        template=pack_scaled(body.v_template.numpy()[kept], "i2"),
        shapes=tuple(pack_scaled(shapes[:, :, beta], "i1") for beta in range(shapes.shape[2])),
        faces=pack(faces, "u2"),
        bones=pack(bones, "u1"),
        weights=pack(strength, "u1"),
    )
