"""The demo's pictures: people stand where they should, hide and are hidden, throw shadows, and repeat exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mocap_video.calib import geometry
from mocap_video.render.review import ReviewBoard
from mocap_video.render.scene import SceneRenderer
from mocap_video.render.wardrobe import Outfit, clothed_colours
from mocap_video.render.yuv import yuv420_from_rgb
from mocap_video.skeletons import COCO17, SMPL24
from synth.cameras import GREEN, GROUND, make_ball, make_camera

CAMERA = make_camera("opencv", (-0.2, 0.05, 0.0, 0.0, 0.0), size=(320, 180), hfov_deg=75.0)


def pixel_of(point: tuple[float, float, float]) -> tuple[int, int]:
    xy = geometry.project(torch.tensor(point, dtype=torch.float64), CAMERA)[0].numpy()
    return round(float(xy[0])), round(float(xy[1]))


@pytest.fixture(scope="module")
def scene() -> SceneRenderer:
    return SceneRenderer(CAMERA, GROUND, seed=1)


def test_a_person_is_where_the_camera_sees_them(scene: SceneRenderer) -> None:
    place = (-1.0, 5.0, 1.0)
    changed = np.abs(scene.draw([make_ball(place, 0.3, GREEN)], 0.0).astype(int) - scene.draw([], 0.0)).max(-1) > 25
    u, v = pixel_of(place)
    assert changed[v, u]
    assert not changed[:, : u - 30].any()


def test_green_is_green(scene: SceneRenderer) -> None:
    out = scene.draw([make_ball((0.0, 5.0, 1.0), 0.4, GREEN)], 0.0).astype(int)
    u, v = pixel_of((0.0, 5.0, 1.0))
    assert out[v, u, 1] > out[v, u, 0] + 40
    assert out[v, u, 1] > out[v, u, 2] + 40


def test_the_sun_throws_a_shadow_away_from_it(scene: SceneRenderer) -> None:
    """The sun stands over the camera's left shoulder: the shadow lies to the right of the feet, and farther off."""
    lit, shaded = (scene.draw(meshes, 0.0).astype(int).sum(-1) for meshes in ([], [make_ball((0.0, 5.0, 1.0), 0.3)]))
    u, v = pixel_of((0.5 / 0.76, 5.0 + 0.42 / 0.76, 0.0))
    assert shaded[v, u] < 0.8 * lit[v, u]
    u, v = pixel_of((-0.66, 5.0, 0.0))
    assert shaded[v, u] == lit[v, u]


def test_a_box_hides_who_is_behind_it(scene: SceneRenderer) -> None:
    empty = scene.draw([], 0.0)
    behind = scene.draw([make_ball((3.0, 24.0, 1.0), 0.5, GREEN)], 0.0)  # behind the long wall
    before = scene.draw([make_ball((3.0, 17.0, 1.0), 0.5, GREEN)], 0.0)
    assert np.array_equal(behind, empty)
    assert not np.array_equal(before, empty)


def test_the_same_seed_and_time_give_the_same_frame(scene: SceneRenderer) -> None:
    ball = make_ball((0.0, 5.0, 1.0), 0.3)
    with SceneRenderer(CAMERA, GROUND, seed=1) as twin:
        assert np.array_equal(scene.draw([ball], 0.4), twin.draw([ball], 0.4))
    still, later = scene.draw([], 0.0).astype(int), scene.draw([], 0.04).astype(int)
    assert 0.5 < np.abs(still - later).mean() < 4.0  # grey levels: the camera's noise


def test_the_picture_is_lit_not_flat(scene: SceneRenderer) -> None:
    out = scene.draw([], 0.0).astype(float)
    assert 60 < out.mean() < 200
    assert out[:20, :, 2].mean() > out[:20, :, 0].mean()  # the sky is blue
    assert (out > 250).mean() < 0.02  # next to nothing is burnt out


def test_clothes_follow_the_body() -> None:
    joints, landmarks = np.zeros((24, 3)), np.zeros((17, 3))
    for name, point in {
        "neck": (0, 0.53, 0), "left_shoulder": (0.17, 0.44, 0), "left_elbow": (0.43, 0.44, 0),
        "left_ankle": (0.14, -0.82, 0),
    }.items():  # fmt: skip
        joints[SMPL24.index(name)] = point
    for name, point in {
        "nose": (0, 0.64, 0.14), "left_eye": (0.03, 0.68, 0.12), "right_eye": (-0.03, 0.68, 0.12),
        "left_ear": (0.07, 0.66, 0.04),
    }.items():  # fmt: skip
        landmarks[COCO17.index(name)] = point
    places = {
        "shirt": ("spine2", (0, 0.3, 0.1)),
        "skin": ("left_elbow", (0.6, 0.44, 0)),
        "trousers": ("left_knee", (0.1, -0.5, 0)),
        "shoes": ("left_foot", (0.15, -0.84, 0.1)),
        "soles": ("left_foot", (0.15, -0.90, 0.1)),
        "hair": ("head", (0, 0.79, 0)),
    }
    template = np.array([point for _, point in places.values()], np.float64)
    weights = np.zeros((len(places), 24))
    weights[np.arange(len(places)), [SMPL24.index(joint) for joint, _ in places.values()]] = 1.0
    colours = clothed_colours(template, weights, joints, landmarks)
    for part, colour in zip(places, colours, strict=True):
        assert tuple(colour) == getattr(Outfit(), part), part


@pytest.mark.parametrize("height", [360, 362, 720])
def test_the_review_frame_holds_both_pictures(height: int) -> None:
    sizes = ((1280, 720), (400, 500))
    left, right = (
        yuv420_from_rgb(np.full((tall, wide, 3), colour, np.uint8))
        for (wide, tall), colour in zip(sizes, ((200, 30, 30), (30, 30, 200)), strict=True)
    )
    board = ReviewBoard(sizes, height, caption="gate, 12:00:01")
    frame = board.frame(left, right)
    assert frame.size == board.size
    for plane, reds, blues, cell in zip(frame.planes, left.planes, right.planes, (1, 2, 2), strict=True):
        panels = plane[: (board.size[1] - round(height / 18)) // cell]  # not the caption, whose ink has any shade
        red, blue = panels == reds[0, 0], panels == blues[0, 0]
        for panel, (wide, tall) in zip((red, blue), sizes, strict=True):
            assert panel.sum() == pytest.approx(height * wide * height / tall / cell**2, abs=height)  # a column
        assert np.nonzero(red.any(0))[0].max() < np.nonzero(blue.any(0))[0].min()
    other = ReviewBoard(sizes, height, caption="gate, 12:00:02")
    assert other.size == board.size
    assert not np.array_equal(other.frame(left, right).data, frame.data)
