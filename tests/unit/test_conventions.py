"""The lines of docs/conventions.md that no other test holds, and that every test which that page names exists."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import mocap_video.types
from mocap_video.calib import geometry
from mocap_video.calib.checks import summarize
from mocap_video.calib.ground import canonical_frame, pitch_roll_height
from mocap_video.lifter.body import load_body
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix
from mocap_video.skeletons import COCO17, SKELETONS, SMPL24, Skeleton
from mocap_video.types import Calibration, Camera, GroundPlane, Keypoints2D

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("mocap_video", "calib", "detectors", "lifter", "render", "pipeline")
    for path in (ROOT / folder).rglob("*.py")
]
TILT_DEG, HEIGHT_M = 30.0, 4.0


@pytest.fixture
def site() -> tuple[Camera, GroundPlane]:
    """A camera 4 m over the ground z = 1 of a z-up site at (10, 20), looking along +y and 30 degrees down."""
    tilt = np.radians(TILT_DEG)
    forward = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    right = np.array([1.0, 0.0, 0.0])
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[800.0, 0, 639.5], [0, 800, 359.5], [0, 0, 1]])
    camera = Camera(K, R, -R @ np.array([10.0, 20.0, HEIGHT_M + 1.0]), (1280, 720))
    return camera, GroundPlane(np.array([0.0, 0.0, 1.0]), -1.0)


def test_the_camera_looks_along_z_with_x_right_and_y_down(site: tuple[Camera, GroundPlane]) -> None:
    camera, _ = site
    ahead = camera.center_world + 5 * camera.R_cam_from_world[2]
    offsets = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 0, -0.5]])  # nothing; 1 m to the right; 0.5 m down
    pixels, valid = geometry.project(torch.from_numpy(ahead + offsets), camera)
    np.testing.assert_allclose(pixels[0], [639.5, 359.5], atol=1e-9)  # px
    assert pixels[1, 0] > pixels[0, 0]
    assert pixels[2, 1] > pixels[0, 1]
    assert valid.all()


def test_the_canonical_frame_stands_below_the_camera_with_y_up_and_z_ahead(site: tuple[Camera, GroundPlane]) -> None:
    camera, ground = site
    frame = canonical_frame(camera, ground)
    below, ahead, right = np.array([10.0, 20, 1]), np.array([10.0, 23, 1]), np.array([12.0, 20, 1])
    np.testing.assert_allclose(frame.to_canonical(below), [0, 0, 0], atol=1e-12)  # m
    np.testing.assert_allclose(frame.to_canonical(ahead), [0, 0, 3], atol=1e-12)
    np.testing.assert_allclose(frame.to_canonical(right), [-2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(frame.to_canonical(camera.center_world), [0, HEIGHT_M, 0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(frame.R_canonical_from_site), 1.0, atol=1e-12)
    np.testing.assert_allclose(frame.to_site(frame.to_canonical(right)), right, atol=1e-12)


def test_angles_are_radians_unless_their_name_ends_in_deg(site: tuple[Camera, GroundPlane]) -> None:
    camera, ground = site
    R, t = canonical_frame(camera, ground).camera(camera)
    pitch, roll, height = pitch_roll_height(torch.from_numpy(R), torch.from_numpy(t)).tolist()
    np.testing.assert_allclose([pitch, roll, height], [np.radians(TILT_DEG), 0, HEIGHT_M], atol=1e-9)  # rad, rad, m
    said = summarize(Calibration(camera, ground))
    np.testing.assert_allclose([said.tilt_down_deg, said.height_m], [TILT_DEG, HEIGHT_M], atol=1e-9)  # deg, m


def test_transforms_are_named_by_the_frames_they_join() -> None:
    """``R_cam_from_world``, never ``w2c`` or ``world2cam``: products then read by their names."""
    wrong = re.compile(r"(^|_)(c2w|w2c|\w+2(cam|world|pixel|body|site)\w*)$")
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        for name in [getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)]
        if isinstance(name, str) and wrong.search(name)
    }
    assert found == set()


def test_a_missing_keypoint_is_nan_with_score_zero() -> None:
    xy = np.full((1, 17, 2), np.nan)
    score = np.zeros((1, 17))
    missing = Keypoints2D(1, "coco17", np.array([0]), np.array([0.0]), xy, score)
    assert missing.seen.tolist() == [False]
    score[0, 3] = 0.5
    with pytest.raises(ValueError, match="finite xy"):
        Keypoints2D(1, "coco17", np.array([0]), np.array([0.0]), xy, score)


@pytest.mark.parametrize("time_s", [[0.0, 0.0], [0.1, 0.0], [0.0, np.nan]])
def test_time_increases_strictly(time_s: list[float]) -> None:
    with pytest.raises(ValueError, match="time_s"):
        Keypoints2D(1, "coco17", np.array([0, 1]), np.array(time_s), np.zeros((2, 17, 2)), np.zeros((2, 17)))


def test_rotation_vectors_turn_by_their_length_in_radians() -> None:
    quarter = torch.tensor([0.0, 0.0, np.pi / 2], dtype=torch.float64)
    turned = matrix_from_rotvec(quarter) @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-12)  # no unit
    np.testing.assert_allclose(rotvec_from_matrix(matrix_from_rotvec(quarter)), quarter, atol=1e-12)  # rad


def test_the_body_stands_along_y_faces_z_and_has_its_left_at_x() -> None:
    rest = load_body("neutral").rest_joints
    assert rest[SMPL24.index("head"), 1] > rest[SMPL24.index("pelvis"), 1] > rest[SMPL24.index("left_ankle"), 1]
    assert rest[SMPL24.index("left_hip"), 0] > 0 > rest[SMPL24.index("right_hip"), 0]
    assert rest[SMPL24.index("left_foot"), 2] > rest[SMPL24.index("left_ankle"), 2]


def test_the_root_is_the_mid_hip_or_the_pelvis() -> None:
    joints = np.arange(17 * 3, dtype=float).reshape(17, 3)
    hips = [COCO17.index("left_hip"), COCO17.index("right_hip")]
    np.testing.assert_array_equal(COCO17.root_of(joints), joints[hips].mean(0))
    assert SMPL24.root == (SMPL24.index("pelvis"),)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_a_mirror_exchanges_left_and_right_and_undoes_itself(skeleton: Skeleton) -> None:
    assert [skeleton.flip[joint] for joint in skeleton.flip] == list(range(len(skeleton)))
    for joint, name in enumerate(skeleton.names):
        mirrored = skeleton.names[skeleton.flip[joint]]
        assert mirrored == name.replace("left", "*").replace("right", "left").replace("*", "right")
    assert len(skeleton.names) == len(skeleton.sigma) == len(set(skeleton.names))
    assert all(0 <= joint < len(skeleton) for limb in skeleton.limbs for joint in limb)


def test_values_between_stages_are_frozen_and_documented() -> None:
    values = [kind for kind in vars(mocap_video.types).values() if dataclasses.is_dataclass(kind)]
    assert len(values) > 10
    for kind in values:
        assert isinstance(kind, type)
        assert kind.__dataclass_params__.frozen, kind.__name__  # type: ignore[attr-defined]
        assert kind.__doc__
        assert not kind.__doc__.startswith(kind.__name__ + "("), f"{kind.__name__}: the generated docstring"


def test_bgr_lives_only_where_cv2_is_called() -> None:
    users = [path for path in SOURCES if re.search(r"\bBGR|\bbgr\b", path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in users if "cv2" not in path.read_text()] == []


def test_only_the_video_module_decodes_or_encodes_video() -> None:
    coders = re.compile(r"\bav\.open\(|VideoCapture|cv2\.VideoWriter")
    users = {str(path.relative_to(ROOT)) for path in SOURCES if coders.search(path.read_text())}
    assert users == {"pipeline/video.py", "pipeline/joining.py"}
    assert not re.search(r"\.(de|en)code\(", (ROOT / "pipeline/joining.py").read_text())  # it copies packets


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "conventions.md").read_text()
    named = re.findall(r"`(\w+\.py)::(\w+)`", page)
    assert len(named) > 15
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not any(f"def {test}(" in path.read_text() for path in (ROOT / "tests").rglob(file))
    ]
    assert missing == []
