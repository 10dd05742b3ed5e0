"""The top view is a map: metres and pixels agree, sides are as in the video, and a frame depends on its time alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap_video.calib import geometry
from mocap_video.render.mesh import PosedMesh
from mocap_video.render.topview import GroundPath, TopView
from mocap_video.types import Camera, GroundPlane
from synth.cameras import FISHEYE, GROUND, PINHOLE, RED, make_ball

TIME_S = np.arange(0.0, 8.0, 0.1)
SIZE = (480, 400)


def make_path(person: int = 1, colour: np.ndarray = RED) -> GroundPath:
    """Return a walk of 8 s from left to right, 5 m in front of the camera."""
    root = np.stack([-2.0 + 0.5 * TIME_S, np.full_like(TIME_S, 5.0), np.full_like(TIME_S, 0.9)], -1)
    return GroundPath(person, TIME_S, root, colour, np.tile([1.0, 0.0, 0.0], (len(TIME_S), 1)))


def turned(camera: Camera, R: np.ndarray, shift: np.ndarray) -> tuple[Camera, GroundPlane]:
    """Return the same camera and ground in a site frame in which a point p becomes R p + shift."""
    R_cam = camera.R_cam_from_world @ R.T
    normal = R @ GROUND.normal
    moved = replace(camera, R_cam_from_world=R_cam, t_cam_from_world=camera.t_cam_from_world - R_cam @ shift)
    return moved, GroundPlane(normal, -float(normal @ shift))


def drawn_ball(view: TopView, ball: PosedMesh) -> np.ndarray:
    """Return ``(H,W)`` bool: where ``ball``, which is red, is on the page."""
    out, empty = view.draw(100.0, [ball]).astype(int), view.draw(100.0)
    return (out[..., 0] > out[..., 1] + 60) & (out != empty).any(-1)


@pytest.mark.parametrize(
    ("R", "shift"),
    [
        (np.eye(3), np.zeros(3)),
        (np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([3.0, -1.0, 2.0])),  # Y up
        (np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]]), np.array([-7.0, 2.0, 0.5])),  # another heading
    ],
    ids=["z up", "y up", "turned"],
)
@pytest.mark.parametrize("place", [(-1.5, 4.0, 0.4), (1.0, 5.5, 0.4)])
def test_a_person_stands_at_the_right_metre(
    R: np.ndarray, shift: np.ndarray, place: tuple[float, float, float]
) -> None:
    """Pixels per metre, direction and origin of the page hold within 1 px, in any site frame."""
    camera, ground = turned(PINHOLE, R, shift)
    path = make_path()
    path = replace(path, root=path.root @ R.T + shift, facing=None)
    ball = make_ball(place, 0.35)
    ball = replace(ball, vertices=ball.vertices @ R.T + shift)
    with TopView(camera, ground, [path], SIZE) as view:
        rows, columns = np.nonzero(drawn_ball(view, ball))
        foot = view.pixels_of(R @ np.zeros(3) + shift)  # below the camera
        scale = view.page.pixels_per_m
    centroid = np.array([columns.mean(), rows.mean()])
    expected = foot + np.array([place[0], -place[1]]) * scale  # the camera looks along +Y, its right is +X
    np.testing.assert_allclose(centroid, expected, atol=1.0)  # px
    assert columns.max() - columns.min() + 1 == pytest.approx(0.7 * scale, abs=2.0)  # px


def test_left_and_right_are_as_in_the_video() -> None:
    left, right = np.array([-1.0, 5.0, 0.0]), np.array([1.0, 5.0, 0.0])
    in_video = geometry.project(torch.as_tensor(np.stack([left, right])), PINHOLE)[0].numpy()
    with TopView(PINHOLE, GROUND, [make_path()], SIZE) as view:
        on_page = view.pixels_of(np.stack([left, right]))
    assert in_video[0, 0] < in_video[1, 0]
    assert on_page[0, 0] < on_page[1, 0]


@pytest.mark.parametrize("camera", [PINHOLE, FISHEYE], ids=["pinhole", "fisheye"])
def test_what_the_camera_sees_is_lighter(camera: Camera) -> None:
    """The page is lighter just inside, and darker just outside, the image's borders laid on the ground."""
    with TopView(camera, GROUND, [make_path()], SIZE) as view:
        page = view.draw(100.0).astype(int)
        x, y = np.meshgrid(np.arange(-3.0, 3.01, 0.35), np.arange(0.3, 7.0, 0.35))
        points = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
        pixels = np.rint(view.pixels_of(points)).astype(int)
    xy, valid = geometry.project(torch.as_tensor(points), camera)
    edge = 12.0  # px of the video: stay off the border itself
    size = np.array(camera.size)
    inside = valid.numpy() & ((xy.numpy() > edge) & (xy.numpy() < size - edge)).all(-1)
    outside = ~valid.numpy() | ((xy.numpy() < -edge) | (xy.numpy() > size + edge)).any(-1)
    on_page = ((pixels >= 12) & (pixels < np.array(SIZE) - 12)).all(-1)
    light = np.array([np.median(page[v - 3 : v + 4, u - 3 : u + 4], axis=(0, 1)).sum() for u, v in pixels[on_page]])
    inside, outside = inside[on_page], outside[on_page]
    assert inside.sum() > 10
    assert outside.sum() > 3
    assert light[inside].min() > light[outside].max()


def test_the_page_holds_every_path() -> None:
    far = GroundPath(2, TIME_S, make_path().root + np.array([9.0, 14.0, 0.0]), RED)
    with TopView(PINHOLE, GROUND, [make_path(), far], SIZE) as view:
        for path in (make_path(), far):
            pixels = view.pixels_of(path.root)
            assert (pixels > 0).all()
            assert (pixels < np.array(SIZE) - 1).all()


def test_a_far_camera_does_not_shrink_the_people() -> None:
    far = GroundPath(1, TIME_S, make_path().root + np.array([0.0, 60.0, 0.0]), RED)
    with TopView(PINHOLE, GROUND, [far], SIZE) as view:
        assert view.page.pixels_per_m > 40
        assert (view.pixels_of(PINHOLE.center_world)[1]) > SIZE[1]


def test_a_frame_depends_on_its_time_alone() -> None:
    ball = make_ball((0.0, 5.0, 0.5), 0.3)
    with TopView(PINHOLE, GROUND, [make_path()], SIZE) as view:
        first = view.draw(4.0, [ball])
        view.draw(1.0)
        again = view.draw(4.0, [ball])
        later = view.draw(4.1, [ball])
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_the_trail_fades_with_age() -> None:
    with TopView(PINHOLE, GROUND, [replace(make_path(), facing=None)], SIZE, fade_s=4.0) as view:
        empty, page = view.draw(100.0).astype(int), view.draw(6.0).astype(int)
        redness = []
        for seconds in (5.0, 4.0, 3.0, 1.0):
            u, v = np.rint(view.pixels_of(np.array([-2.0 + 0.5 * seconds, 5.0, 0.0]))).astype(int)
            redness.append(int((page[v, u, 0] - empty[v, u, 0]).clip(0)))
    assert redness[0] > redness[1] > redness[2] > redness[3] == 0


def test_someone_who_has_left_is_not_on_the_page() -> None:
    with TopView(PINHOLE, GROUND, [make_path()], SIZE) as view:
        before, there = view.draw(0.0), view.draw(7.9)
        gone = view.draw(7.9 + 30.0)
    clock = (slice(0, 40), slice(SIZE[0] - 120, SIZE[0]))
    for page in (before, there, gone):
        page[clock] = 0
    assert (there != gone).any()
    red = (gone[..., 0].astype(int) - gone[..., 1]) > 120
    assert not red[:, : SIZE[0] - 60].any()  # the axes' red arrow is in the lower right


def test_nobody_at_all_still_gives_a_page() -> None:
    with TopView(PINHOLE, GROUND, [], SIZE) as view:
        assert view.draw(0.0).shape == (SIZE[1], SIZE[0], 3)


def test_a_path_of_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(80, 3\)"):
        GroundPath(1, TIME_S, np.zeros((4, 3)), RED)
