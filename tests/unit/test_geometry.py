"""Projection, its inverses and triangulation; OpenCV and numpy are the oracles."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.types import Camera, DistortionModel

PX = 1e-6  # pixels, float64
Lens = tuple[DistortionModel, tuple[float, ...]]
Case = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
PROPERTY = settings(max_examples=40, deadline=None)

STRONG_LENSES: dict[str, tuple[DistortionModel, np.ndarray]] = {
    "barrel that folds": ("opencv", np.array([-0.4, 0.0, 0.0, 0.0, 0.0])),
    "action camera": ("opencv", np.array([-0.28, 0.09, 0.0005, -0.0003, -0.014])),
    "oscillating": ("opencv", np.array([-0.5, 0.6, 0.002, 0.001, -0.4])),
    "pincushion": ("opencv", np.array([0.3, 0.2, -0.002, 0.001, 0.1])),
    "ideal fisheye": ("fisheye", np.array([0.0, 0.0, 0.0, 0.0])),
    "fisheye": ("fisheye", np.array([-0.02, 0.01, -0.005, 0.001])),
    "fisheye that folds": ("fisheye", np.array([0.1, -0.05, 0.02, -0.01])),
}
lens_cases = pytest.mark.parametrize(("model", "coeffs"), STRONG_LENSES.values(), ids=STRONG_LENSES.keys())


def within(size: float) -> st.SearchStrategy[float]:
    return st.floats(-size, size, allow_subnormal=False)


opencv_coeffs = st.tuples(within(0.35), within(0.15), within(0.003), within(0.003), within(0.05))
fisheye_coeffs = st.tuples(within(0.1), within(0.05), within(0.02), within(0.01))
no_lens: st.SearchStrategy[Lens] = st.just(("none", ()))
opencv_lenses: st.SearchStrategy[Lens] = opencv_coeffs.map(lambda coeffs: ("opencv", coeffs))
fisheye_lenses: st.SearchStrategy[Lens] = fisheye_coeffs.map(lambda coeffs: ("fisheye", coeffs))
lenses = st.one_of(no_lens, opencv_lenses, fisheye_lenses)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    model, coeffs = draw(lenses)
    size = draw(st.sampled_from([(1920, 1080), (1088, 1920), (641, 479)]))
    fx, aspect = draw(st.floats(0.3, 3)) * size[0], draw(st.floats(0.95, 1.05))
    cx, cy = (side / 2 + draw(within(0.1)) * side for side in size)
    R = Rotation.from_rotvec([draw(within(3)) for _ in range(3)]).as_matrix()
    t = np.array([draw(within(10)) for _ in range(3)])
    return Camera(
        np.array([[fx, 0, cx], [0, fx * aspect, cy], [0, 0, 1.0]]), R, t, size, model, np.array(coeffs, dtype=float)
    )


def disc(radius: float, count: int = 200) -> torch.Tensor:
    """Ideal normalised points (count, 2) that fill a disc, its centre and its rim included."""
    r = radius * np.sqrt(np.linspace(0, 1, count))
    angle = np.arange(count) * 2.399963
    return torch.from_numpy(np.stack([r * np.cos(angle), r * np.sin(angle)], -1))


def field_radius(model: DistortionModel, coeffs: np.ndarray) -> float:
    """Ideal radius well inside the lens's field: up to it the radius grows by more than tangential terms can undo."""
    widest = min(0.9 * geometry.lens_limit(model, coeffs), 3.0)
    if model != "opencv":
        return widest
    radius = np.linspace(0, widest, 500)
    k1, k2, _, _, k3 = coeffs
    slope = 1 + radius**2 * (3 * k1 + radius**2 * (5 * k2 + radius**2 * 7 * k3))
    return float(radius[np.cumprod(slope > 0.2).sum() - 1])


def world_points(camera: Camera, xy: torch.Tensor) -> torch.Tensor:
    """Points (N, 3) m in the world, 0.5 to 30 m deep, that lie on the ideal normalised ``xy (N, 2)``."""
    depth = torch.linspace(0.5, 30, len(xy), dtype=torch.float64)[:, None]
    in_camera = torch.cat([xy * depth, depth], -1).numpy()
    return torch.from_numpy((in_camera - camera.t_cam_from_world) @ camera.R_cam_from_world)


def opencv_pixels(points: np.ndarray, camera: Camera) -> np.ndarray:
    rotation, t, K = Rotation.from_matrix(camera.R_cam_from_world).as_rotvec(), camera.t_cam_from_world, camera.K
    if camera.distortion == "fisheye":
        return cv2.fisheye.projectPoints(points[:, None], rotation, t, K, camera.coeffs)[0][:, 0]
    return cv2.projectPoints(points, rotation, t, K, camera.coeffs if len(camera.coeffs) else np.zeros(5))[0][:, 0]


@PROPERTY
@given(cameras())
def test_project_agrees_with_opencv(camera: Camera) -> None:
    points = world_points(camera, disc(field_radius(camera.distortion, camera.coeffs)))
    pixels, valid = geometry.project(points, camera)
    assert valid.all()
    np.testing.assert_allclose(pixels.numpy(), opencv_pixels(points.numpy(), camera), atol=PX, rtol=1e-9)


@PROPERTY
@given(cameras())
def test_pixels_return_to_the_rays_and_points_they_came_from(camera: Camera) -> None:
    xy = disc(field_radius(camera.distortion, camera.coeffs))
    points = world_points(camera, xy)
    pixels, _ = geometry.project(points, camera)
    back = geometry.normalized_from_pixels(pixels, camera)
    np.testing.assert_allclose(back, xy, atol=1e-6)
    rays = geometry.ray_directions(back, torch.from_numpy(camera.R_cam_from_world))
    center = torch.from_numpy(camera.center_world)
    depth = geometry.to_camera(points, *geometry.camera_tensors(camera, points)[1:3])[:, 2:]
    np.testing.assert_allclose(center + depth * rays, points, atol=1e-5)  # metres, at up to 30 m
    np.testing.assert_allclose(geometry.pixels_from_normalized(back, camera), pixels, atol=PX)


@PROPERTY
@given(lenses)
def test_undistort_inverts_distort(lens: Lens) -> None:
    model, coeffs = lens[0], torch.tensor(lens[1], dtype=torch.float64)
    xy = disc(field_radius(model, coeffs.numpy()))
    np.testing.assert_allclose(geometry.undistort(geometry.distort(xy, model, coeffs), model, coeffs), xy, atol=1e-6)


@lens_cases
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_undistort_inverts_strong_lenses_to_the_rim(
    model: DistortionModel, coeffs: np.ndarray, dtype: torch.dtype, tolerance: float
) -> None:
    lens = torch.from_numpy(coeffs).to(dtype)
    xy = disc(min(0.99 * geometry.lens_limit(model, lens), 20.0), 2000).to(dtype)
    error = (geometry.undistort(geometry.distort(xy, model, lens), model, lens) - xy).norm(dim=-1)
    assert (error <= tolerance * (1 + xy.norm(dim=-1))).all()  # normalised, relative to the radius


@lens_cases
def test_undistort_agrees_with_opencv_inside_the_image(model: DistortionModel, coeffs: np.ndarray) -> None:
    xy = disc(min(0.6 * geometry.lens_limit(model, coeffs), 0.5)).numpy()
    bent = geometry.distort(torch.from_numpy(xy), model, torch.from_numpy(coeffs))
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 200, 1e-14)
    if model == "fisheye":
        ideal = cv2.fisheye.undistortPoints(bent.numpy()[:, None], np.eye(3), coeffs, criteria=criteria)
    else:
        ideal = cv2.undistortPointsIter(bent.numpy()[:, None], np.eye(3), coeffs, np.eye(3), np.eye(3), criteria)
    np.testing.assert_allclose(ideal[:, 0], xy, atol=1e-6)
    np.testing.assert_allclose(geometry.undistort(bent, model, torch.from_numpy(coeffs)), xy, atol=1e-9)


def test_a_pixel_beyond_the_fold_of_the_lens_has_no_ray() -> None:
    coeffs = torch.tensor([-0.4, 0, 0, 0, 0], dtype=torch.float64)
    limit = geometry.lens_limit("opencv", coeffs)
    assert limit == pytest.approx((1 / 1.2) ** 0.5)
    rim = limit * (1 - 0.4 * limit**2)
    xy = torch.tensor([[rim * 0.999, 0], [rim * 1.001, 0], [0, -3.0], [torch.nan, 0]], dtype=torch.float64)
    back = geometry.undistort(xy, "opencv", coeffs)
    assert torch.isnan(back).all(-1).tolist() == [False, True, True, True]
    assert back[0, 0] < limit


@lens_cases
def test_lens_limit_is_where_the_radius_stops_growing(model: DistortionModel, coeffs: np.ndarray) -> None:
    limit = geometry.lens_limit(model, coeffs)
    radius = torch.linspace(0, min(limit, 40.0), 4000, dtype=torch.float64)
    radial = torch.from_numpy(coeffs).clone()
    if model == "opencv":
        radial[2:4] = 0
    bent = geometry.distort(torch.stack([radius, 0 * radius], -1), model, radial)[:, 0]
    assert (bent.diff() > 0).all()
    if limit < 40:
        beyond = torch.tensor([[limit * 1.001, 0], [limit * 1.002, 0]], dtype=torch.float64)
        assert geometry.distort(beyond, model, radial)[:, 0].diff() < 0


@lens_cases
def test_project_marks_what_the_camera_cannot_see(model: DistortionModel, coeffs: np.ndarray) -> None:
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    camera = Camera(K, np.eye(3), np.zeros(3), (640, 480), model, coeffs)
    limit = geometry.lens_limit(model, coeffs)
    points = torch.tensor([[0, 0, 5.0], [0, 0, -5], [0.3, 0, 0.01], [1.05 * limit, 0, 1]], dtype=torch.float64)
    pixels, valid = geometry.project(points, camera)
    assert valid.tolist() == [True, False, False, False]
    assert torch.isfinite(pixels).all()
    rim, _ = geometry.project(torch.tensor([[limit, 0, 1]], dtype=torch.float64), camera)
    np.testing.assert_allclose(pixels[3], rim[0], atol=1e-6)  # px: held at the rim, not folded back


def test_nan_keypoints_stay_nan_and_leave_the_others_alone() -> None:
    camera = Camera(np.diag([500.0, 500, 1]), np.eye(3), np.zeros(3), (640, 480), "opencv", np.full(5, 0.01))
    pixels = torch.tensor([[10.0, 20], [torch.nan, torch.nan]])
    xy = geometry.normalized_from_pixels(pixels, camera)
    assert torch.isfinite(xy[0]).all()
    assert torch.isnan(xy[1]).all()


@PROPERTY
@given(cameras(), st.floats(0.1, 3), st.floats(0.1, 3), within(300), within(300))
def test_resized_and_cropped_cameras_see_the_same_scene(
    camera: Camera, sx: float, sy: float, x: float, y: float
) -> None:
    points = world_points(camera, disc(field_radius(camera.distortion, camera.coeffs), 20))
    pixels = geometry.project(points, camera)[0].numpy()
    size = (round(camera.size[0] * sx), round(camera.size[1] * sy))
    scale = np.array(size) / camera.size
    resized = geometry.project(points, camera.resized(size))[0].numpy()
    np.testing.assert_allclose(resized, (pixels + 0.5) * scale - 0.5, atol=PX, rtol=1e-9)
    cropped = geometry.project(points, camera.cropped(x, y, (100, 80)))[0].numpy()
    np.testing.assert_allclose(cropped, pixels - [x, y], atol=PX, rtol=1e-9)


def test_resized_camera_keeps_the_corners_of_the_image() -> None:
    camera = Camera(np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]), np.eye(3), np.zeros(3), (640, 480))
    small = camera.resized((160, 120))
    assert small.K[0, 2] == 79.5  # the centre of the image stays its centre
    edges = torch.tensor([[-0.5, -0.5]], dtype=torch.float64)
    np.testing.assert_allclose(
        geometry.normalized_from_pixels(edges, camera), geometry.normalized_from_pixels(edges, small), atol=1e-12
    )


@PROPERTY
@given(cameras(), within(2))
def test_rays_meet_the_ground_and_project_back(camera: Camera, ground: float) -> None:
    xy = disc(field_radius(camera.distortion, camera.coeffs))
    pixels = geometry.pixels_from_normalized(xy, camera)
    _, R, t, _ = geometry.camera_tensors(camera, xy)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    origin, rays = geometry.camera_center(R, t), geometry.ray_directions(xy, R)
    hits = geometry.intersect_plane(origin, rays, up, -ground)
    toward = (origin[2] - ground) * rays[:, 2] < 0
    assert (torch.isfinite(hits).all(-1) == toward).all()
    near = toward & (hits - origin).norm(dim=-1).lt(1e3)
    np.testing.assert_allclose(hits[near][:, 2], ground, atol=1e-9)  # metres
    deep = near & (geometry.project_normalized(hits, R, t)[1] > geometry.NEAR_M)
    np.testing.assert_allclose(geometry.project(hits[deep], camera)[0], pixels[deep], atol=1e-5)  # px


def test_rays_along_or_away_from_the_plane_meet_nothing() -> None:
    origin, up = torch.tensor([0.0, 2, 0]), torch.tensor([0.0, 1, 0])
    directions = torch.tensor([[1.0, 0, 0], [0, 1, 0], [torch.nan, -1, 0], [0, -1, 1]])
    hits = geometry.intersect_plane(origin, directions, up, 0.0)
    assert torch.isfinite(hits).all(-1).tolist() == [False, False, False, True]
    assert hits[3].tolist() == [0, 0, 2]


def test_camera_center_is_the_cameras_own() -> None:
    R, t = Rotation.from_rotvec([0.3, -0.8, 2]).as_matrix(), np.array([1.0, -2, 3])
    camera = Camera(np.eye(3), R, t, (10, 10))
    np.testing.assert_allclose(
        geometry.camera_center(torch.tensor(R), torch.tensor(t)), camera.center_world, atol=1e-12
    )
    np.testing.assert_allclose(
        geometry.to_camera(torch.tensor(camera.center_world), torch.tensor(R), torch.tensor(t)), np.zeros(3), atol=1e-12
    )


def ring(views: int, span_deg: float, tilt: float, distance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``views`` cameras spread over ``span_deg`` around the origin and looking at it: R (V,3,3), t (V,3) m."""
    yaw = np.radians(np.linspace(0, span_deg, views))
    R = (Rotation.from_euler("x", tilt) * Rotation.from_euler("y", yaw[:, None])).as_matrix()
    return torch.from_numpy(R), torch.tensor([0, 0, distance], dtype=torch.float64).expand(views, 3)


@st.composite
def seen_points(draw: st.DrawFn) -> Case:
    """Noise-free views of points: points (N,3) m, xy (V,N,2), R (V,1,3,3), t (V,1,3) m, weight (V,N)."""
    views = draw(st.integers(2, 5))
    R, t = ring(views, draw(st.floats(10, 150)), draw(within(0.6)), draw(st.floats(4, 20)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = torch.from_numpy(random.uniform(-1.5, 1.5, (30, 3)))
    weight = torch.from_numpy(random.uniform(0.1, 1, (views, 30)))
    R, t = R[:, None], t[:, None]
    return points, geometry.project_normalized(points, R, t)[0], R, t, weight


@PROPERTY
@given(seen_points())
def test_triangulate_recovers_points(case: Case) -> None:
    points, xy, R, t, weight = case
    np.testing.assert_allclose(geometry.triangulate(xy, R, t, weight), points, atol=1e-6)  # metres
    in_float32 = geometry.triangulate(xy.float(), R.float(), t.float(), weight.float())
    np.testing.assert_allclose(in_float32, points, atol=2e-2)  # metres: two views 10 degrees apart at 20 m
    np.testing.assert_allclose(in_float32.nanmedian(), points.float().nanmedian(), atol=1e-3)


@PROPERTY
@given(seen_points(), st.integers(0, 2**32 - 1))
def test_triangulate_is_the_weighted_least_squares_of_its_rows(case: Case, seed: int) -> None:
    _, xy, R, t, weight = (a.numpy() for a in case)
    xy = xy + np.random.default_rng(seed).normal(0, 0.01, xy.shape)
    solved = geometry.triangulate(torch.from_numpy(xy), *case[2:])
    for n in range(0, xy.shape[1], 10):
        rows, right = [], []
        for v in range(len(xy)):
            for axis in range(2):  # weight * (R_axis x + t_axis - xy * (R_2 x + t_2)) = 0
                rows.append(weight[v, n] * (R[v, 0, axis] - xy[v, n, axis] * R[v, 0, 2]))
                right.append(weight[v, n] * (xy[v, n, axis] * t[v, 0, 2] - t[v, 0, axis]))
        expected = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
        np.testing.assert_allclose(solved[n], expected, atol=1e-6)  # metres


def test_a_heavier_view_keeps_its_ray() -> None:
    R, t = ring(3, 120, 0.3, 8)
    xy = geometry.project_normalized(torch.zeros(3, dtype=torch.float64), R, t)[0]
    moved = xy + torch.tensor([[0.02, 0], [0, 0], [0, 0]], dtype=torch.float64)

    def miss(weight_of_first: float) -> float:
        weight = torch.tensor([weight_of_first, 1, 1], dtype=torch.float64)
        point = geometry.triangulate(moved, R, t, weight)
        return float((geometry.project_normalized(point, R[0], t[0])[0] - moved[0]).norm())

    assert miss(10) < 0.1 * miss(1)
    assert miss(1) < 0.6 * miss(0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_views_left_out_and_points_that_nothing_determines(dtype: torch.dtype) -> None:
    R, t = (a.to(dtype) for a in ring(3, 60, 0.3, 8))
    xy = geometry.project_normalized(torch.tensor([[0.5, 0.2, -0.3]], dtype=dtype), R[:, None], t[:, None])[0][:, 0]
    nan = torch.full((2,), torch.nan, dtype=dtype)
    two = geometry.triangulate(xy[:2], R[:2], t[:2], torch.ones(2, dtype=dtype))
    for absent in (0.0, -1.0, torch.nan):
        left_out = geometry.triangulate(
            torch.stack([xy[0], xy[1], nan]), R, t, torch.tensor([1, 1, absent], dtype=dtype)
        )
        torch.testing.assert_close(left_out, two)
    for xy_of, weight in (
        (xy, [1, 0, 0]),
        (xy, [0, 0, 0]),
        (torch.stack([xy[0], xy[1], nan]), [1, 1, 1]),
    ):
        assert torch.isnan(geometry.triangulate(xy_of, R, t, torch.tensor(weight, dtype=dtype))).all()
    xy_twice, R_twice, t_twice = (a[:1].expand(2, *a.shape[1:]) for a in (xy, R, t))
    assert torch.isnan(geometry.triangulate(xy_twice, R_twice, t_twice, torch.ones(2, dtype=dtype))).all()


@pytest.mark.parametrize("views", [1, 2])
def test_no_baseline_is_never_taken_for_one_in_float32(views: int) -> None:
    random = torch.Generator().manual_seed(0)
    R = torch.from_numpy(Rotation.random(5000, np.random.default_rng(0)).as_matrix()).float().expand(views, -1, -1, -1)
    t = 5 * torch.randn(5000, 3, generator=random).expand(views, -1, -1)
    xy = 0.5 * torch.randn(5000, 2, generator=random).expand(views, -1, -1)
    assert torch.isnan(geometry.triangulate(xy, R, t, 0.01 + torch.rand(views, 5000, generator=random))).all()


def test_gradients_of_a_batch_with_undetermined_points_are_finite() -> None:
    R, t = ring(2, 60, 0.3, 8)
    xy = torch.zeros(2, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([[1, 1], [1, 0]], dtype=torch.float64)
    points = geometry.triangulate(xy, R[:, None], t[:, None], weight)
    points.nan_to_num().sum().backward()
    assert xy.grad is not None
    assert torch.isfinite(xy.grad).all()
    assert (xy.grad[:, 0] != 0).any()


@pytest.mark.parametrize(("model", "coeffs"), [("none", np.zeros(0)), *STRONG_LENSES.values()])
def test_jacobian_of_project(model: DistortionModel, coeffs: np.ndarray) -> None:
    K = np.array([[1.5, 0, 0.5], [0, 1.4, 0.4], [0, 0, 1]])
    R = Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix()
    camera = Camera(K, R, np.array([0.1, 0.2, 4]), (1, 1), model, coeffs)
    points = torch.tensor([[0.3, -0.5, 0.2], [-1.0, 0.4, 1.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: geometry.project(p, camera)[0], points)


def test_jacobian_of_triangulate_and_of_the_poses() -> None:
    R, t = ring(3, 70, 0.2, 5)
    points = torch.tensor([[0.3, -0.5, 0.2], [-0.4, 0.4, 0.1]], dtype=torch.float64)
    R, t = R[:, None].clone(), t[:, None].clone()
    xy = geometry.project_normalized(points, R, t)[0] + 0.01
    inputs = [a.requires_grad_() for a in (xy, R, t, torch.full((3, 2), 0.7, dtype=torch.float64))]
    assert torch.autograd.gradcheck(geometry.triangulate, inputs)
    assert torch.autograd.gradcheck(lambda *a: geometry.project_normalized(*a)[0], [points.requires_grad_(), R, t])


def test_autocast_leaves_geometry_alone() -> None:
    R, t = (a.float() for a in ring(4, 100, 0.3, 8))
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))

    def results() -> list[torch.Tensor]:
        xy, depth = geometry.project_normalized(points, R[:, None], t[:, None])
        solved = geometry.triangulate(xy, R[:, None], t[:, None], torch.ones(4, 50))
        return [xy, depth, solved, geometry.ray_directions(xy, R[:, None]), geometry.camera_center(R, t)]

    plain = results()
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = results()
    assert all(torch.equal(a, b) for a, b in zip(plain, under_autocast, strict=True))
