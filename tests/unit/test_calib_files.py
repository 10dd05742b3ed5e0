"""cam.yaml: both forms, every refusal, writing, other image sizes, and the summary."""

import copy
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.calib.files import calibration_for_size, read_calibration, summarize, write_calibration
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration, Camera, GroundPlane

Document = dict[str, Any]

# 3 m up at (1, 2), looks along +x and 30 degrees down.
S, C = 0.5, math.sqrt(3) / 2
R_DOWN = [[0.0, -1.0, 0.0], [-S, 0.0, -C], [C, 0.0, -S]]
CENTER = np.array([1.0, 2.0, 3.0])
POSED: Document = {
    "version": 1,
    "image_size": [1920, 1080],
    "intrinsics": {"fx": 1420.5, "fy": 1421.0, "cx": 960.2, "cy": 538.9},
    "distortion": {"model": "opencv", "coeffs": [-0.1, 0.02, 0.0005, -0.0003, 0.001]},
    "extrinsics": {"world_to_camera": {"R": R_DOWN, "t": (-np.array(R_DOWN) @ CENTER).tolist()}},
    "world": {"up": "z", "ground": 0.0},
    "site": {"name": "yard-east", "source": "from-points", "reprojection_error_px": 0.4, "floor": "concrete"},
}
FOUR_NUMBERS = """
version: 1
image_size: [1920, 1080]
intrinsics: {hfov_deg: 68}
extrinsics:
  mount: {height_m: 3.2, tilt_down_deg: 24, roll_deg: 0.5}
"""
MOUNTED: Document = yaml.safe_load(FOUR_NUMBERS)


def changed(document: Document, keys: str, value: object) -> Document:
    """A copy of ``document`` with the value at the dotted ``keys`` replaced; ``...`` removes the key."""
    result = copy.deepcopy(document)
    *folders, last = keys.split(".")
    place = result
    for folder in folders:
        place = place[folder]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


def posed(R: object, t: object, **others: object) -> Document:
    return POSED | {"extrinsics": {"world_to_camera": {"R": np.array(R).tolist(), "t": np.array(t).tolist()}}} | others


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deck cam.yaml"


def read(document: Document, file: Path) -> Calibration:
    file.write_text(yaml.safe_dump(document))
    return read_calibration(file)


def test_the_posed_form(file: Path) -> None:
    calibration = read(POSED, file)
    camera = calibration.camera
    assert camera.K.tolist() == [[1420.5, 0, 960.2], [0, 1421.0, 538.9], [0, 0, 1]]
    assert (camera.size, camera.distortion) == ((1920, 1080), "opencv")
    assert camera.coeffs.tolist() == [-0.1, 0.02, 0.0005, -0.0003, 0.001]
    np.testing.assert_allclose(camera.center_world, CENTER, atol=1e-12)  # metres
    assert calibration.ground.normal.tolist() == [0, 0, 1]
    assert calibration.ground.offset == 0
    assert (calibration.name, calibration.source, calibration.reprojection_error_px) == (
        "yard-east",
        "from-points",
        0.4,
    )
    summary = summarize(calibration)
    assert (summary.height_m, summary.tilt_down_deg, summary.roll_deg) == pytest.approx((3, 30, 0), abs=1e-9)


def test_four_numbers_are_enough_to_start(file: Path) -> None:
    file.write_text(FOUR_NUMBERS)
    summary = summarize(read_calibration(file))
    assert summary.height_m == pytest.approx(3.2)
    assert summary.tilt_down_deg == pytest.approx(24)
    assert summary.roll_deg == pytest.approx(0.5)
    assert summary.hfov_deg == pytest.approx(68)
    assert summary.vfov_deg == pytest.approx(2 * math.degrees(math.atan(9 / 16 * math.tan(math.radians(34)))))


def test_the_site_frame_of_a_mount(file: Path) -> None:
    camera = read(changed(MOUNTED, "extrinsics.mount.roll_deg", 0), file).camera
    assert camera.K[:2, 2].tolist() == [959.5, 539.5]  # the middle of the image, pixel centres counted from 0
    assert camera.K[0, 0] == camera.K[1, 1]
    np.testing.assert_allclose(camera.center_world, [0, 0, 3.2], atol=1e-12)  # above the origin, +z up
    ahead, right = np.array([[0.0, 10, 0], [1, 10, 0]]) @ camera.R_cam_from_world.T + camera.t_cam_from_world
    assert ahead[0] == pytest.approx(0)  # +y is the heading
    assert ahead[2] > 0
    assert right[0] == pytest.approx(1)  # +x is to the right
    assert np.linalg.det(camera.R_cam_from_world) == pytest.approx(1)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.3, 30), st.floats(0, 90), st.floats(-170, 170), st.floats(40, 120))
def test_a_mount_is_summarized_as_it_was_given(file: Path, height: float, tilt: float, roll: float, fov: float) -> None:
    document = changed(MOUNTED, "extrinsics.mount", {"height_m": height, "tilt_down_deg": tilt, "roll_deg": roll})
    summary = summarize(read(changed(document, "intrinsics", {"hfov_deg": fov}), file))
    assert summary.height_m == pytest.approx(height, abs=1e-9)
    assert summary.tilt_down_deg == pytest.approx(tilt, abs=1e-9)
    assert summary.hfov_deg == pytest.approx(fov, abs=1e-9)
    if tilt < 89.9:  # a camera that looks straight down has its roll in its heading
        assert summary.roll_deg == pytest.approx(roll, abs=1e-6)


@pytest.mark.parametrize(
    ("distortion", "hfov_deg"),
    [
        ({"model": "opencv", "coeffs": [-0.1, 0.02, 0, 0, 0.0]}, 80),
        ({"model": "fisheye", "coeffs": [-0.02, 0.005, 0, 0]}, 80),
        ({"model": "fisheye", "coeffs": [-0.02, 0.005, 0, 0]}, 160),
    ],
)
def test_hfov_is_the_angle_between_the_edges_lens_included(file: Path, distortion: Document, hfov_deg: float) -> None:
    calibration = read(MOUNTED | {"intrinsics": {"hfov_deg": hfov_deg}, "distortion": distortion}, file)
    assert summarize(calibration).hfov_deg == pytest.approx(hfov_deg, abs=1e-6)


@pytest.mark.parametrize(
    ("distortion", "model", "coeffs"),
    [
        (..., "none", []),
        (None, "none", []),
        ("none", "none", []),
        ({"model": "none"}, "none", []),
        ({"model": "opencv", "coeffs": [-0.1, 0.02, 0.001, 0.002]}, "opencv", [-0.1, 0.02, 0.001, 0.002, 0]),
        ({"model": "fisheye", "coeffs": [0.01, 0.002, 0, 0]}, "fisheye", [0.01, 0.002, 0, 0]),
    ],
)
def test_forms_of_distortion(file: Path, distortion: object, model: str, coeffs: list[float]) -> None:
    camera = read(changed(POSED, "distortion", distortion), file).camera
    assert (camera.distortion, camera.coeffs.tolist()) == (model, coeffs)


@pytest.mark.parametrize(
    ("world", "normal", "offset"),
    [
        ({"up": "z", "ground": 0.5}, [0, 0, 1], -0.5),
        ({"ground_plane": [0, 0, 2, -1]}, [0, 0, 1], -0.5),
        ({"up": "z", "ground_plane": [0, 0, -2, 1]}, [0, 0, 1], -0.5),
        ({"up": "z", "ground_plane": [0.06, 0, 0.08, 0.01]}, [0.6, 0, 0.8], 0.1),
    ],
)
def test_forms_of_the_ground(file: Path, world: Document, normal: list[float], offset: float) -> None:
    ground = read(POSED | {"world": world}, file).ground
    np.testing.assert_allclose(ground.normal, normal, atol=1e-15)
    assert ground.offset == pytest.approx(offset)  # metres


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_any_axis_may_be_up(file: Path, up: str) -> None:
    axis = (-1.0 if up[0] == "-" else 1.0) * np.eye(3)["xyz".index(up[-1])]
    turn = Rotation.align_vectors(axis[None], [[0, 0, 1]])[0]
    R = np.array(R_DOWN) @ turn.as_matrix().T
    center = turn.apply(CENTER) + 0.25 * axis  # the whole site lifted by 0.25 m along up
    calibration = read(posed(R, -R @ center, world={"up": up, "ground": 0.25}), file)
    assert summarize(calibration).height_m == pytest.approx(3)
    assert summarize(calibration).tilt_down_deg == pytest.approx(30)
    assert calibration.ground.height_of(0.25 * axis) == pytest.approx(0)


def test_rounded_rotations_are_repaired_and_said(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        R = read(posed(np.round(R_DOWN, 3), POSED["extrinsics"]["world_to_camera"]["t"]), file).camera.R_cam_from_world
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(R, R_DOWN, atol=1e-3)
    assert "orthonormal" in caplog.text
    assert str(file) in caplog.text
    caplog.clear()
    read(posed(np.round(R_DOWN, 9), POSED["extrinsics"]["world_to_camera"]["t"]), file)
    assert caplog.text == ""


def test_a_lens_that_ends_before_the_image_is_said(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    lens = {"model": "opencv", "coeffs": [-0.5, 0, 0, 0, 0]}
    with caplog.at_level(logging.WARNING):
        read(POSED | {"distortion": lens}, file)
    assert "lens model ends before the image" in caplog.text


def test_numbers_of_yaml_1_2_are_numbers(file: Path) -> None:
    file.write_text(yaml.safe_dump(POSED).replace("0.0005", "5e-4"))
    assert read_calibration(file).camera.coeffs[2] == 5e-4


T_DOWN = -np.array(R_DOWN) @ CENTER
REFUSED = {
    # name: (document, every one of these texts is in the message)
    "missing version": (changed(POSED, "version", ...), ["version: missing"]),
    "another version": (changed(POSED, "version", 2), ["version: expected 1, got 2"]),
    "true is no version": (changed(POSED, "version", True), ["version: expected 1, got True"]),
    "missing size": (changed(POSED, "image_size", ...), ["image_size: missing"]),
    "negative size": (changed(POSED, "image_size", [1920, -1080]), ["image_size", "16 to 65536", "-1080"]),
    "broken size": (changed(POSED, "image_size", [1920.5, 1080]), ["image_size", "whole pixels"]),
    "size as text": (changed(POSED, "image_size", "1920x1080"), ["image_size", "[width, height]", "1920x1080"]),
    "three sides": (changed(POSED, "image_size", [1920, 1080, 3]), ["image_size", "[width, height]"]),
    "missing intrinsics": (changed(POSED, "intrinsics", ...), ["intrinsics: missing"]),
    "missing fy": (changed(POSED, "intrinsics.fy", ...), ["intrinsics.fy: missing", "Add 'fy'"]),
    "both intrinsics": (changed(POSED, "intrinsics.hfov_deg", 68), ["intrinsics", "not both"]),
    "empty intrinsics": (changed(POSED, "intrinsics", None), ["intrinsics", "mapping", "nothing"]),
    "focal NaN": (changed(POSED, "intrinsics.fx", math.nan), ["intrinsics.fx", "finite", "nan"]),
    "focal infinite": (changed(POSED, "intrinsics.fx", math.inf), ["intrinsics.fx", "finite", "inf"]),
    "focal in mm": (changed(POSED, "intrinsics.fx", 3.6), ["intrinsics.fx", "pixels", "3.6", "millimetres"]),
    "focal huge": (changed(POSED, "intrinsics.fy", 2e6), ["intrinsics.fy", "field of view"]),
    "focal negative": (changed(POSED, "intrinsics.fx", -1420.0), ["intrinsics.fx", "-1420"]),
    "focal true": (changed(POSED, "intrinsics.fx", True), ["intrinsics.fx", "a number", "True"]),
    "focal as text": (changed(POSED, "intrinsics.fx", "1420 px"), ["intrinsics.fx", "1420 px", "without quotes, unit"]),
    "focal beyond float": (changed(POSED, "intrinsics.fx", 10**400), ["intrinsics.fx", "finite"]),
    "pixels not square": (changed(POSED, "intrinsics.fy", 4000.0), ["intrinsics", "factor of 2"]),
    "centre outside": (changed(POSED, "intrinsics.cx", 4000.0), ["intrinsics.cx", "960", "4000"]),
    "fov too wide": (changed(MOUNTED, "intrinsics.hfov_deg", 180), ["intrinsics.hfov_deg", "1 to 170", "180"]),
    "fov zero": (changed(MOUNTED, "intrinsics.hfov_deg", 0), ["intrinsics.hfov_deg", "1 to 170"]),
    "fov beyond the lens": (
        MOUNTED | {"distortion": {"model": "opencv", "coeffs": [-0.5, 0, 0, 0]}, "intrinsics": {"hfov_deg": 120}},
        ["intrinsics.hfov_deg", "lens model", "folds back"],
    ),
    "unknown model": (changed(POSED, "distortion.model", "fish-eye"), ["distortion.model", "'fisheye'", "fish-eye"]),
    "8 coefficients": (changed(POSED, "distortion.coeffs", [0.1] * 8), ["distortion.coeffs", "[k1, k2, p1, p2, k3]"]),
    "5 fisheye coefficients": (
        changed(POSED, "distortion", {"model": "fisheye", "coeffs": [0, 0, 0, 0, 0]}),
        ["distortion.coeffs", "[k1, k2, k3, k4]"],
    ),
    "missing coefficients": (changed(POSED, "distortion.coeffs", ...), ["distortion.coeffs", "got nothing"]),
    "coefficients without model": (changed(POSED, "distortion.model", ...), ["distortion.model: missing"]),
    "coefficients of none": (changed(POSED, "distortion.model", "none"), ["distortion.coeffs", "opencv or fisheye"]),
    "coefficient NaN": (
        changed(POSED, "distortion.coeffs", [0, math.nan, 0, 0, 0]),
        ["distortion.coeffs[1]", "finite"],
    ),
    "lens without inverse": (changed(POSED, "distortion.coeffs", [-50.0, 0, 0, 0, 0]), ["distortion", "fold back"]),
    "missing extrinsics": (changed(POSED, "extrinsics", ...), ["extrinsics: missing"]),
    "no extrinsics": (changed(POSED, "extrinsics", {}), ["extrinsics", "exactly one of world_to_camera and mount"]),
    "both extrinsics": (
        changed(POSED, "extrinsics.mount", MOUNTED["extrinsics"]["mount"]),
        ["extrinsics", "exactly one of world_to_camera and mount"],
    ),
    "missing t": (changed(POSED, "extrinsics.world_to_camera.t", ...), ["extrinsics.world_to_camera.t: missing"]),
    "t of two": (posed(R_DOWN, [0, 0]), ["extrinsics.world_to_camera.t", "[x, y, z] in metres"]),
    "t NaN": (posed(R_DOWN, [0, math.nan, 3]), ["extrinsics.world_to_camera.t[1]", "finite"]),
    "R flat": (posed(np.ravel(R_DOWN), T_DOWN), ["extrinsics.world_to_camera.R", "three rows of three numbers"]),
    "R short row": (posed(np.array(R_DOWN)[:, :2], T_DOWN), ["extrinsics.world_to_camera.R[0]", "three numbers"]),
    "R NaN": (posed(np.full((3, 3), np.nan), T_DOWN), ["extrinsics.world_to_camera.R[0][0]", "finite"]),
    "R scaled": (posed(1.5 * np.array(R_DOWN), T_DOWN), ["extrinsics.world_to_camera.R", "a rotation", "off by 0.5"]),
    "R zero": (posed(np.zeros((3, 3)), T_DOWN), ["extrinsics.world_to_camera.R", "a rotation"]),
    "R a reflection": (
        posed(np.diag([-1.0, 1, 1]) @ R_DOWN, T_DOWN),
        ["extrinsics.world_to_camera.R", "reflection", "right-handed"],
    ),
    "below the ground": (
        changed(POSED, "world.ground", 5.0),
        ["extrinsics.world_to_camera", "above the ground", "2 m below it"],
    ),
    "mirror pose": (
        posed(np.array(R_DOWN) @ np.diag([1.0, -1, -1]), -np.array(R_DOWN) @ np.diag([1.0, -1, -1]) @ [1, -2, -3]),
        ["above the ground", "3 m below it", "mirror solution", "-y for y"],
    ),
    "camera to world": (
        posed(np.array(R_DOWN).T, [6.0, 2, 3]),
        ["extrinsics.world_to_camera", "camera to world", "R transposed"],
    ),
    "millimetres": (posed(R_DOWN, 1000 * T_DOWN), ["at most 200 m above the ground", "3000 m", "millimetres", "1000"]),
    "centimetres": (
        changed(MOUNTED, "extrinsics.mount.height_m", 320),
        ["at most 200 m", "320 m", "centimetres", "100"],
    ),
    "looks at the sky": (
        changed(MOUNTED, "extrinsics.mount.tilt_down_deg", -50),
        ["extrinsics.mount", "sees the ground within 200 m", "looks 50 degrees up", "tilt_down_deg", "sign"],
    ),
    "height zero": (
        changed(MOUNTED, "extrinsics.mount.height_m", 0),
        ["extrinsics.mount.height_m", "above the ground"],
    ),
    "height as text": (changed(MOUNTED, "extrinsics.mount.height_m", "3,2"), ["extrinsics.mount.height_m", "comma"]),
    "tilt impossible": (changed(MOUNTED, "extrinsics.mount.tilt_down_deg", 91), ["tilt_down_deg", "-90 to 90", "91"]),
    "roll missing": (changed(MOUNTED, "extrinsics.mount.roll_deg", ...), ["extrinsics.mount.roll_deg: missing"]),
    "mount in another world": (
        MOUNTED | {"world": {"up": "y", "ground": 0}},
        ["world", "{up: z, ground: 0}", "its own site frame"],
    ),
    "missing world": (changed(POSED, "world", ...), ["world: missing", "up: z"]),
    "missing ground": (changed(POSED, "world.ground", ...), ["world", "ground_plane: [a, b, c, d]"]),
    "missing up": (changed(POSED, "world.up", ...), ["world", "up axis", "Add `up: z`"]),
    "unknown up": (changed(POSED, "world.up", "upwards"), ["world.up", "x, y, z, -x, -y, -z", "upwards"]),
    "two grounds": (changed(POSED, "world.ground_plane", [0, 0, 1, 0]), ["world", "one of the two ways"]),
    "no plane": (POSED | {"world": {"ground_plane": [0, 0, 0, 1]}}, ["world.ground_plane", "not zero"]),
    "plane of three": (POSED | {"world": {"ground_plane": [0, 0, 1]}}, ["world.ground_plane", "[a, b, c, d]"]),
    "plane upright": (
        POSED | {"world": {"up": "z", "ground_plane": [1, 0, 0, 5]}},
        ["world.ground_plane", "within 45 degrees", "90 degrees from it"],
    ),
    "unknown key": (POSED | {"distorsion": None}, ["distorsion: unknown key", "Did you mean 'distortion'?"]),
    "unknown inner key": (changed(MOUNTED, "extrinsics.mount.tilt_deg", 3), ["extrinsics.mount.tilt_deg: unknown key"]),
    "key that is no text": (POSED | {3: 4}, ["3: unknown key"]),
    "site a text": (POSED | {"site": "yard"}, ["site", "mapping", "yard"]),
    "error negative": (changed(POSED, "site.reprojection_error_px", -1), ["site.reprojection_error_px", "from 0"]),
    "name a list": (changed(POSED, "site.name", ["a"]), ["site.name", "a text"]),
}


@pytest.mark.parametrize(("document", "texts"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_file_key_and_remedy(file: Path, document: Document, texts: list[str]) -> None:
    with pytest.raises(CalibrationError) as refused:
        read(document, file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    for text in texts:
        assert text in message
    assert message.endswith((".", "?"))
    assert len(message) < 600
    assert refused.value.exit_code == 3


REFUSED_DATA = {
    "empty": (b"", "an empty file"),
    "comments alone": (b"# nothing\n", "an empty file"),
    "a list": (b"- 1\n- 2\n", "expected a mapping"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "other data"),
    "zero bytes": (b"version: 1\0\0", "binary data"),
    "latin-1": ("site: {name: Höhe}".encode("latin-1"), "UTF-8"),
    "open bracket": (b"version: [1\n", "line 2"),
    "tab": (b"version:\n\t- 1\n", "no tabs"),
    "twice": (b"version: 1\nversion: 1\n", "'version' is given twice"),
    "two documents": (b"version: 1\n---\nversion: 1\n", "another document"),
    "python object": (b"version: !!python/object/apply:os.getcwd []\n", "tags"),
    "impossible date": (b"site: {name: 2024-13-45}\n", "expected YAML"),
    "deep": (b"[" * 60_000, "nested deeper than 20"),
    "large": (b"#" * 100_001, "larger file"),
}


@pytest.mark.parametrize(("data", "text"), REFUSED_DATA.values(), ids=REFUSED_DATA.keys())
def test_files_that_are_no_calibration(file: Path, data: bytes, text: str) -> None:
    file.write_bytes(data)
    with pytest.raises(CalibrationError, match=re.escape(text)) as refused:
        read_calibration(file)
    assert str(refused.value).startswith(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"cannot be read .*Check the path"):
        read_calibration(tmp_path / "none.yaml")
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_calibration(tmp_path)


def test_aliases_cannot_blow_up_a_message(file: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]" for m, n in zip("abcdefgh", "bcdefghi", strict=True)]
    file.write_text("\n".join(lines) + "\nversion: *i\n")
    with pytest.raises(CalibrationError) as refused:
        read_calibration(file)
    assert len(str(refused.value)) < 2000


def assert_same(a: Calibration, b: Calibration) -> None:
    np.testing.assert_array_equal(a.camera.K, b.camera.K)
    np.testing.assert_allclose(a.camera.R_cam_from_world, b.camera.R_cam_from_world, atol=1e-14)
    np.testing.assert_array_equal(a.camera.t_cam_from_world, b.camera.t_cam_from_world)
    np.testing.assert_array_equal(a.camera.coeffs, b.camera.coeffs)
    np.testing.assert_allclose(a.ground.normal, b.ground.normal, atol=1e-15)
    assert a.ground.offset == pytest.approx(b.ground.offset, abs=1e-15)
    assert (a.camera.size, a.camera.distortion) == (b.camera.size, b.camera.distortion)
    assert (a.name, a.source, a.reprojection_error_px) == (b.name, b.source, b.reprojection_error_px)


@pytest.mark.parametrize(
    "document",
    [
        POSED,
        MOUNTED,
        POSED | {"world": {"up": "z", "ground_plane": [0.06, 0, 0.08, 0.01]}},
        POSED | {"site": {"name": "Höhe 3: 'a' <b> #c", "reprojection_error_px": None}},
        changed(POSED, "distortion", {"model": "fisheye", "coeffs": [1e-5, -1e-7, 0, 0.01]}),
    ],
)
def test_written_calibrations_read_the_same(file: Path, tmp_path: Path, document: Document) -> None:
    calibration = read(document, file)
    again = tmp_path / "new" / "again.yaml"
    write_calibration(calibration, again)
    assert_same(read_calibration(again), calibration)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.5, 20), st.floats(0.1, 1.5), st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_random_calibrations_survive_writing(file: Path, height: float, tilt: float, roll: float, seed: int) -> None:
    site = Rotation.random(rng=np.random.default_rng(seed))
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    R = (Rotation.from_euler("xz", [tilt, roll]) * Rotation.from_matrix(level) * site.inv()).as_matrix()
    up = site.apply([0.0, 0, 1])
    K = np.array([[1000.1, 0, 640.3], [0, 999.7, 360.2], [0, 0, 1]])
    calibration = Calibration(
        Camera(K, R, -R @ (up * (height - 0.3)), (1280, 720)), GroundPlane(up, 0.3), "a", "b", 0.25
    )
    write_calibration(calibration, file)
    assert_same(read_calibration(file), calibration)
    assert summarize(read_calibration(file)).height_m == pytest.approx(height, abs=1e-9)


def test_the_examples_of_the_guide_are_accepted(file: Path) -> None:
    docs = Path(__file__).parents[2] / "docs"
    pages = [(docs / name).read_text(encoding="utf-8") for name in ("cam_yaml.md", "calibration.md")]
    examples = [text for page in pages for text in re.findall(r"```yaml\n(version:.*?)```", page, re.DOTALL)]
    assert len(examples) >= 3
    for example in examples:
        file.write_text(example)
        assert 0.5 < summarize(read_calibration(file)).height_m < 20
    code = re.findall(r"```python\n(.*?)```", pages[1], re.DOTALL)
    exec(code[0].replace('"cam.yaml"', repr(str(file))), {})
    assert summarize(read_calibration(file)).tilt_down_deg > 0


def test_nothing_is_written_that_would_be_refused(file: Path) -> None:
    good = read(POSED, file)
    before = file.read_bytes()
    underground = Calibration(good.camera, GroundPlane(good.ground.normal, -10.0))
    with pytest.raises(CalibrationError, match="above the ground"):
        write_calibration(underground, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (960, 540), (854, 480), (852, 480), (3840, 2160)])
def test_a_clip_of_the_same_aspect_rescales_the_camera(file: Path, size: tuple[int, int]) -> None:
    calibration = read(POSED, file)
    scaled = calibration_for_size(calibration, size, calib_path=file, clip_path=Path("clip.mp4"))
    assert scaled.camera.size == size
    points = torch.tensor([[6.0, 2, 0], [7, 3, 1.5], [9, 1, 0]], dtype=torch.float64)
    pixels, small = (geometry.project(points, c.camera)[0].numpy() for c in (calibration, scaled))
    np.testing.assert_allclose(small, (pixels + 0.5) * np.array(size) / (1920, 1080) - 0.5, atol=1e-9)  # px
    assert (scaled.name, scaled.source, scaled.reprojection_error_px) == ("yard-east", "from-points", 0.4)


@pytest.mark.parametrize("size", [(1080, 1920), (1440, 1080), (1920, 1088), (1920, 1200), (640, 480)])
def test_a_clip_of_another_aspect_is_refused_with_both_sizes(file: Path, size: tuple[int, int]) -> None:
    calibration = read(POSED, file)
    with pytest.raises(CalibrationError) as refused:
        calibration_for_size(calibration, size, calib_path=file, clip_path=Path("the clip.mp4"))
    message = str(refused.value)
    for text in (str(file), "the clip.mp4", "1920 x 1080", f"{size[0]} x {size[1]}"):
        assert text in message
    assert ("turned" in message) == (size[1] > size[0])
