"""Calibration from points: exact on exact points, robust, honest about twins, mirrors and what points cannot say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from realdata import real_calibration, real_folder

from mocap_video.calib.accuracy import RANGES_M, ground_errors
from mocap_video.calib.checks import summarize
from mocap_video.calib.courts import COURTS, court_marks
from mocap_video.calib.marks import MarkedPoints, enough, points_of_court, read_points, write_points
from mocap_video.calib.mount import Mount, mount_of, pinhole
from mocap_video.calib.points import calibrate_from_points, twin_of
from mocap_video.errors import CalibrationError, ConfigError
from synth.sites import SIZE, ground_marks, marked, random_site

SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known", [True, False], ids=["lens known", "focal free"])
def test_exact_ground_marks_give_the_camera_back(seed: int, known: bool) -> None:
    rng = np.random.default_rng(seed)
    site = random_site(rng)
    points = marked(site, ground_marks(site, rng)[:30], rng, 0.0)
    fit = calibrate_from_points(points, site.camera if known else None)
    assert fit.rms_px < 1e-3
    assert (ground_errors(site, fit.calibration, np.array(RANGES_M)) < 1e-3).all()  # metres
    assert fit.used.all()


@pytest.mark.parametrize("seed", range(2))
def test_noise_of_a_pixel_costs_what_the_fit_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    site = random_site(rng)
    fit = calibrate_from_points(marked(site, ground_marks(site, rng)[:30], rng, 1.0))
    truth, said = summarize(site), summarize(fit.calibration)
    assert abs(said.tilt_down_deg - truth.tilt_down_deg) < 4 * fit.uncertainty.tilt_deg + 0.01
    assert abs(said.height_m - truth.height_m) < 4 * fit.uncertainty.height_m + 0.001
    assert abs(np.log(fit.calibration.camera.K[0, 0] / site.camera.K[0, 0])) < 4 * fit.uncertainty.focal + 1e-3
    assert 0.5 < fit.rms_px < 2.5


def test_a_wrong_point_is_found_and_left_out() -> None:
    rng = np.random.default_rng(3)
    site = random_site(rng)
    points = marked(site, ground_marks(site, rng)[:20], rng, 0.5)
    points.pixels[4] += [70, -40]
    fit = calibrate_from_points(points, site.camera)
    assert np.flatnonzero(~fit.used).tolist() == [4]
    assert fit.error_px[4] > 40
    assert any("left out" in text for text in fit.warnings())


def test_points_off_the_ground_and_a_tilted_plane_serve_too() -> None:
    rng = np.random.default_rng(5)
    site = random_site(rng)
    world = ground_marks(site, rng)
    for slope in (0.0, 0.3):
        world[:, 2] = slope * world[:, 1] * (1 if slope else 0) + (0 if slope else rng.uniform(0, 2, len(world)))
        fit = calibrate_from_points(marked(site, world, rng, 0.0))
        np.testing.assert_allclose(fit.calibration.camera.center_world, site.camera.center_world, atol=1e-3)


def test_a_left_handed_site_frame_is_refused_as_the_mirror_solution() -> None:
    rng = np.random.default_rng(0)
    site = random_site(rng)
    points = marked(site, ground_marks(site, rng)[:20], rng, 0.3)
    mirrored = MarkedPoints(points.names, points.world[:, [1, 0, 2]], points.pixels, SIZE)
    with pytest.raises(CalibrationError, match=r"below the ground.*mirror.*left-handed") as refused:
        calibrate_from_points(mirrored, site.camera)
    assert refused.value.exit_code == 3


def test_the_rival_of_a_steep_view_is_found() -> None:
    site = Mount(10.0, np.radians(80), 0.0).calibration(pinhole(SIZE, 3000.0))
    square = 0.33 * SQUARE + np.array([0, 1.76, 0])
    fit = calibrate_from_points(marked(site, square, np.random.default_rng(2), 0.5), site.camera)
    assert fit.rival is not None
    assert fit.rival.rms_px < 5  # px
    assert any("ambiguous" in text for text in fit.warnings())
    twin = twin_of(site, 0.66)
    assert twin is not None
    assert mount_of(twin.calibration).height_m > 0
    wide = calibrate_from_points(
        marked(site, SQUARE + np.array([0, 1.76, 0]), np.random.default_rng(2), 0.0), site.camera
    )
    assert wide.rms_px < 1e-3


def test_a_focal_length_that_points_do_not_show_is_said_to_be_unknown() -> None:
    site = Mount(5.0, np.radians(89), 0.0).calibration(pinhole(SIZE, 1500.0))
    rng = np.random.default_rng(0)
    world = np.append(rng.uniform(-2, 2, (12, 2)), np.zeros((12, 1)), 1)
    fit = calibrate_from_points(marked(site, world, rng, 1.0))
    assert fit.uncertainty.focal > 0.05
    assert any("--hfov-deg" in text for text in fit.warnings())


def test_three_points_or_a_line_are_refused() -> None:
    line = MarkedPoints(tuple("abcd"), np.arange(12.0).reshape(4, 3), np.zeros((4, 2)), SIZE)
    with pytest.raises(CalibrationError, match="on one line"):
        enough(line, "marks.yaml")
    line.pixels[0] = np.nan
    with pytest.raises(CalibrationError, match=r"marks.yaml.*at least 4.*got 3"):
        enough(line, "marks.yaml")


@pytest.mark.parametrize("name", sorted(COURTS))
def test_courts_are_symmetric_and_have_marks_enough(name: str) -> None:
    marks = np.array(list(court_marks(name).values()))
    assert len(marks) >= 10
    assert {tuple(m) for m in marks.tolist()} == {tuple(m) for m in (marks * [-1, 1, 1] + 0.0).tolist()}
    assert {tuple(m) for m in marks.tolist()} == {tuple(m) for m in (marks * [1, -1, 1] + 0.0).tolist()}
    assert (marks[:, 2] >= 0).all()


def test_known_lengths_of_courts() -> None:
    tennis = court_marks("tennis")
    a, b = (np.array(tennis[f"doubles corner {end} left"]) for end in "AB")
    assert np.linalg.norm(a - b) == pytest.approx(23.77)
    rectangle = np.array(list(court_marks("4x2.5").values()))
    assert np.cross(rectangle[1] - rectangle[0], rectangle[3] - rectangle[0])[2] == pytest.approx(10)  # right-handed
    for name in ("cricket", "4x", "x3", "0x4", "axb"):
        with pytest.raises(ConfigError, match="rectangle"):
            court_marks(name)


def test_points_files_come_back_as_written(tmp_path: Path) -> None:
    points = points_of_court("tennis", SIZE)
    points.pixels[:5] = np.arange(10).reshape(5, 2) * 20.25
    own = MarkedPoints(("a <b>", "ü"), np.array([[0, 0, 0.5], [1, 2, 3]]), np.array([[1.5, 2], [np.nan, np.nan]]), SIZE)
    for given in (points, own):
        write_points(given, tmp_path / "marks.yaml")
        read = read_points(tmp_path / "marks.yaml", SIZE)
        assert (read.names, read.court, read.size) == (given.names, given.court, SIZE)
        np.testing.assert_array_equal(read.world, given.world)
        np.testing.assert_allclose(read.pixels, given.pixels, atol=0.01)
        half = read_points(tmp_path / "marks.yaml", (960, 540))
        np.testing.assert_allclose(half.pixels, (given.pixels + 0.5) / 2 - 0.5, atol=0.01)
    with pytest.raises(CalibrationError, match=r"image_size.*1080 x 1920"):
        read_points(tmp_path / "marks.yaml", (1080, 1920))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("points: []", "list of points"),
        ("points: [{pixel: [1, 2]}]", "either world"),
        ("points: [{mark: corner}]", "a court at the top"),
        ("court: tennis\npoints: [{mark: corner}]", "one of doubles corner"),
        ("points: [{world: [1], pixel: [1, 2]}]", "metres"),
        ("points: [{world: [1, 2, .nan]}]", "finite"),
        ("point: []", "Did you mean 'points'"),
    ],
)
def test_points_files_are_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "marks.yaml").write_text(text)
    with pytest.raises(CalibrationError, match=said) as refused:
        read_points(tmp_path / "marks.yaml", SIZE)
    assert str(refused.value).startswith(str(tmp_path / "marks.yaml"))


@pytest.mark.parametrize("view", ["cam01", "cam02", "cam03", "cam04"])
def test_the_planar_twin_of_a_real_camera_is_caught(view: str) -> None:
    """The deck of pose2sim_single: marks on one plane fit a camera below the ground as well as the one above."""
    truth = real_calibration(real_folder("pose2sim_single") / f"{view}.yaml")
    rng = np.random.default_rng(0)
    deck = np.append(rng.uniform([-1.5, -0.4], [0.5, 0.4], (8, 2)), np.zeros((8, 1)), 1)
    points = marked(truth, deck, rng, 0.5)
    assert len(points.names) >= 6
    fit = calibrate_from_points(points, truth.camera)
    assert mount_of(fit.calibration).height_m == pytest.approx(mount_of(truth).height_m, rel=0.05)
    below = MarkedPoints(points.names, points.world[:, [1, 0, 2]], points.pixels, points.size)
    with pytest.raises(CalibrationError, match=r"fit to [01]\.\d px, but only for a camera below the ground"):
        calibrate_from_points(below, truth.camera)


@pytest.mark.parametrize("known", [True, False], ids=["lens known", "focal free"])
def test_places_in_the_frame_of_the_points_are_as_exact_as_claimed(known: bool) -> None:
    ratios = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        site = random_site(rng)
        points = marked(site, ground_marks(site, rng)[:20], rng, 1.0)
        fit = calibrate_from_points(points, site.camera if known else None)
        ratios.append(ground_errors(site, fit.calibration, np.array(RANGES_M)) / fit.uncertainty.ground_m)
    inside = np.mean(np.array(ratios) < 2)  # 95 % ranges; 30 draws, three of a site being of one mind
    assert inside > 0.85
    assert 0.25 < np.median(ratios) < 1.5  # in claimed standard deviations: neither boasting nor hedging
