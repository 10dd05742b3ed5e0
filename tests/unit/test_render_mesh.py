"""Meshes are checked, their normals point out, thinning keeps the shape, and people's colours can be told apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import trimesh

from mocap_video.render.mesh import PosedMesh, Topologies, Topology, coarsen, person_colour
from synth.cameras import make_ball

DEUTERANOPE = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
"""Linear RGB as seen without green cones (Machado, Oliveira and Fernandes 2009, severity 1)."""


def lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]


@pytest.mark.parametrize("seen_by", [np.eye(3), DEUTERANOPE], ids=["all cones", "no green cones"])
def test_eight_people_can_be_told_apart(seen_by: np.ndarray) -> None:
    """Every pair of colours differs by at least 20 units of CIE L*a*b*; 2.3 are just noticeable."""
    colours = np.stack([person_colour(person) for person in range(1, 9)])
    seen = np.clip(colours**2.2 @ seen_by.T, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(lab(seen)[:, None] - lab(seen)[None], axis=-1)
    assert apart[~np.eye(8, dtype=bool)].min() >= 20


def test_normals_of_a_ball_point_out() -> None:
    ball = make_ball((1.0, 2.0, 3.0), 0.5)
    normals = Topology(ball.faces, len(ball.vertices)).normals(ball.vertices)
    outward = (ball.vertices - [1.0, 2.0, 3.0]) / 0.5
    angle = np.degrees(np.arccos(np.clip((normals * outward).sum(1), -1, 1)))
    assert angle.max() < 1.0  # degrees


def test_a_topology_is_analysed_once() -> None:
    known = Topologies()
    ball = make_ball((0.0, 0.0, 0.0), 1.0)
    moved = PosedMesh(ball.vertices + 1, ball.faces.copy(), ball.colour)
    assert known.of(ball) is known.of(moved)
    assert known.of(ball) is not known.of(PosedMesh(ball.vertices, ball.faces[:-1], ball.colour))


def test_thinning_keeps_the_shape_and_what_is_apart() -> None:
    one, two = (make_ball(center, 0.5) for center in ((0.0, 0.0, 0.0), (1.002, 0.0, 0.0)))  # 2 mm between them
    vertices = np.concatenate([one.vertices, two.vertices])
    faces = np.concatenate([one.faces, two.faces + len(one.vertices)])
    kept, thin = coarsen(vertices, faces, 0.1)
    assert len(kept) < len(vertices) / 4
    np.testing.assert_allclose(vertices[kept].min(0), vertices.min(0), atol=0.05)  # m
    np.testing.assert_allclose(vertices[kept].max(0), vertices.max(0), atol=0.05)  # m
    mesh = trimesh.Trimesh(vertices[kept], thin, process=False)
    assert mesh.is_watertight
    assert mesh.body_count == 2
    assert mesh.volume == pytest.approx(2 * 4 / 3 * np.pi * 0.5**3, rel=0.06)


@pytest.mark.parametrize(
    ("vertices", "faces", "colour", "message"),
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int), np.zeros(3), "vertices: expected shape"),
        (np.full((3, 3), np.nan), np.zeros((1, 3), int), np.zeros(3), "finite"),
        (np.zeros((3, 3)), np.zeros((1, 3)), np.zeros(3), "int"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), np.zeros(3), "vertex numbers 0 to 2"),
        (np.zeros((3, 3)), np.array([[0, 1, 2]]), np.zeros(4), "colour"),
    ],
)
def test_a_bad_mesh_is_refused(vertices: np.ndarray, faces: np.ndarray, colour: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PosedMesh(vertices, faces, colour)
