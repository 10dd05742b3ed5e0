"""What every detector and keypoint estimator must do; a new front end is one more entry in FRONT_ENDS."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from realdata import real_folder, real_frames

from mocap_video.detectors.base import FrontEnd
from mocap_video.detectors.front_end import (
    BlazePoseDetection,
    BlazePoseKeypoints,
    FrontEndConfig,
    build_front_end,
)
from mocap_video.detectors.runtime import Runtime
from mocap_video.detectors.standing import pose_box, pose_size
from synth.backends import hf_front_end, openmmlab_front_end, random_dfine_model
from synth.markers import marked_picture

_BLAZEPOSE = FrontEndConfig(BlazePoseDetection(threads=1), BlazePoseKeypoints(threads=1))
FRONT_ENDS: dict[str, Callable[[], FrontEnd]] = {
    "embedded": lambda: build_front_end(_BLAZEPOSE),
    "openmmlab": openmmlab_front_end,
    "hf": hf_front_end,
    "hf, D-FINE": lambda: hf_front_end(detector=random_dfine_model),
    "hf, bf16, flip test": lambda: hf_front_end(Runtime(precision="bf16"), flip_test=True),
}
_SAME_PLACE = 0.02
"""Of the person's size: how far keypoints may move when the picture is framed otherwise."""


@cache
def _built(name: str) -> FrontEnd:
    return FRONT_ENDS[name]()


@pytest.fixture(params=FRONT_ENDS)
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    return _built(request.param)


@cache
def _photograph() -> np.ndarray:
    folder = real_folder("pose2sim_single")
    return real_frames(folder / "cam02.mp4", count=1)[0].rgb


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    """A man, whole, about 600 px tall, alone in the foreground; of markers where the weights are random."""
    name = request.node.callspec.params["front_end"]
    return _photograph() if name == "embedded" else marked_picture()


def tallest(front_end: FrontEnd, rgb: np.ndarray) -> np.ndarray:
    """Return the keypoints ``(17,2)`` px of the largest person that is found in ``rgb``, the place settled once."""
    found = front_end.detector.detect(rgb)
    assert len(found) >= 1
    rough = front_end.estimator.estimate(rgb, found.box_xyxy, found.region)
    poses = front_end.estimator.estimate(rgb, pose_box(rough.xy), rough.region)
    return poses.xy[int(np.argmax(pose_size(poses.xy) * (poses.presence > 0.5)))]


@pytest.mark.parametrize("size", [(720, 1280), (1, 1), (3, 500), (17, 9)])
@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_blank_picture_holds_nobody(front_end: FrontEnd, size: tuple[int, int], value: int) -> None:
    assert len(front_end.detector.detect(np.full((*size, 3), value, np.uint8))) == 0


@pytest.mark.parametrize("size", [(48, 64), (1, 1), (3, 500)])
def test_poses_of_noise_have_the_promised_form(front_end: FrontEnd, size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    boxes = np.array([[0, 0, size[1] - 1, size[0] - 1], [-20, -30, 10, 15], [500, 500, 600, 700]], float)
    poses = front_end.estimator.estimate(rgb, boxes)
    assert poses.xy.shape == (3, 17, 2)
    assert poses.score.shape == (3, 17)
    assert poses.xy.dtype == poses.score.dtype == poses.presence.dtype == np.float64
    assert ((poses.score >= 0) & (poses.score <= 1)).all()
    assert (poses.presence < 0.6).all()


def test_no_boxes_give_no_poses(front_end: FrontEnd) -> None:
    poses = front_end.estimator.estimate(np.zeros((40, 60, 3), np.uint8), np.zeros((0, 4)))
    assert len(poses) == 0
    assert poses.xy.shape == (0, 17, 2)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 4), (0, 60, 3)])
def test_what_is_no_rgb_image_is_refused(front_end: FrontEnd, shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match="expected"):
        front_end.detector.detect(image)
    with pytest.raises(ValueError, match="expected"):
        front_end.estimator.estimate(image, np.zeros((1, 4)))


def test_several_pictures_at_once_give_what_each_gives_alone(front_end: FrontEnd, picture: np.ndarray) -> None:
    pictures = [picture, np.ascontiguousarray(picture[:, 100:]), np.zeros((30, 70, 3), np.uint8)]
    together = front_end.detector.detect_all(pictures)
    for one, alone in zip(together, map(front_end.detector.detect, pictures), strict=True):
        np.testing.assert_allclose(one.box_xyxy, alone.box_xyxy, atol=0.01)  # px
        np.testing.assert_allclose(one.score, alone.score, atol=1e-4)
    assert front_end.detector.detect_all([]) == []


def test_size_range_is_a_range(front_end: FrontEnd) -> None:
    low, high = front_end.detector.size_range
    assert 0 < low < high <= 1


def test_the_same_picture_gives_the_same_answer(front_end: FrontEnd, picture: np.ndarray) -> None:
    before = picture.copy()
    first, second = front_end.detector.detect(picture), front_end.detector.detect(picture)
    assert np.array_equal(first.box_xyxy, second.box_xyxy)
    poses = [front_end.estimator.estimate(picture, first.box_xyxy, first.region) for _ in range(2)]
    assert np.array_equal(poses[0].xy, poses[1].xy)
    assert np.array_equal(poses[0].score, poses[1].score)
    assert np.array_equal(picture, before)


def test_a_person_is_found_where_the_keypoints_are(front_end: FrontEnd, picture: np.ndarray) -> None:
    found = front_end.detector.detect(picture)
    assert (np.diff(found.score) <= 0).all()
    xy = tallest(front_end, picture)
    box = found.box_xyxy[0]
    torso = xy[[5, 6, 11, 12]].mean(0)
    assert (torso > box[:2]).all()
    assert (torso < box[2:]).all()
    assert 450 < pose_size(xy) < 700  # px


@pytest.mark.parametrize("edges", [(0, 60, 0, 90), (120, 0, 200, 40), (-60, -100, -150, -100)])
def test_keypoints_move_with_the_picture(
    front_end: FrontEnd, picture: np.ndarray, edges: tuple[int, int, int, int]
) -> None:
    """Padded (positive) or cropped (negative) left, right, top, bottom: keypoints move by what stands before them."""
    left, right, top, bottom = edges
    if left < 0:
        framed = picture[-top : picture.shape[0] + bottom, -left : picture.shape[1] + right]
    else:
        framed = np.pad(picture, ((top, bottom), (left, right), (0, 0)))
    xy = tallest(front_end, picture)
    moved = tallest(front_end, np.ascontiguousarray(framed)) - [left, top]
    off = np.linalg.norm(moved - xy, axis=-1) / pose_size(xy)
    assert np.median(off) < _SAME_PLACE
    assert np.percentile(off, 80) < 2 * _SAME_PLACE


def test_a_mirrored_picture_gives_the_mirrored_pose(front_end: FrontEnd, picture: np.ndarray) -> None:
    """With sides exchanged, and without a shift: half a pixel of the network's input would be 0.2 % of the person."""
    xy = tallest(front_end, picture)
    mirrored = tallest(front_end, np.ascontiguousarray(picture[:, ::-1]))
    back = mirrored[[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    back[:, 0] = picture.shape[1] - 1 - back[:, 0]
    size = pose_size(xy)
    assert np.median(np.linalg.norm(back - xy, axis=-1)) < _SAME_PLACE * size
    assert abs(np.median(back[5:, 0] - xy[5:, 0])) < 0.01 * size


def test_a_box_is_enough(front_end: FrontEnd, picture: np.ndarray) -> None:
    xy = tallest(front_end, picture)
    poses = front_end.estimator.estimate(picture, pose_box(xy)[None])
    assert poses.presence[0] > 0.8
    assert np.median(np.linalg.norm(poses.xy[0] - xy, axis=-1)) < _SAME_PLACE * pose_size(xy)


def test_the_wish_for_the_next_picture_holds_the_same_person(front_end: FrontEnd, picture: np.ndarray) -> None:
    xy = tallest(front_end, picture)
    poses = front_end.estimator.estimate(picture, pose_box(xy)[None])
    again = front_end.estimator.estimate(picture, pose_box(poses.xy[0])[None], poses.region)
    assert np.median(np.linalg.norm(again.xy[0] - xy, axis=-1)) < _SAME_PLACE * pose_size(xy)


def test_joints_outside_the_picture_are_not_trusted(front_end: FrontEnd, picture: np.ndarray) -> None:
    xy = tallest(front_end, picture)
    waist = int(xy[[11, 12], 1].mean()) + 20
    cut = np.ascontiguousarray(picture[:waist])
    box = pose_box(xy)[None]  # reaches below the cut
    whole, half = front_end.estimator.estimate(picture, box), front_end.estimator.estimate(cut, box)
    assert (half.score[0, 13:] < 0.3).all()
    assert (whole.score[0, 13:] > 0.5).all()
    assert half.score[0, 5:7].min() > 0.5
    assert np.linalg.norm(half.xy[0, 5:7] - xy[5:7], axis=-1).max() < 2 * _SAME_PLACE * pose_size(xy)
