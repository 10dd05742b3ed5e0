"""``mocap-video calib``: what each command writes, says and refuses, on a rendered scene; and the proof picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from mocap_video.calib import geometry
from mocap_video.calib.checks import summarize
from mocap_video.calib.files import read_calibration, read_lens, write_calibration, write_lens
from mocap_video.calib.marks import MarkedPoints, write_points
from mocap_video.calib.mount import Mount, pinhole
from mocap_video.calib.optics import equivalent_from_tags, focal_from_equivalent, focal_from_hfov, focal_from_sensor
from mocap_video.calib.upright import Rulers
from mocap_video.errors import ConfigError
from mocap_video.pipeline.calibrate import measured_people
from mocap_video.pipeline.cli import main
from mocap_video.render.proof import Measured, draw_proof
from mocap_video.types import Calibration, Camera
from synth.cameras import BARREL, FISHEYE, GROUND, PINHOLE
from synth.sites import marked
from synth.videos import make_video

SITE = Mount(3.0, np.radians(22), np.radians(1)).calibration(pinhole((320, 180), 260.0))
MARKS = np.array([[-1, 5, 0], [1, 5, 0], [-2, 9, 0], [2, 9, 0], [0, 7, 1.2], [1, 7, 0], [-1.5, 6.5, 0.0]])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "yard 'a' <b>.mp4", 4, size=(320, 180))


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    write_points(marked(SITE, MARKS, np.random.default_rng(0), 0.2), tmp_path / "marks.yaml")
    return tmp_path / "marks.yaml"


def calib(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["calib", *(str(argument) for argument in arguments)])


def test_from_points_writes_a_calibration_and_a_picture(tmp_path: Path, clip: Path, marks: Path) -> None:
    result = calib("from-points", clip, "--points", marks, "-o", tmp_path / "cam.yaml")
    assert result.exit_code == 0, result.output
    made = read_calibration(tmp_path / "cam.yaml")
    assert summarize(made).tilt_down_deg == pytest.approx(22, abs=1)
    assert made.source == "from-points"
    assert "mark 4" in result.output
    assert " px" in result.output
    assert " cm" in result.output
    assert "95 %" in result.output
    assert Image.open(tmp_path / "cam.png").size[0] == 1600


def test_from_points_with_a_lens_and_as_json(tmp_path: Path, clip: Path, marks: Path) -> None:
    write_lens(SITE.camera, tmp_path / "lens.yaml")
    options = ["--points", marks, "--lens", tmp_path / "lens.yaml", "-o", tmp_path / "cam.yaml", "--json"]
    result = calib("from-points", clip, *options)
    said = json.loads(result.stdout)
    assert [point["name"] for point in said["points"]] == [f"mark {i}" for i in range(7)]
    assert said["uncertainty"]["focal"] == 0
    np.testing.assert_allclose(read_calibration(tmp_path / "cam.yaml").camera.K, SITE.camera.K)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--points", "{marks}", "--court", "tennis"], 2, "--points and --court"),
        (["--points", "{marks}", "--hfov-deg", "60", "--lens", "x.yaml"], 2, "--lens and --hfov-deg"),
        (["--points", "no.yaml"], 3, "cannot be read"),
        (["--court", "cricket"], 2, "badminton"),
        (["--court", "tennis", "--no-click"], 3, "at least 4 points"),
    ],
)
def test_from_points_refusals(
    tmp_path: Path, clip: Path, marks: Path, options: list[str], code: int, text: str
) -> None:
    result = calib("from-points", clip, "-o", tmp_path / "c.yaml", *(o.replace("{marks}", str(marks)) for o in options))
    assert result.exit_code == code, result.output
    assert text in result.stderr
    assert not (tmp_path / "c.yaml").exists()


def test_from_mount_and_check(tmp_path: Path, clip: Path) -> None:
    cam = tmp_path / "cam.yaml"
    result = calib("from-mount", clip, "--height-m", 3, "--tilt-deg", 22, "--hfov-deg", 63, "-o", cam)
    assert result.exit_code == 0, result.output
    said = summarize(read_calibration(cam))
    assert (said.height_m, said.tilt_down_deg, said.hfov_deg) == pytest.approx((3, 22, 63))
    result = calib("check", clip, "--calib", cam, "-o", tmp_path / "proof", "--no-people", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"size", "mount", "resolution", "mirror twin", "straight edges"} == {
        finding["topic"] for finding in found["findings"]
    }
    assert Image.open(found["proof"]).size[0] == 1600


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "do not name the lens"),
        (["--sensor", "1/2.8"], "--sensor and --focal-mm"),
        (["--sensor", "huge", "--focal-mm", "3"], "1/2.8"),
        (["--camera", "iPhone 33"], "Did you mean"),
        (["--camera", "toaster"], "Listed are iPhone X"),
        (["--hfov-deg", "60", "--focal-35mm", "26"], "one of them"),
    ],
)
def test_from_mount_refusals(tmp_path: Path, clip: Path, options: list[str], text: str) -> None:
    result = calib("from-mount", clip, "--height-m", 3, "--tilt-deg", 22, "-o", tmp_path / "cam.yaml", *options)
    assert result.exit_code == 2, result.output
    assert text in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [(["--height-m", 120], "are lengths in metres?"), (["--height-m", 3, "--roll-deg", 14], "14.0 degrees of roll")],
)
def test_what_looks_wrong_is_said_at_once(tmp_path: Path, clip: Path, options: list[object], text: str) -> None:
    result = calib("from-mount", clip, "--tilt-deg", 30, "--hfov-deg", 60, "-o", tmp_path / "cam.yaml", *options)
    assert result.exit_code == 0, result.output
    assert f"WARNING  {options[-1]}" in result.stdout
    assert text in result.stdout


def test_a_lens_file_given_for_a_calibration_is_told_apart(tmp_path: Path, clip: Path) -> None:
    write_lens(PINHOLE, tmp_path / "lens.yaml", "test")
    result = calib("check", clip, "--calib", tmp_path / "lens.yaml", "-o", tmp_path / "proof")
    assert result.exit_code == 3
    assert "this is a lens.yaml" in result.stderr


def test_check_of_an_impossible_calibration_exits_3(tmp_path: Path, clip: Path) -> None:
    cam = tmp_path / "cam.yaml"
    write_calibration(SITE, cam)
    cam.write_text(cam.read_text().replace("ground: 0.0", "ground: 5.0"))
    result = calib("check", clip, "--calib", cam, "-o", tmp_path / "proof")
    assert result.exit_code == 3
    assert "above the ground" in result.stderr


def test_from_people_without_people_says_what_it_needs(tmp_path: Path, clip: Path) -> None:
    result = calib("from-people", clip, "-o", tmp_path / "cam.yaml")
    assert result.exit_code == 3
    assert "at least 8 views" in result.stderr


def test_focal_lengths_from_data_sheets() -> None:
    assert focal_from_hfov((1920, 1080), 90) == pytest.approx(960)
    assert focal_from_sensor((1920, 1080), "1/2.8", 5.37) == pytest.approx(1920)
    assert focal_from_sensor((1080, 1920), "10", 5) == pytest.approx(960)
    assert focal_from_equivalent((1920, 1080), 34.6) == pytest.approx(1920)
    assert equivalent_from_tags({"com.apple.quicktime.model": "iPhone 13"}) is not None
    found = equivalent_from_tags({"com.apple.quicktime.camera.focal_length.35mm_equivalent": "24"})
    assert found is not None
    assert found[0] == 24
    assert equivalent_from_tags({"model": "toaster", "encoder": "x"}) is None
    with pytest.raises(ConfigError):
        focal_from_sensor((1920, 1080), "-3", 5)


def test_a_lens_file_is_a_cam_yaml_without_a_pose(tmp_path: Path) -> None:
    for camera in (PINHOLE, BARREL, FISHEYE):
        write_lens(camera, tmp_path / "lens.yaml", "test")
        lens = read_lens(tmp_path / "lens.yaml")
        np.testing.assert_array_equal(lens.K, camera.K)
        np.testing.assert_array_equal(lens.coeffs, camera.coeffs)
        assert (lens.size, lens.distortion) == (camera.size, camera.distortion)
        write_calibration(Calibration(camera, GROUND), tmp_path / "cam.yaml")
        np.testing.assert_array_equal(read_lens(tmp_path / "cam.yaml").K, camera.K)


@pytest.mark.parametrize("camera", [PINHOLE, BARREL, FISHEYE], ids=["pinhole", "barrel", "fisheye"])
def test_the_proof_picture_draws_on_the_ground_and_below_the_horizon(camera: Camera) -> None:
    frame = np.zeros((camera.size[1], camera.size[0], 3), np.uint8)
    person = Measured(np.array([300.0, 250.0]), np.array([300.0, 180.0]), 1.75)
    plain, said = (draw_proof(frame, Calibration(camera, GROUND), lines) for lines in ([], [("wrong", "word " * 80)]))
    assert plain.shape == (900, 1600, 3)
    assert said.shape[0] > 940  # the words stand below
    np.testing.assert_array_equal(said[:900], plain)
    assert (plain[700:].max(-1) > 60).any()
    assert (draw_proof(frame, Calibration(camera, GROUND), [], [person]) != plain).any()
    with pytest.raises(ValueError, match="rgb"):
        draw_proof(frame[:-1], Calibration(camera, GROUND))


def test_axes_away_from_the_origin_do_not_hide_each_other() -> None:
    """Straight ahead of a level camera the site's y and z have one direction in the picture."""
    calibration = Mount(3.0, np.radians(22), 0.0).calibration(pinhole((1280, 720), 950.0))
    picture = draw_proof(np.zeros((720, 1280, 3), np.uint8), calibration).astype(int)
    green, blue = (
        (picture[..., channel] > 150) & (picture.sum(-1) - picture[..., channel] < 1.75 * picture[..., channel])
        for channel in (1, 2)
    )
    assert green.sum() > 150  # px of an axis some 5 px wide
    assert blue.sum() > 150


def test_measured_people_reach_from_the_ground_to_their_height() -> None:
    frame, mount = np.zeros((360, 640, 3), np.uint8), Mount(3.0, np.radians(20), 0.0)
    calibration = mount.calibration(pinhole((640, 360), 500.0))
    rulers = Rulers(np.array([[1.0, 8.0], [np.nan, np.nan]]), np.array([1.8, 1.7]), np.zeros(2))
    (person,) = measured_people(calibration, rulers, np.arange(2))
    expected, _ = geometry.project(torch.tensor([[1.0, 8, 0], [1.0, 8, 1.8]], dtype=torch.float64), calibration.camera)
    np.testing.assert_allclose(np.stack([person.feet, person.head]), expected.numpy(), atol=1e-6)  # px
    assert draw_proof(frame, calibration, [], [person]).any()


def test_without_the_ground_in_view_the_picture_is_still_drawn() -> None:
    up = Mount(2.0, np.radians(-60), 0.0).calibration(pinhole((320, 180), 400.0))
    assert draw_proof(np.full((180, 320, 3), 200, np.uint8), up).shape == (900, 1600, 3)


def test_the_words_of_marks_without_pixels() -> None:
    points = MarkedPoints(("a",), np.zeros((1, 3)), np.full((1, 2), np.nan), (320, 180))
    assert points.marked.names == ()
