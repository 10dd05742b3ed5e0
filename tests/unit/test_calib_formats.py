"""Other tools' calibrations: hand-made files of one known camera give that camera back, axes and pixels and all."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.calib.checks import summarize
from mocap_video.calib.files import read_calibration, read_lens, write_calibration
from mocap_video.calib.formats import FORMATS, read_foreign
from mocap_video.calib.mount import GROUND, Mount, pinhole
from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.pipeline.calibrate_convert import export_calibration, import_calibration
from mocap_video.pipeline.cli import main
from mocap_video.types import Calibration, Camera

SIZE = (1280, 720)
LENS = (-0.21, 0.06, 0.001, -0.0007)
R, T = Mount(3.2, np.radians(24), np.radians(2)).pose()
K = np.array([[900.5, 0, 630.25], [0, 901.25, 365.5], [0, 0, 1]])
POINTS = torch.tensor([[0.0, 6, 0], [2, 8, 1.7], [-3, 9, 0.5], [1, 5, 1]], dtype=torch.float64)


def camera(coeffs: tuple[float, ...] = LENS) -> Camera:
    padded = np.append(coeffs, 0.0) if coeffs else np.zeros(0)
    return Camera(K, R, T, SIZE, "opencv" if coeffs else "none", padded)


def opencv_file(folder: Path) -> Path:
    path = folder / "camera.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", SIZE[0])
    storage.write("image_height", SIZE[1])
    for name, value in (("camera_matrix", K), ("distortion_coefficients", np.array([[*LENS, 0.0]])), ("R", R)):
        storage.write(name, value)
    storage.write("T", T.reshape(3, 1))
    storage.release()
    assert path.read_text().startswith("%YAML:1.0")
    return path


def easymocap_folder(folder: Path) -> Path:
    (folder / "rig").mkdir()
    intri = cv2.FileStorage(str(folder / "rig" / "intri.yml"), cv2.FILE_STORAGE_WRITE)
    extri = cv2.FileStorage(str(folder / "rig" / "extri.yml"), cv2.FILE_STORAGE_WRITE)
    for storage in (intri, extri):
        storage.startWriteStruct("names", cv2.FILE_NODE_SEQ)
        storage.write("", "01")
        storage.endWriteStruct()
    intri.write("K_01", K)
    intri.write("dist_01", np.array([[*LENS, 0.0]]))
    extri.write("R_01", np.asarray(cv2.Rodrigues(R)[0]))
    extri.write("T_01", T.reshape(3, 1))
    intri.release()
    extri.release()
    return folder / "rig"


def pose2sim_file(folder: Path) -> Path:
    rotation = np.asarray(cv2.Rodrigues(R)[0]).ravel().tolist()
    (folder / "Calib.toml").write_text(
        f'[int_cam01]\nname = "cam01"\nsize = [1280.0, 720.0]\nmatrix = {K.tolist()}\ndistortions = {list(LENS)}\n'
        f"rotation = {rotation}\ntranslation = {T.tolist()}\nfisheye = false\n\n"
        "[metadata]\nadjusted = false\nerror = 0.0\n"
    )
    return folder / "Calib.toml"


def quaternion() -> list[float]:
    x, y, z, w = Rotation.from_matrix(R).as_quat().tolist()
    return [w, x, y, z]


def colmap_text(folder: Path) -> Path:
    numbers = " ".join(map(str, [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, *LENS]))
    (folder / "cameras.txt").write_text(f"# Camera list\n1 OPENCV 1280 720 {numbers}\n")
    pose = " ".join(map(str, [*quaternion(), *T]))
    (folder / "images.txt").write_text(f"# Image list\n1 {pose} 1 a frame.jpg\n100.5 200.5 -1\n")
    return folder


def colmap_binary(folder: Path) -> Path:
    params = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, *LENS]
    (folder / "cameras.bin").write_bytes(struct.pack("<QiiQQ8d", 1, 1, 4, *SIZE, *params))
    image = struct.pack("<Qi7di", 1, 7, *quaternion(), *T, 1) + b"a frame.jpg\0" + struct.pack("<Qddq", 1, 1.5, 2.5, -1)
    (folder / "images.bin").write_bytes(image)
    return folder


WITH_POSE: dict[str, Callable[[Path], Path]] = {
    "opencv": opencv_file,
    "easymocap": easymocap_folder,
    "pose2sim": pose2sim_file,
    "colmap text": colmap_text,
    "colmap binary": colmap_binary,
}


@pytest.mark.parametrize("kind", WITH_POSE)
def test_a_calibration_with_a_pose_comes_in_whole(tmp_path: Path, kind: str) -> None:
    path = WITH_POSE[kind](tmp_path)
    made = import_calibration(path, tmp_path / "cam.yaml", size=SIZE)
    got = read_calibration(tmp_path / "cam.yaml")
    assert kind.split()[0] in got.source
    np.testing.assert_allclose(got.camera.K, K, atol=1e-9)
    np.testing.assert_allclose(got.camera.coeffs, camera().coeffs, atol=1e-12)
    pixels, expected = (geometry.project(POINTS, c)[0].numpy() for c in (got.camera, camera()))
    np.testing.assert_allclose(pixels, expected, atol=1e-6)  # px
    assert summarize(got).height_m == pytest.approx(3.2)
    assert "3.20 m above the ground" in made.claim


def test_ros_and_kalibr_give_a_lens(tmp_path: Path) -> None:
    info = {
        "image_width": 1280, "image_height": 720, "camera_name": "front",
        "camera_matrix": {"rows": 3, "cols": 3, "data": K.ravel().tolist()},
        "distortion_model": "plumb_bob", "distortion_coefficients": {"rows": 1, "cols": 5, "data": [*LENS, 0.0]},
        "rectification_matrix": {"rows": 3, "cols": 3, "data": np.eye(3).ravel().tolist()},
    }  # fmt: skip
    chain = {
        "cam0": {
            "camera_model": "pinhole", "intrinsics": [900.5, 901.25, 630.25, 365.5], "distortion_model": "radtan",
            "distortion_coeffs": list(LENS), "resolution": [1280, 720], "rostopic": "/cam0/image_raw",
        }
    }  # fmt: skip
    for name, document in (("info.yaml", info), ("camchain.yaml", chain)):
        (tmp_path / name).write_text(yaml.safe_dump(document))
        made = import_calibration(tmp_path / name, tmp_path / "lens.yaml")
        lens = read_lens(tmp_path / "lens.yaml")
        np.testing.assert_allclose(lens.K, K)
        np.testing.assert_allclose(lens.coeffs, camera().coeffs)
        assert "lens.yaml" in made.notes[0]
    chain["cam0"] |= {"distortion_model": "equidistant", "distortion_coeffs": [0.01, 0.002, 0, 0]}
    (tmp_path / "camchain.yaml").write_text(yaml.safe_dump(chain))
    assert read_foreign(tmp_path / "camchain.yaml")[1][0].model == "fisheye"


def test_fspy_looks_along_minus_z_with_y_up(tmp_path: Path) -> None:
    focal, unit = 900.0, SIZE[0] / 2
    flip = np.diag([1.0, -1, -1])
    transform = np.eye(4)
    transform[:3, :3] = (flip @ R).T
    transform[:3, 3] = -R.T @ T / 2  # half: the reference unit is 2 m
    value = {
        "principalPoint": {"x": 16 / unit, "y": -9 / unit},
        "cameraTransform": {"rows": transform.tolist()},
        "horizontalFieldOfView": 2 * np.arctan(unit / focal),
        "imageWidth": 1280, "imageHeight": 720,
    }  # fmt: skip
    (tmp_path / "fspy.json").write_text(json.dumps(value))
    import_calibration(tmp_path / "fspy.json", tmp_path / "cam.yaml", scale=2.0)
    got = read_calibration(tmp_path / "cam.yaml").camera
    np.testing.assert_allclose(got.K, [[900, 0, 640 + 16 - 0.5], [0, 900, 360 + 9 - 0.5], [0, 0, 1]])
    np.testing.assert_allclose(got.R_cam_from_world, R, atol=1e-12)
    np.testing.assert_allclose(got.center_world, [0, 0, 3.2], atol=1e-12)


def test_tsai_is_in_millimetres_and_undistorts_where_opencv_distorts(tmp_path: Path) -> None:
    rx, ry, rz = Rotation.from_matrix(R).as_euler("xyz").tolist()
    tx, ty, tz = (1000 * T).tolist()
    kappa, focal = 0.004, 5.0
    (tmp_path / "tsai.xml").write_text(
        '<?xml version="1.0"?><Camera name="View_001"><Geometry width="768" height="576" ncx="795" nfx="752" '
        'dx="0.0065" dy="0.0064" dpx="0.0068" dpy="0.0064"/>'
        f'<Intrinsic focal="{focal}" kappa1="{kappa}" cx="380" cy="290" sx="1.0"/>'
        f'<Extrinsic tx="{tx}" ty="{ty}" tz="{tz}" rx="{rx}" ry="{ry}" rz="{rz}"/></Camera>'
    )
    import_calibration(tmp_path / "tsai.xml", tmp_path / "cam.yaml")
    got = read_calibration(tmp_path / "cam.yaml").camera
    np.testing.assert_allclose(got.R_cam_from_world, R, atol=1e-9)
    np.testing.assert_allclose(got.t_cam_from_world, T, atol=1e-9)
    pixels = np.array([[100.0, 80], [700, 500], [380, 100]])
    sensor = (pixels - [380, 290]) * [0.0068, 0.0064]
    ideal = sensor * (1 + kappa * (sensor**2).sum(-1, keepdims=True)) / focal
    np.testing.assert_allclose(geometry.normalized_from_pixels(torch.from_numpy(pixels), got), ideal, atol=1e-3)


@pytest.mark.parametrize("form", ["opencv", "pose2sim"])
@pytest.mark.parametrize("coeffs", [(), LENS], ids=["no lens", "lens"])
def test_an_export_comes_back(tmp_path: Path, form: str, coeffs: tuple[float, ...]) -> None:
    calibration = Calibration(camera(coeffs), GROUND, name="yard: 'ost' <1>")
    write_calibration(calibration, tmp_path / "cam.yaml")
    out = tmp_path / ("out.toml" if form == "pose2sim" else "out.yml")
    export_calibration(tmp_path / "cam.yaml", form, out)
    assert read_foreign(out)[0] == form
    import_calibration(out, tmp_path / "again.yaml")
    again = read_calibration(tmp_path / "again.yaml").camera
    np.testing.assert_allclose(again.K, K, atol=1e-9)
    np.testing.assert_allclose(again.R_cam_from_world, R, atol=1e-9)
    np.testing.assert_allclose(again.t_cam_from_world, T, atol=1e-9)
    np.testing.assert_allclose(again.coeffs, camera(coeffs).coeffs, atol=1e-12)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["cam.yaml", "again.yaml", out.name])


def test_up_axis_ground_and_scale_are_the_users(tmp_path: Path) -> None:
    """The same camera in a y-down world in centimetres, its ground 1 m above the origin."""
    world = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # x_site = world @ x_theirs
    turned = R @ world
    path = tmp_path / "camera.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    center = 100 * (world.T @ [0, 0, 4.2])
    for name, value in (("image_size", np.array([SIZE])), ("K", K), ("R", turned), ("T", (-turned @ center)[:, None])):
        storage.write(name, np.asarray(value, float))
    storage.release()
    import_calibration(path, tmp_path / "cam.yaml", up="-y", ground=1.0, scale=0.01)
    said = summarize(read_calibration(tmp_path / "cam.yaml"))
    assert (said.height_m, said.tilt_down_deg, said.roll_deg) == pytest.approx((3.2, 24, 2), abs=1e-6)
    with pytest.raises(CalibrationError, match="above the ground"):
        import_calibration(path, tmp_path / "cam.yaml", up="y", scale=0.01)


REFUSED = {
    "nothing like it": ("x.txt", "hello", "none of them"),
    "toml": ("x.toml", "[a\n", "expected TOML"),
    "no camera": ("x.toml", "[metadata]\nerror = 0.0\n", "at least one camera"),
    "rational": (
        "x.yaml",
        "image_width: 64\nimage_height: 64\ncamera_matrix: {data: [9, 0, 3, 0, 9, 3, 0, 0, 1]}\n"
        "distortion_model: rational_polynomial\ndistortion_coefficients: {data: [1, 1, 0, 0, 0, 1, 1, 1]}\n",
        "at most 5",
    ),
    "entities": ("x.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a><Geometry kappa1="1"/></a>', "entity"),
    "json": ("x.json", '{"cameraTransform": ', "expected JSON"),
    "empty opencv": ("x.yml", "%YAML:1.0\n---\nK: 3\n", "3 x 3 matrix"),
}


@pytest.mark.parametrize(("name", "text", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CalibrationError, match=said) as refused:
        read_foreign(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))


def test_a_cut_colmap_model_is_refused(tmp_path: Path) -> None:
    colmap_binary(tmp_path)
    whole = (tmp_path / "images.bin").read_bytes()
    for length in (0, 20, len(whole) - 40):
        (tmp_path / "images.bin").write_bytes(whole[:length])
        with pytest.raises(CalibrationError, match="damaged"):
            list(read_foreign(tmp_path)[1])


def test_the_command_asks_for_what_is_missing(tmp_path: Path) -> None:
    path = pose2sim_file(tmp_path)
    path.write_text(path.read_text() + path.read_text().replace("cam01", "cam02").replace("[metadata]", "[metadata2]"))
    with pytest.raises(ConfigError, match=r"2 cameras: cam01, cam02.*--camera"):
        import_calibration(path, tmp_path / "cam.yaml")
    with pytest.raises(ConfigError, match="--image-size"):
        import_calibration(easymocap_folder(tmp_path), tmp_path / "cam.yaml")
    with pytest.raises(ConfigError, match="--format"):
        read_foreign(path, "theirs")
    arguments = ["calib", "import", str(path), "--camera", "cam02", "-o", str(tmp_path / "cam.yaml")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(main, [*arguments, "--image-size", "big"]).exit_code == 2
    out = ["calib", "export", str(tmp_path / "cam.yaml"), "--to", "opencv", "-o", str(tmp_path / "out.yml")]
    assert CliRunner().invoke(main, out).exit_code == 0


def test_formats_do_not_take_each_others_files(tmp_path: Path) -> None:
    for kind, make in WITH_POSE.items():
        folder = tmp_path / kind
        folder.mkdir()
        path = make(folder)
        assert [name for name, form in FORMATS.items() if form.fits(path)] == [kind.split()[0]]
    assert pinhole(SIZE, 900).size == SIZE
