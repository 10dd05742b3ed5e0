"""The body's surface as animation programs want it: a rest mesh in the person's shape, bound to the rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mocap_video.lifter.body import BodyModel
from mocap_video.pipeline.formats.base import Performer
from mocap_video.pipeline.formats.rate import frame_s
from mocap_video.pipeline.formats.rig import Rig, rig_of
from mocap_video.render.mesh import Topology, person_colour

_MOST_INFLUENCES = 8
_LEAST_WEIGHT = 1e-5


@dataclass(frozen=True)
class Influences:
    """Which joints move a vertex: ``joints (N,I)`` int and ``weights (N,I)``, whose rows sum to 1; the strongest first,
    joint 0 with weight 0 where there are fewer. I is 4 or 8.
    """

    joints: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class SkinnedPerson:
    """A person of a scene: ``rig``; ``vertices (N,3)`` m and ``normals (N,3)`` of the body at rest, in its own shape;
    ``faces (F,3)``; ``influences``; ``colour (3)`` linear RGB 0..1.

    The person is there from ``time_s[0]`` until ``end_s``, a frame after the last time; seconds from the clip's first
    frame, whose nominal ``rate`` is in Hz.
    """

    name: str
    rig: Rig
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    influences: Influences
    colour: np.ndarray
    time_s: np.ndarray
    end_s: float
    rate: float


def skin_people(performers: tuple[Performer, ...]) -> list[SkinnedPerson]:
    """Return the people of a scene. Corrections that a body's file makes for a pose (SMPL's have some) are left out:
    a skin has none.
    """
    influences = {id(body): _influences(body) for body in {id(p.body): p.body for p in performers}.values()}
    return [_skinned(performer, influences[id(performer.body)]) for performer in performers]


def _skinned(performer: Performer, influences: Influences) -> SkinnedPerson:
    take, body = performer.take, performer.body
    record = take.record
    betas = torch.as_tensor(record.betas, dtype=torch.float32)
    vertices = (body.v_template + body.shapedirs @ betas).numpy()
    return SkinnedPerson(
        name=f"person {take.number}",
        rig=rig_of(take),
        vertices=vertices,
        normals=Topology(body.faces, len(vertices)).normals(vertices),
        faces=body.faces,
        influences=influences,
        colour=_linear(person_colour(take.number)),
        time_s=record.time_s,
        end_s=float(record.time_s[-1]) + frame_s(record.time_s, record.mocap_framerate),
        rate=record.mocap_framerate,
    )


def _influences(body: BodyModel) -> Influences:
    weights = body.weights.numpy()
    weights = np.where(weights < _LEAST_WEIGHT, 0.0, weights)
    most = min(_MOST_INFLUENCES, 4 * -(-int((weights > 0).sum(1).max()) // 4))
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :most]
    strongest = np.take_along_axis(weights, joints, 1)
    strongest = (strongest / strongest.sum(1, keepdims=True)).astype(np.float32)
    return Influences(np.where(strongest > 0, joints, 0), strongest)


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Return a colour as light, which is what materials hold."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
