"""Triangle meshes in the site world, their normals and their colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

_PALETTE = np.array(
    [
        [0.15, 0.53, 0.86],  # blue
        [0.94, 0.46, 0.13],  # orange
        [0.10, 0.68, 0.53],  # green
        [0.80, 0.35, 0.66],  # pink
        [0.97, 0.82, 0.26],  # yellow
        [0.47, 0.83, 0.96],  # sky
        [0.72, 0.16, 0.16],  # red
        [0.92, 0.92, 0.90],  # white
    ]
)
"""Hues after Okabe and Ito (2008), told apart by lightness too, so they hold under colour-vision deficiency."""

_KNOWN_TOPOLOGIES = 16


@dataclass(frozen=True)
class PosedMesh:
    """One person's surface in one frame.

    ``vertices (N,3)`` m in the site world; ``faces (F,3)`` int, counter-clockwise seen from outside; ``colour (3)`` RGB
    0..1, or ``(N,3)`` for one colour a vertex.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colour: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.vertices)
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"PosedMesh.vertices: expected shape (any, 3), got {self.vertices.shape}")
        if not np.isfinite(self.vertices).all():
            raise ValueError("PosedMesh.vertices: expected finite numbers, got NaN or infinity")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.faces.dtype.kind not in "iu":
            raise ValueError(f"PosedMesh.faces: expected (any, 3) int, got {self.faces.shape} {self.faces.dtype}")
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= n):
            raise ValueError(f"PosedMesh.faces: expected vertex numbers 0 to {n - 1}, got {self.faces.max()}")
        if np.shape(self.colour) not in ((3,), (n, 3)):
            raise ValueError(f"PosedMesh.colour: expected shape (3) or ({n}, 3), got {np.shape(self.colour)}")


def person_colour(person: int) -> np.ndarray:
    """Return the colour ``(3)`` RGB 0..1 of a person's number; numbers 1 to 8 differ, then the row repeats."""
    return _PALETTE[(person - 1) % len(_PALETTE)].copy()


class Topology:
    """What stays when a mesh moves: its faces ``(F,3)`` int and which faces meet at each of ``count`` vertices."""

    def __init__(self, faces: np.ndarray, count: int) -> None:
        self.faces = faces
        self.count = count
        self._corners = np.ascontiguousarray(faces.T.astype(np.intp))
        face_of_corner = np.repeat(np.arange(len(faces)), 3)
        ones = np.ones(len(face_of_corner), np.float32)
        self._incidence = sparse.csr_matrix((ones, (faces.reshape(-1), face_of_corner)), (count, len(faces)))

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Return unit normals ``(N,3)`` of ``vertices (N,3)``, each face weighed by its area; zero where none meets."""
        a, b, c = (vertices.astype(np.float32, copy=False)[corner] for corner in self._corners)
        u, v = b - a, c - a
        cross = np.empty_like(u)
        for axis in range(3):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            cross[:, axis] = u[:, i] * v[:, j] - u[:, j] * v[:, i]
        normals = np.asarray(self._incidence @ cross)
        return normals / np.maximum(np.sqrt(np.einsum("ij,ij->i", normals, normals)), 1e-20)[:, None]


class Topologies:
    """Remembers the topologies met lately, so that a mesh that only moves is analysed once."""

    def __init__(self) -> None:
        self._known: list[Topology] = []

    def of(self, mesh: PosedMesh) -> Topology:
        """Return the topology of ``mesh``."""
        count = len(mesh.vertices)
        for known in self._known:
            if known.count == count and (known.faces is mesh.faces or np.array_equal(known.faces, mesh.faces)):
                return known
        fresh = Topology(mesh.faces, count)
        self._known = [fresh, *self._known[: _KNOWN_TOPOLOGIES - 1]]
        return fresh


def coarsen(vertices: np.ndarray, faces: np.ndarray, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a lighter mesh of the same body: ``kept (n)`` vertex numbers and ``faces (f,3)`` into them.

    ``vertices (N,3)`` m in any pose. Kept vertices lie about ``spacing_m`` apart; every other one joins the nearest of
    them along the surface, so an arm never grows onto the chest that it touches, and the result can be posed by
    picking the kept vertices of any later frame.
    """
    cells = np.floor((vertices - vertices.min(0)) / spacing_m).astype(np.int64)
    _, seeds = np.unique(cells, axis=0, return_index=True)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1) + 1e-9
    graph = sparse.csr_matrix((length, (edges[:, 0], edges[:, 1])), (len(vertices), len(vertices)))
    _, _, nearest = csgraph.dijkstra(graph, False, seeds, return_predecessors=True, min_only=True)
    joined = nearest[faces]
    distinct = (joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 2] != joined[:, 0])
    joined = joined[distinct & (joined >= 0).all(1)]
    kept, packed = np.unique(joined, return_inverse=True)
    return kept, packed.reshape(-1, 3)
