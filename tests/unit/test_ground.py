"""The canonical frame and the ground pointmaps, over random cameras in random site frames."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry, ground
from mocap_video.types import Camera, GroundPlane

PROPERTY = settings(max_examples=60, deadline=None)
UP = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class Mounted:
    """A camera hung ``height`` m over the ground of a random site, and the site's ground plane."""

    camera: Camera
    ground: GroundPlane
    pitch: float
    roll: float
    height: float


def hang(pitch: float, roll: float, height: float, R_site_from_level: np.ndarray, position: np.ndarray) -> Mounted:
    """Hang a camera over ``position (3)`` m of a ground whose up, heading and right are columns of a rotation."""
    right, heading, up = R_site_from_level.T
    forward = math.cos(pitch) * heading - math.sin(pitch) * up
    down = -math.cos(pitch) * up - math.sin(pitch) * heading
    image_right = math.cos(roll) * right + math.sin(roll) * down
    R = np.stack([image_right, math.cos(roll) * down - math.sin(roll) * right, forward])
    camera = Camera(
        np.array([[1400.0, 0, 960], [0, 1400, 540], [0, 0, 1]]), R, -R @ (position + height * up), (1920, 1080)
    )
    return Mounted(camera, GroundPlane(up, -float(up @ position)), pitch, roll, height)


def within(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def mounted(draw: st.DrawFn) -> Mounted:
    axes = Rotation.from_rotvec([draw(within(-3, 3)) for _ in range(3)]).as_matrix()
    position = np.array([draw(within(-50, 50)) for _ in range(3)])
    return hang(draw(within(-0.3, 1.55)), draw(within(-3, 3)), draw(within(0.3, 20)), axes, position)


def canonical_pose(case: Mounted) -> tuple[torch.Tensor, torch.Tensor]:
    R, t = ground.canonical_frame(case.camera, case.ground).camera(case.camera)
    return torch.from_numpy(R), torch.from_numpy(t)


@PROPERTY
@given(mounted())
def test_canonical_frame_is_what_its_definition_says(case: Mounted) -> None:
    frame = ground.canonical_frame(case.camera, case.ground)
    R = frame.R_canonical_from_site
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1, abs=1e-12)  # right-handed
    center = frame.to_canonical(case.camera.center_world)
    np.testing.assert_allclose(center, [0, case.height, 0], atol=1e-9)  # metres
    random = np.random.default_rng(0).normal(size=(20, 3)) * 10
    np.testing.assert_allclose(frame.to_canonical(random)[:, 1], case.ground.height_of(random), atol=1e-9)
    heading = R @ case.camera.R_cam_from_world[2]
    assert heading[0] == pytest.approx(0, abs=1e-9)
    assert heading[2] == pytest.approx(math.cos(case.pitch), abs=1e-9)  # forward is +Z


def test_plus_x_is_the_cameras_left() -> None:
    case = hang(0.3, 0, 3, np.eye(3), np.zeros(3))
    R, t = canonical_pose(case)
    in_camera = geometry.to_camera(torch.tensor([1.0, 0, 5], dtype=torch.float64), R, t)
    assert in_camera[0] == pytest.approx(-1)


@PROPERTY
@given(mounted())
def test_points_return_to_the_site_and_the_camera_sees_the_same(case: Mounted) -> None:
    frame = ground.canonical_frame(case.camera, case.ground)
    points = np.random.default_rng(1).uniform(-20, 20, (50, 3)) + case.camera.center_world
    canonical = frame.to_canonical(points)
    np.testing.assert_allclose(frame.to_site(canonical), points, atol=1e-9)  # metres
    R, t = frame.camera(case.camera)
    in_camera = points @ case.camera.R_cam_from_world.T + case.camera.t_cam_from_world
    np.testing.assert_allclose(canonical @ R.T + t, in_camera, atol=1e-9)  # metres


@PROPERTY
@given(mounted())
def test_pitch_roll_and_height_are_recovered(case: Mounted) -> None:
    pitch, roll, height = ground.pitch_roll_height(*canonical_pose(case)).tolist()
    assert pitch == pytest.approx(case.pitch, abs=1e-9)  # radians
    assert roll == pytest.approx(case.roll, abs=1e-9)
    assert height == pytest.approx(case.height, abs=1e-9)  # metres


def test_signs_positive_pitch_looks_down_and_positive_roll_lowers_the_right_side() -> None:
    R, t = canonical_pose(hang(0.4, 0.2, 3, np.eye(3), np.zeros(3)))
    rays = geometry.ray_directions(torch.tensor([[0.0, 0], [1, 0]], dtype=torch.float64), R)
    assert rays[0, 1] < 0  # the optical axis points down
    assert rays[1, 1] < rays[0, 1]  # the right side of the image lies lower
    assert ground.pitch_roll_height(R, t)[:2].tolist() == pytest.approx([0.4, 0.2])


@PROPERTY
@given(mounted(), within(-3, 3))
def test_pitch_roll_and_height_do_not_depend_on_the_heading(case: Mounted, yaw: float) -> None:
    R, t = canonical_pose(case)
    turned = R @ torch.from_numpy(Rotation.from_rotvec([0, yaw, 0]).as_matrix())
    torch.testing.assert_close(ground.pitch_roll_height(turned, t), ground.pitch_roll_height(R, t), atol=1e-9, rtol=0)


def test_pitch_roll_and_height_of_a_batch_in_float32_near_straight_down() -> None:
    pitch = torch.linspace(1.45, 1.565, 30)
    poses = [canonical_pose(hang(float(p), 0.1, 4, np.eye(3), np.zeros(3))) for p in pitch]
    R, t = (torch.stack(parts).float() for parts in zip(*poses, strict=True))
    found = ground.pitch_roll_height(R, t)
    assert found.shape == (30, 3)
    torch.testing.assert_close(found[:, 0], pitch, atol=1e-5, rtol=0)  # radians
    torch.testing.assert_close(found[:, 1], torch.full((30,), 0.1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("error", [0.0, 1e-17, -1e-9, 1e-5])
def test_a_camera_that_looks_straight_down_heads_where_the_top_of_its_image_points(error: float) -> None:
    case = hang(math.pi / 2 + error, 0, 3, np.eye(3), np.array([2.0, -1, 0]))
    frame = ground.canonical_frame(case.camera, case.ground)
    np.testing.assert_allclose(frame.to_site(np.array([0.0, 0, 0])), [2, -1, 0], atol=1e-9)
    np.testing.assert_allclose(frame.R_canonical_from_site[2], [0, 1, 0], atol=1e-9)
    R, t = canonical_pose(case)
    pitch, roll, height = ground.pitch_roll_height(R, t).tolist()
    assert pitch == pytest.approx(math.pi / 2, abs=2e-5)
    assert (roll, height) == (0, pytest.approx(3))
    R.requires_grad_()
    ground.pitch_roll_height(R, t).sum().backward()
    assert R.grad is not None
    assert torch.isfinite(R.grad).all()


def test_a_normal_of_nearly_unit_length_still_gives_an_exact_frame() -> None:
    case = hang(0.5, 0.1, 3, np.eye(3), np.array([7.0, 1, 2]))
    slack = GroundPlane(case.ground.normal * (1 + 5e-7), case.ground.offset * (1 + 5e-7))
    frame = ground.canonical_frame(case.camera, slack)
    np.testing.assert_allclose(frame.to_canonical(case.camera.center_world), [0, 3, 0], atol=1e-9)  # metres
    np.testing.assert_allclose(frame.to_site(frame.to_canonical(np.full(3, 9.0))), np.full(3, 9.0), atol=1e-9)


@PROPERTY
@given(mounted(), within(5, 60))
def test_pointmap_cells_lie_on_the_ground_and_project_back_to_their_centres(case: Mounted, reach: float) -> None:
    R, t = canonical_pose(case)
    bounds, rows, columns = torch.tensor([-0.7, -0.4, 0.7, 0.4], dtype=torch.float64), 9, 16
    pointmap = ground.ground_pointmap(R, t, bounds, (rows, columns), reach)
    x = -0.7 + 1.4 * (torch.arange(columns, dtype=torch.float64) + 0.5) / columns
    y = -0.4 + 0.8 * (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    # The rule, written another way: the angle below the horizon decides how far away the ground is met.
    rays = geometry.ray_directions(cells, R)
    below = torch.atan2(-rays[..., 1], rays[..., [0, 2]].norm(dim=-1))
    expected = (below > 0) & (case.height / torch.tan(below.clamp_min(1e-9)) <= reach)
    filled = torch.isfinite(pointmap).all(-1)
    assert torch.equal(filled, expected)
    assert torch.equal(torch.isnan(pointmap).any(-1), ~filled)
    np.testing.assert_allclose(pointmap[filled][:, 1], 0, atol=1e-9)  # metres
    back, depth = geometry.project_normalized(pointmap[filled], R, t)
    assert (depth > 0).all()
    np.testing.assert_allclose(1500 * back, 1500 * cells[filled], atol=1e-3)  # px of a 1500 px focal length
    assert (pointmap[filled][:, [0, 2]].norm(dim=-1) <= reach + 1e-9).all()


def test_pointmap_of_a_level_camera_ends_at_the_horizon() -> None:
    R, t = canonical_pose(hang(0.0, 0, 2, np.eye(3), np.zeros(3)))
    bounds = torch.tensor([-0.5, -0.5, 0.5, 0.5], dtype=torch.float64)
    pointmap = ground.ground_pointmap(R, t, bounds, (5, 3), 1e9)  # the middle row looks at the horizon itself
    assert torch.isnan(pointmap[:3]).all()
    assert torch.isfinite(pointmap[3:]).all()
    assert pointmap[3, 1].tolist() == pytest.approx([0, 0, 2 / 0.2])


def test_pointmap_of_a_camera_that_looks_straight_down_is_centred_below_it() -> None:
    R, t = canonical_pose(hang(math.pi / 2, 0, 3, np.eye(3), np.zeros(3)))
    bounds = torch.tensor([-0.5, -0.5, 0.5, 0.5], dtype=torch.float64)
    pointmap = ground.ground_pointmap(R, t, bounds, (4, 4), 50)
    assert torch.isfinite(pointmap).all()
    np.testing.assert_allclose(pointmap.mean((0, 1)), [0, 0, 0], atol=1e-9)  # metres
    assert pointmap[0, 0].tolist() == pytest.approx([1.125, 0, 1.125])  # top left: ahead and to the left


def test_pointmaps_of_a_batch_are_those_of_its_cameras() -> None:
    poses = [canonical_pose(hang(p, 0.1, 3, np.eye(3), np.zeros(3))) for p in (0.2, 0.5, 0.9)]
    R, t = (torch.stack(parts).float() for parts in zip(*poses, strict=True))
    bounds = torch.tensor([[-0.7, -0.4, 0.7, 0.4], [-0.3, -0.5, 0.3, 0.5], [-1.0, -1, 1, 1]])
    batch = ground.ground_pointmap(R, t, bounds, (6, 8), 40)
    assert batch.shape == (3, 6, 8, 3)
    for i in range(3):
        alone = ground.ground_pointmap(R[i], t[i], bounds[i], (6, 8), 40)
        torch.testing.assert_close(batch[i], alone, equal_nan=True)
    shared = ground.ground_pointmap(R, t, bounds[0], (6, 8), 40)
    torch.testing.assert_close(shared[0], batch[0], equal_nan=True)
