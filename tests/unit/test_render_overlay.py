"""The overlay lies where the lens puts it, nearer people hide farther ones, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import ConvexHull

from mocap_video.calib import geometry
from mocap_video.render.lens import Lens
from mocap_video.render.mesh import PosedMesh
from mocap_video.render.overlay import OverlayRenderer
from mocap_video.types import Camera
from synth.cameras import BARREL, BLUE, FISHEYE, GREEN, PINHOLE, RED, make_ball, make_camera

CAMERAS = pytest.mark.parametrize("camera", [PINHOLE, BARREL, FISHEYE], ids=["pinhole", "barrel", "fisheye"])


def flat_frame(camera: Camera, grey: int = 120) -> np.ndarray:
    return np.full((camera.size[1], camera.size[0], 3), grey, np.uint8)


def drawn(overlay: OverlayRenderer, before: np.ndarray, meshes: Sequence[PosedMesh], **options: Any) -> np.ndarray:
    """Return ``before (H,W,3)`` with what ``overlay`` draws laid over it, exactly."""
    out = before.copy()
    for layer in overlay.draw(overlay.place(meshes, **options)):
        (x, y), (height, width) = layer.corner, layer.rgba.shape[:2]
        patch, alpha = out[y : y + height, x : x + width], layer.rgba[..., 3:] / 255.0
        patch[...] = np.rint(patch * (1 - alpha) + layer.rgba[..., :3])
    return out


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    return geometry.project(torch.as_tensor(points), camera)[0].numpy()


def place_at(camera: Camera, pixel: tuple[float, float], depth_m: float) -> tuple[float, float, float]:
    """Return the point of the site at ``depth_m`` that is seen at ``pixel``."""
    ideal = geometry.normalized_from_pixels(torch.tensor(pixel, dtype=torch.float64), camera)
    ray = geometry.ray_directions(ideal, torch.as_tensor(camera.R_cam_from_world)).numpy()
    x, y, z = camera.center_world + ray * depth_m
    return float(x), float(y), float(z)


def centroid_of_hull(points: np.ndarray) -> np.ndarray:
    """Return the centre of area of the convex hull of ``points (N,2)``."""
    ring = points[ConvexHull(points).vertices]
    following = np.roll(ring, -1, axis=0)
    cross = ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]
    return ((ring + following) * cross[:, None]).sum(0) / (3 * cross.sum())


@CAMERAS
@pytest.mark.parametrize("where", [(0.5, 0.5), (0.12, 0.2), (0.85, 0.8), (0.9, 0.15)])
def test_a_ball_is_drawn_where_the_lens_puts_it(camera: Camera, where: tuple[float, float]) -> None:
    """Centroid and extent of what is drawn agree with ``geometry.project`` within 1 px."""
    pixel = (where[0] * camera.size[0], where[1] * camera.size[1])
    ball = make_ball(place_at(camera, pixel, 3.0), 0.15)
    expected = project(ball.vertices, camera)
    before = flat_frame(camera)
    with OverlayRenderer(camera) as overlay:
        changed = (drawn(overlay, before, [ball]) != before).any(-1)
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 100
    centroid = np.array([columns.mean(), rows.mean()])
    np.testing.assert_allclose(centroid, centroid_of_hull(expected), atol=1.0)  # px
    np.testing.assert_allclose([columns.min(), rows.min()], expected.min(0), atol=1.0)  # px
    np.testing.assert_allclose([columns.max(), rows.max()], expected.max(0), atol=1.0)  # px


@CAMERAS
def test_bending_the_corners_bends_the_edges(camera: Camera) -> None:
    """Edges of 4 cm, a body's longest, 2 m from the lens: their middles stray from where they belong by < 0.1 px."""
    lens = Lens(camera)
    for where in ((0.05, 0.05), (0.95, 0.9), (0.5, 0.5)):
        pixel = (where[0] * camera.size[0], where[1] * camera.size[1])
        ball = trimesh.creation.icosphere(subdivisions=3, radius=0.26)
        vertices = np.asarray(ball.vertices) + place_at(camera, pixel, 2.0)
        edges = vertices[ball.edges_unique]
        assert 0.03 < np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1).max() < 0.05
        ends, depth = lens.place(edges)
        seen = (depth > 0).all(1)
        along = ends[:, 1] - ends[:, 0]
        stray = project(edges.mean(1), camera) - ends[:, 0]
        across = np.abs(along[:, 0] * stray[:, 1] - along[:, 1] * stray[:, 0])
        assert seen.any()
        assert (across[seen] <= 0.1 * np.maximum(np.linalg.norm(along[seen], axis=1), 1e-9)).all()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_person_hides_the_farther(order: tuple[int, int]) -> None:
    center = (PINHOLE.size[0] / 2, PINHOLE.size[1] / 2)
    balls = [make_ball(place_at(PINHOLE, center, 3.0), 0.2, RED), make_ball(place_at(PINHOLE, center, 5.0), 0.8, BLUE)]
    with OverlayRenderer(PINHOLE) as overlay:
        out = drawn(overlay, flat_frame(PINHOLE), [balls[i] for i in order]).astype(int)
    column, row = (round(c) for c in center)
    assert out[row, column, 0] > out[row, column, 2] + 50  # red in front
    assert out[row, column + 60, 2] > out[row, column + 60, 0] + 50  # blue around it


def test_people_far_apart_are_both_drawn() -> None:
    balls = [
        make_ball(place_at(PINHOLE, (100, 180), 4.0), 0.3, RED),
        make_ball(place_at(PINHOLE, (540, 180), 4.0), 0.3, GREEN),
    ]
    with OverlayRenderer(PINHOLE) as overlay:
        out = drawn(overlay, flat_frame(PINHOLE), balls).astype(int)
    assert out[180, 100, 0] > out[180, 100, 1] + 50  # RGB: red first
    assert out[180, 540, 1] > out[180, 540, 0] + 50
    assert (out[180, 320] == 120).all()


def test_nothing_to_draw_leaves_the_frame_as_it_was() -> None:
    with OverlayRenderer(PINHOLE) as overlay:
        assert overlay.draw(overlay.place([])) == []


@pytest.mark.parametrize(
    ("camera", "center"),
    [
        (PINHOLE, (0.0, -4.0, 1.5)),  # behind the camera
        (PINHOLE, (40.0, 5.0, 1.5)),  # beside the view
        (FISHEYE, (0.0, -4.0, 3.0)),
    ],
)
def test_what_the_camera_cannot_see_is_not_drawn(camera: Camera, center: tuple[float, float, float]) -> None:
    before = flat_frame(camera)
    with OverlayRenderer(camera) as overlay:
        assert np.array_equal(drawn(overlay, before, [make_ball(center, 0.5)], labels=["1"]), before)


def test_a_lens_polynomial_does_not_fold_the_outside_into_the_image() -> None:
    """A person 63 degrees off the axis of a 60 degree lens: the bare formula puts them near the middle."""
    camera = make_camera("opencv", (-0.3, 0.02, 0.0, 0.0, 0.0), hfov_deg=60.0)
    in_camera = np.array([8.0, 0.0, 4.0])
    bare = geometry.distort(torch.tensor([[2.0, 0.0]]), "opencv", torch.as_tensor(camera.coeffs))
    assert 0 < camera.K[0, 0] * float(bare[0, 0]) < camera.size[0] / 2 - 50
    x, y, z = camera.center_world + camera.R_cam_from_world.T @ in_camera
    ball = make_ball((float(x), float(y), float(z)), 0.3)
    with OverlayRenderer(camera) as overlay:
        assert np.array_equal(drawn(overlay, flat_frame(camera), [ball]), flat_frame(camera))


def test_a_mesh_through_the_image_plane_shows_only_its_front() -> None:
    with OverlayRenderer(PINHOLE) as overlay:
        out = drawn(overlay, flat_frame(PINHOLE), [make_ball((0.0, 0.4, 1.2), 0.9)])
    changed = (out != 120).any(-1)
    assert changed[-1].any()  # at the foot of the image
    assert not changed[0].any()


def test_two_renderers_draw_the_same() -> None:
    balls = [make_ball((0.0, 4.0, 1.0), 0.4), make_ball((0.3, 5.0, 1.0), 0.4, BLUE)]
    frames = []
    for _ in range(2):
        with OverlayRenderer(FISHEYE) as overlay:
            drawn(overlay, flat_frame(FISHEYE), balls[::-1])  # what was drawn before leaves no trace
            frames.append(drawn(overlay, flat_frame(FISHEYE), balls, labels=["1", "2"], trust=[1.0, 0.5]))
    assert np.array_equal(frames[0], frames[1])


def test_less_trust_is_greyer_and_more_transparent() -> None:
    ball = make_ball((0.0, 4.0, 1.0), 0.4, RED)
    with OverlayRenderer(PINHOLE) as overlay:
        sure, unsure = (drawn(overlay, flat_frame(PINHOLE), [ball], trust=[t]).astype(int) for t in (1.0, 0.1))
    changed = (sure != 120).any(-1)
    assert np.ptp(sure[changed], axis=1).mean() > 2 * np.ptp(unsure[changed], axis=1).mean()


def test_a_label_stands_over_the_head() -> None:
    ball = make_ball((0.0, 4.0, 1.0), 0.3, RED)
    with OverlayRenderer(PINHOLE) as overlay:
        bare = drawn(overlay, flat_frame(PINHOLE), [ball])
        tagged = drawn(overlay, flat_frame(PINHOLE), [ball], labels=["12"])
    rows, columns = np.nonzero((bare != tagged).any(-1))
    top = project(ball.vertices, PINHOLE)[:, 1].min()
    assert rows.max() < top + 2
    assert abs(columns.mean() - project(np.array([0.0, 4.0, 1.0]), PINHOLE)[0]) < 3  # px


@pytest.mark.parametrize("x", [0.0, 1.4])  # m: in the middle, at the right border
def test_a_note_stands_beside_the_label_inside_the_picture(x: float) -> None:
    ball = make_ball((x, 4.0, 1.0), 0.3, RED)
    with OverlayRenderer(PINHOLE) as overlay:
        quiet = drawn(overlay, flat_frame(PINHOLE), [ball], labels=["1"], notes=[""])
        plain = drawn(overlay, flat_frame(PINHOLE), [ball], labels=["1"])
        noted = overlay.draw(overlay.place([ball], labels=["1"], notes=["no feet"]))[-1]
        tag = overlay.draw(overlay.place([ball], labels=["1"]))[-1]
    assert np.array_equal(quiet, plain)
    assert noted.rgba.shape[0] == tag.rgba.shape[0]
    assert noted.rgba.shape[1] > 1.5 * tag.rgba.shape[1]
    assert noted.corner[0] >= 0
    assert noted.corner[0] + noted.rgba.shape[1] <= PINHOLE.size[0]
    dark = noted.rgba[:, tag.rgba.shape[1] + 2 :]
    assert dark[..., :3].max() > 150  # letters
    assert 0 < dark[dark.shape[0] // 2, -2 - dark.shape[0] // 3, 3] < 255  # on what lets the picture through


def test_wrong_arguments_are_refused() -> None:
    ball = make_ball((0.0, 4.0, 1.0), 0.3)
    message = "labels: expected one for each of 1 meshes, got 2"
    with OverlayRenderer(PINHOLE) as overlay, pytest.raises(ValueError, match=message):
        overlay.draw(overlay.place([ball], labels=["1", "2"]))


def test_meshes_of_different_make_follow_each_other() -> None:
    """The slots on the GPU are rebuilt when the faces change."""
    ball = make_ball((0.0, 4.0, 1.0), 0.3, RED)
    box = trimesh.creation.box((0.5, 0.5, 0.5))
    crate = PosedMesh(np.asarray(box.vertices) + np.array([0.0, 4.0, 1.0]), np.asarray(box.faces), GREEN)
    with OverlayRenderer(PINHOLE) as overlay:
        first = drawn(overlay, flat_frame(PINHOLE), [ball])
        drawn(overlay, flat_frame(PINHOLE), [crate])
        again = drawn(overlay, flat_frame(PINHOLE), [ball])
    assert np.array_equal(first, again)
