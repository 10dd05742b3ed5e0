"""What is drawn keeps its detail, and its edges are soft."""

from __future__ import annotations

import numpy as np

from mocap_video.render.gl import Canvas, ScreenMesh
from mocap_video.render.mesh import Topology

SQUARE = Topology(np.array([[0, 1, 2], [0, 2, 3]]), 4)


def square(low: float, high: float, depth_m: float, grey: float) -> ScreenMesh:
    """Return a square from ``low`` to ``high`` px in both directions."""
    xy = np.array([[low, low], [low, high], [high, high], [high, low]])
    return ScreenMesh(xy, np.full(4, depth_m), np.tile([grey, grey, grey, 1.0], (4, 1)), SQUARE)


def stripes(count: int, pitch_px: float) -> ScreenMesh:
    """Return a sheet 40 px high; from line to line, of which there are ``count``, its grey goes from 0 to 1 or back."""
    x, line = np.arange(count) * pitch_px, np.arange(count - 1)
    xy = np.concatenate([np.stack([x, np.full(count, end)], -1) for end in (0.0, 40.0)])
    above, below = line, line + count
    faces = np.concatenate([
        np.stack([above, below, below + 1], -1),
        np.stack([above, below + 1, above + 1], -1),
    ])  # fmt: skip
    grey = np.tile(np.arange(count) % 2, 2)
    rgba = np.stack([grey, grey, grey, np.ones(2 * count)], -1)
    return ScreenMesh(xy, np.full(2 * count, 5.0), rgba, Topology(faces, 2 * count))


def test_detail_inside_a_surface_is_kept() -> None:
    with Canvas() as canvas:
        rgba, _ = canvas.draw([stripes(21, 2.0)], (0, 0), (40, 40))
    row = rgba[20, 4:36, 0].astype(int)
    assert np.abs(np.diff(row)).min() >= 120  # of 255 levels; blurred: 74


def test_edges_are_soft_over_nothing_and_over_a_farther_surface() -> None:
    near, far = square(19.5, 44.5, 4.9, 1.0), square(9.5, 54.5, 5.0, 0.4)
    with Canvas() as canvas:
        rgba, depth = canvas.draw([near, far], (0, 0), (64, 64))
    alpha, grey = rgba[32, :, 3].astype(int), rgba[32, :, 0].astype(int)
    assert alpha[8] == 0
    assert alpha[11] == 255
    assert 30 < alpha[9] < 128 < alpha[10] < 225
    assert grey[18] == grey[12] == 102
    assert 102 < grey[19] < 178 < grey[20] < 255
    assert grey[21] == 255
    np.testing.assert_allclose(depth[32, [8, 12, 32]], [0.0, 5.0, 4.9], atol=1e-3)  # m


def test_a_slope_is_no_edge() -> None:
    """A surface that turns away by 70 degrees, seen by a lens of 1000 px, keeps its detail as well."""
    sheet = stripes(21, 2.0)
    depth = 5.0 / (1 - np.tan(np.radians(70)) * (sheet.xy[:, 0] - 20) / 1000)
    with Canvas() as canvas:
        rgba, _ = canvas.draw([ScreenMesh(sheet.xy, depth, sheet.rgba, sheet.topology)], (0, 0), (40, 40))
    assert np.abs(np.diff(rgba[20, 4:36, 0].astype(int))).min() >= 120  # of 255 levels
