"""BlazePose's arithmetic, without its networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocap_video.detectors import assets, blazepose
from mocap_video.detectors.front_end import BlazePoseDetection
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.skeletons import COCO17


def test_the_anchors_are_those_of_the_network() -> None:
    anchors = blazepose.detector_anchors()
    assert anchors.shape == (2254, 2)
    assert np.allclose(anchors[[0, 1]], 0.5 / 28)
    assert np.allclose(anchors[-1], 6.5 / 7)


def test_a_detection_is_decoded_about_its_anchor() -> None:
    anchors = blazepose.detector_anchors()
    raw, logits = np.zeros((2254, 12)), np.full(2254, -9.0)
    raw[1000] = [2, -3, 22.4, 44.8, 0, 0, 0, -56, 0, 0, 0, 0]
    logits[1000] = 3.0
    found = blazepose.decode_detector(raw, logits, anchors, threshold=0.5)
    assert found.score == pytest.approx([1 / (1 + np.exp(-3))])
    assert np.allclose(found.face_xywh[0], [*(anchors[1000] + [2 / 224, -3 / 224]), 0.1, 0.2])
    assert np.allclose(found.points[0, 1], anchors[1000] + [0, -0.25])


def test_overlapping_faces_are_one_and_apart_they_are_two() -> None:
    anchors = blazepose.detector_anchors()
    raw, logits = np.zeros((2254, 12)), np.full(2254, -9.0)
    raw[:, 2:4] = 30
    logits[[100, 101, 1200]] = [2.0, 3.0, 1.0]
    found = blazepose.decode_detector(raw, logits, anchors, threshold=0.5)
    assert found.score == pytest.approx(blazepose.sigmoid(np.array([3.0, 1.0])))


@given(
    st.floats(-500, 2500),
    st.floats(-500, 2500),
    st.floats(5, 3000),
    st.floats(-np.pi + 1e-3, np.pi - 1e-3),
)
def test_a_region_comes_back_from_its_circle(cx: float, cy: float, side: float, angle: float) -> None:
    centre = np.array([cx, cy])
    edge = centre + side / 2 * np.array([np.sin(angle), -np.cos(angle)])  # the body's top, turned clockwise by angle
    region = blazepose.region_from_points(centre, edge)
    assert region == pytest.approx([cx, cy, side, angle], rel=1e-6, abs=1e-6)
    # The crop shows the body upright: its centre in the middle, its top straight above.
    to_image = blazepose.image_from_crop(region)
    middle = blazepose.LANDMARK_SIDE / 2
    top = middle - middle / blazepose.CROP_MARGIN
    assert to_image[:, :2] @ [middle, middle] + to_image[:, 2] == pytest.approx(centre, abs=1e-6)
    assert to_image[:, :2] @ [middle, top] + to_image[:, 2] == pytest.approx(edge, abs=1e-6)


def test_a_circle_smaller_than_a_pixel_is_no_region() -> None:
    assert np.isnan(blazepose.region_from_points(np.zeros(2), np.array([0.0, -0.5]))).all()


def test_the_crop_keeps_pixels_where_the_arithmetic_says() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[90:93, 200:203] = 255  # a spot whose middle pixel is (201, 91)
    region = np.array([180.0, 100.0, 204.8, 0.3])  # 204.8 * 1.25 / 256: one crop pixel an image pixel
    value = blazepose.crop(image, region)[0, ..., 0]
    y, x = np.mgrid[0:256, 0:256] + 0.5
    spot = np.array([(value * x).sum(), (value * y).sum()]) / value.sum()
    to_image = blazepose.image_from_crop(region)
    assert to_image[:, :2] @ spot + to_image[:, 2] == pytest.approx([201, 91], abs=0.05)  # px


def test_refinement_finds_the_peak_between_cells() -> None:
    truth = np.array([[100.0, 60.0], [30.5, 200.25]])
    y, x = np.mgrid[0:64, 0:64] * 4.0
    distance = (x[..., None] - truth[:, 0]) ** 2 + (y[..., None] - truth[:, 1]) ** 2
    p = np.clip(0.95 * np.exp(-0.5 * distance / 4.0**2), 1e-9, None)
    refined, peak = blazepose.refine(truth + np.array([3.0, -3.0]), np.log(p / (1 - p)))
    assert refined == pytest.approx(truth, abs=0.1)  # crop px
    assert (peak > 0.8).all()


def test_refinement_leaves_what_the_heatmap_does_not_know() -> None:
    xy = np.array([[100.0, 60.0], [-20.0, 300.0]])
    refined, peak = blazepose.refine(xy, np.full((64, 64, 2), -8.0))
    assert np.array_equal(refined, xy)
    assert peak[0] < 0.01
    assert peak[1] == 0  # outside the crop


def head(facing_rad: float) -> np.ndarray:
    """Return COCO-17 joints in camera axes of a person who looks at the camera, turned by ``facing_rad``."""
    joints = np.zeros((17, 3))
    joints[:5] = [[0, 0, -0.12], [0.03, -0.04, -0.10], [-0.03, -0.04, -0.10], [0.08, -0.02, 0], [-0.08, -0.02, 0]]
    cos, sin = np.cos(facing_rad), np.sin(facing_rad)
    return joints @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T


def test_a_face_is_seen_from_the_front_and_not_from_behind() -> None:
    front, behind = blazepose.face_visibility(head(0)), blazepose.face_visibility(head(np.pi))
    assert (front > 0.8).all()
    assert (behind[:3] < 0.05).all()
    assert (behind[3:] > 0.8).all()  # ears are seen from behind too


@pytest.mark.parametrize("side", [-1, 1])
def test_in_profile_the_far_side_of_the_face_is_hidden(side: int) -> None:
    visible = blazepose.face_visibility(head(side * np.pi / 2))
    left_ear, right_ear = visible[COCO17.index("left_ear")], visible[COCO17.index("right_ear")]
    near, far = (left_ear, right_ear) if head(side * np.pi / 2)[3, 2] < 0 else (right_ear, left_ear)
    assert near > 0.9
    assert far < 0.05


def test_scores_fall_with_visibility_and_with_the_peak() -> None:
    logits, peaks = np.linspace(-6, 6, 13), np.linspace(0, 1, 13)
    sure = np.full(13, 8.0)
    assert (np.diff(blazepose.keypoint_score(logits, sure, np.full(13, 0.9))) >= 0).all()
    assert (np.diff(blazepose.keypoint_score(sure, sure, peaks)) >= 0).all()
    assert blazepose.keypoint_score(sure, -sure, np.full(13, 0.9)).max() < 0.01


def test_the_shipped_networks_are_what_they_say() -> None:
    for model in (assets.POSE_DETECTION, assets.POSE_LANDMARK_HEAVY):
        assert len(assets.read_model(model)) == model.size


def test_licence_and_notice_stand_beside_the_networks() -> None:
    assert "Apache License" in (assets.MODELS_FOLDER / "LICENSE").read_text()
    readme = (assets.MODELS_FOLDER / "README.md").read_text()
    for model in (assets.POSE_DETECTION, assets.POSE_LANDMARK_HEAVY):
        assert model.sha256 in readme


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    content = bytearray(assets.read_model(assets.POSE_DETECTION))
    content[1000] ^= 1
    (tmp_path / assets.POSE_DETECTION.name).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"pose_detection\.tflite: expected .* SHA-256"):
        assets.read_model(assets.POSE_DETECTION, tmp_path)


def test_an_absent_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"pose_detection\.tflite.*not there"):
        assets.read_model(assets.POSE_DETECTION, tmp_path)


@pytest.mark.parametrize("bad", [{"threads": 0}, {"score": 1.5}])
def test_settings_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BlazePoseDetection(**bad)  # pyright: ignore[reportArgumentType]
