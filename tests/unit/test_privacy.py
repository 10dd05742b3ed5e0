"""Faces in the videos: hidden whichever way they are turned, beyond recovery, and nothing else is touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mocap_video.render.privacy import Heads, blur_circle, heads_of, hide_faces
from mocap_video.skeletons import COCO17
from mocap_video.types import Keypoints2D, StoredFrame, Yuv420

SIZE = (320, 240)
FACE = [COCO17.index(name) for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
PX_PER_M = 100.0
_STANDING_M = {
    "nose": (0, -0.72), "left_eye": (0.03, -0.75), "right_eye": (-0.03, -0.75), "left_ear": (0.07, -0.73),
    "right_ear": (-0.07, -0.73), "left_shoulder": (0.17, -0.5), "right_shoulder": (-0.17, -0.5),
    "left_elbow": (0.2, -0.23), "right_elbow": (-0.2, -0.23), "left_wrist": (0.2, 0), "right_wrist": (-0.2, 0),
    "left_hip": (0.1, 0), "right_hip": (-0.1, 0), "left_knee": (0.1, 0.4), "right_knee": (-0.1, 0.4),
    "left_ankle": (0.1, 0.79), "right_ankle": (-0.1, 0.79),
}  # fmt: skip
"""Someone who faces the camera: x and y m in the image, from the middle of the hips."""


def standing(*hips: tuple[float, float], rate: float = 25.0) -> Keypoints2D:
    """Return a person, 100 px a metre, whose hips are at ``hips`` px, one a frame."""
    pose = PX_PER_M * np.array([_STANDING_M[name] for name in COCO17.names])
    xy = np.array(hips, dtype=float)[:, None] + pose
    count = len(hips)
    return Keypoints2D(1, "coco17", np.arange(count), np.arange(count) / rate, xy, np.full((count, 17), 0.9))


def without(person: Keypoints2D, joints: list[int], rows: slice = slice(None)) -> Keypoints2D:
    xy, score = person.xy.copy(), person.score.copy()
    xy[rows, joints], score[rows, joints] = np.nan, 0.0
    return Keypoints2D(1, "coco17", person.frames, person.time_s, xy, score)


def noise() -> Yuv420:
    width, height = SIZE
    return Yuv420(np.random.default_rng(0).integers(16, 236, (height * 3 // 2, width), dtype=np.uint8))


def head_of(person: Keypoints2D, row: int = 0) -> tuple[np.ndarray, float]:
    heads = heads_of(person)
    assert heads is not None
    return heads.centre[row], heads.radius[row]


def covers_the_head(centre: np.ndarray, radius: float, person: Keypoints2D, row: int = 0) -> bool:
    """Say whether the circle holds a real head: 12 cm up, down and to both sides of the nose's height."""
    middle = person.xy[row, FACE].mean(0)
    rim = middle + 12.0 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    return bool((np.linalg.norm(rim - centre, axis=1) <= radius).all())


def test_the_circle_holds_the_head_and_little_more() -> None:
    person = standing((160, 130))
    centre, radius = head_of(person)
    assert covers_the_head(centre, radius, person)
    assert radius < 30  # px: 30 cm


@pytest.mark.parametrize("lost", [FACE, FACE[1:], FACE[:3], [*FACE, *range(11, 17)]], ids=str)
def test_a_head_turned_away_is_found(lost: list[int]) -> None:
    """From behind, only the nose, only the ears, and shoulders and arms alone."""
    person = standing((160, 130))
    centre, radius = head_of(without(person, lost))
    assert covers_the_head(centre, radius, person)
    assert radius < 40  # px


def test_a_face_that_fills_the_picture_is_found_without_a_body() -> None:
    person = standing((160, 130))
    centre, radius = head_of(without(person, list(range(5, 17))))
    assert np.linalg.norm(centre - person.xy[0, FACE].mean(0)) < 1  # px
    assert radius > 12  # px: the face from chin to brow


def test_frames_that_show_nothing_lie_between_their_neighbours() -> None:
    person = standing((60, 130), (80, 130), (100, 130), (120, 130))
    hidden = without(person, list(range(17)), slice(1, 3))
    for row in range(4):
        assert covers_the_head(*head_of(hidden, row), person, row)


def test_one_keypoint_gone_astray_does_not_hide_the_picture() -> None:
    person = standing((160, 130))
    person.xy[0, COCO17.index("left_wrist")] += 120
    assert head_of(person)[1] < 35  # px


def test_somebody_of_whom_nothing_is_seen_has_no_head() -> None:
    assert heads_of(without(standing((160, 130)), list(range(17)))) is None


@pytest.mark.parametrize("centre", [(160.0, 60.0), (3.0, 60.0), (318.0, 2.0), (161.0, 239.0)])
def test_inside_is_hidden_and_outside_is_not_touched(centre: tuple[float, float]) -> None:
    picture, before = noise(), noise()
    blur_circle(picture, np.array(centre), 20.0)
    for plane, old, cell in zip(picture.planes, before.planes, (1, 2, 2), strict=True):
        y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
        distance = cell * np.hypot(x + 0.5 - (centre[0] + 0.5) / cell, y + 0.5 - (centre[1] + 0.5) / cell)
        inside = distance < 19
        np.testing.assert_array_equal(plane[distance > 21], old[distance > 21])
        assert (plane[inside] != old[inside]).mean() > 0.9
        assert plane[inside].std() < 0.35 * old[inside].std()


def test_a_circle_beside_the_picture_changes_nothing() -> None:
    picture = noise()
    for centre in ((-40.0, 60.0), (160.0, 300.0), (400.0, -90.0)):
        blur_circle(picture, np.array(centre), 20.0)
    np.testing.assert_array_equal(picture.data, noise().data)


def test_what_is_left_holds_nothing_finer_than_the_grid() -> None:
    """Two faces that differ in their details and not in their large patches come out as good as the same."""
    rng = np.random.default_rng(1)
    coarse = cv2.resize(rng.uniform(60, 180, (3, 3)), (81, 81), interpolation=cv2.INTER_NEAREST)
    results = []
    for _ in range(2):
        detail = rng.uniform(-50, 50, (81, 81))
        picture = noise()
        luma = picture.planes[0]
        luma[20:101, 100:181] = np.clip(coarse + detail, 16, 235).astype(np.uint8)
        blur_circle(picture, np.array([140.0, 60.0]), 40.0)
        results.append(luma[40:80, 120:160].astype(float))
    assert np.abs(results[0] - results[1]).max() < 8  # of 220 levels; the details differ by up to 100


def test_everyone_is_hidden_in_every_frame_and_a_little_before_and_after() -> None:
    first, second = standing((80, 130), (84, 130)), standing((240, 130), (236, 130))
    times = (-0.6, -0.4, 0.0, 0.04, 0.5, 0.6)
    frames = [StoredFrame(row, time_s, noise()) for row, time_s in enumerate(times)]
    changed = [
        [bool((frame.picture.planes[0][50:65, x - 6 : x + 6] != noise().planes[0][50:65, x - 6 : x + 6]).any())
         for x in (82, 238)]
        for frame in hide_faces(frames, [first, second])
    ]  # fmt: skip
    assert changed == [[False, False], [True, True], [True, True], [True, True], [True, True], [False, False]]


def test_between_frames_the_head_is_between() -> None:
    heads = Heads(np.array([0.0, 1.0]), np.array([[10.0, 20], [30, 20]]), np.array([5.0, 9.0]))
    found = heads.at(0.5)
    assert found is not None
    np.testing.assert_allclose(found[0], [20, 20])  # px
    assert found[1] == pytest.approx(7)  # px
