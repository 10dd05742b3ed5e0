"""Calibration from people: simulated crowds give the camera back within what is claimed; too little is refused."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.calib.accuracy import RANGES_M, altered, ground_errors, uncertainty
from mocap_video.calib.checks import summarize
from mocap_video.calib.examine import describe, examine_people, examine_view, warn_of_view
from mocap_video.calib.mount import Mount, mount_of, pinhole, zoomed
from mocap_video.calib.people import calibrate_from_people
from mocap_video.calib.upright import UprightViews, measure, upright_views
from mocap_video.errors import CalibrationError
from mocap_video.types import Calibration, Keypoints2D
from synth.crowds import crowd
from synth.sites import SIZE, random_site


@pytest.fixture(scope="module")
def site() -> Calibration:
    return random_site(np.random.default_rng(1000))


@pytest.fixture(scope="module")
def people(site: Calibration) -> list[Keypoints2D]:
    return crowd(site, np.random.default_rng(1001), 8)


@pytest.fixture(scope="module")
def seen(people: list[Keypoints2D]) -> UprightViews:
    return upright_views(people, SIZE)


@pytest.mark.parametrize("known", [True, False], ids=["lens known", "focal free"])
def test_walkers_give_the_camera_back(site: Calibration, seen: UprightViews, known: bool) -> None:
    fit = calibrate_from_people(seen, SIZE, site.camera if known else None)
    relative = ground_errors(site, fit.calibration, np.array(RANGES_M)) / RANGES_M
    assert np.median(relative) < (0.05 if known else 0.12)
    truth, said = summarize(site), summarize(fit.calibration)
    assert abs(said.tilt_down_deg - truth.tilt_down_deg) < 4 * fit.uncertainty.tilt_deg
    assert abs(said.height_m - truth.height_m) < 4 * fit.uncertainty.height_m
    assert fit.used > 0.9 * fit.sightings
    assert (fit.uncertainty.focal == 0) == known
    assert fit.warnings() == []


def test_one_person_is_told_to_be_little(site: Calibration, seen: UprightViews) -> None:
    one = seen.person == seen.person[0]
    alone = UprightViews(*(array[one] for array in vars(seen).values()))
    fit = calibrate_from_people(alone, SIZE, site.camera)
    many = calibrate_from_people(seen, SIZE, site.camera)
    assert fit.uncertainty.height_m > 1.5 * many.uncertainty.height_m
    assert any("--height-m" in text for text in fit.warnings())


def test_taller_people_mean_a_higher_camera(site: Calibration, seen: UprightViews) -> None:
    usual, tall = (calibrate_from_people(seen, SIZE, site.camera, height_m=h, height_spread_m=0.02) for h in (1.6, 1.8))
    ratio = mount_of(tall.calibration).height_m / mount_of(usual.calibration).height_m
    assert ratio == pytest.approx(1.8 / 1.6, rel=0.02)


def test_too_few_people_are_refused(seen: UprightViews) -> None:
    few = UprightViews(*(array[:5] for array in vars(seen).values()))
    with pytest.raises(CalibrationError, match=r"at least 8 views.*got 5.*longer clip"):
        calibrate_from_people(few, SIZE)


def test_sitting_cut_and_unseen_people_are_no_rulers(people: list[Keypoints2D]) -> None:
    person = people[0]
    whole = len(upright_views([person], SIZE))
    assert whole >= 5
    sitting, cut, unseen = person.xy.copy(), person.xy.copy(), person.score.copy()
    sitting[:, 15:] = sitting[:, 11:13] + 0.5 * (sitting[:, 15:] - sitting[:, 11:13])
    cut[..., 1] += SIZE[1]
    unseen[:, 15] = 0.1
    for xy, score in ((sitting, person.score), (cut, person.score), (person.xy, unseen)):
        changed = Keypoints2D(
            1, "coco17", person.frames, person.time_s, xy, np.where(np.isfinite(xy).all(-1), score, 0.0)
        )
        assert len(upright_views([changed], SIZE)) == 0


def levels(calibration: Calibration, seen: UprightViews) -> dict[str, str]:
    return {finding.topic: finding.level for finding in examine_people(calibration, seen)}


def test_the_true_calibration_passes(site: Calibration, seen: UprightViews) -> None:
    assert set(levels(site, seen).values()) == {"ok"}
    assert {f.level for f in examine_view(site)} <= {"ok", "note"}
    rulers = measure(site, seen)
    assert np.nanmedian(rulers.stature) == pytest.approx(1.70, abs=0.08)  # metres
    assert abs(np.nanmedian(rulers.lean_deg)) < 3


@pytest.mark.parametrize(
    ("change", "topic", "level"),
    [
        ({"log_height": np.log(2.0)}, "people's height", "wrong"),
        ({"log_height": np.log(0.8)}, "people's height", "warning"),
        ({"tilt_down": np.radians(7)}, "trend", "warning"),
        ({"roll": np.radians(12)}, "upright", "warning"),
        ({"roll": np.radians(80)}, "upright", "wrong"),
    ],
)
def test_what_is_wrong_is_found(
    site: Calibration, seen: UprightViews, change: dict[str, float], topic: str, level: str
) -> None:
    found = {f.topic: f for f in examine_people(altered(site, **change), seen)}
    assert found[topic].level == level
    assert found[topic].text.endswith(".")


def test_a_horizon_below_the_feet_is_wrong(site: Calibration, seen: UprightViews) -> None:
    (finding,) = examine_people(altered(site, tilt_down=-np.radians(45)), seen)
    assert (finding.level, finding.topic) == ("wrong", "people")


def test_the_claim_in_one_line() -> None:
    lens = pinhole((1280, 720), 1200)
    line = describe(Mount(3.0, np.radians(20), np.radians(-1)).calibration(lens))
    assert line.startswith("calibration: camera 3.00 m above the ground, looks 20.0 deg down, roll -1.0 deg")
    assert "above the picture" in line
    assert "in the picture, 5" in describe(Mount(3.0, 0.0, 0.0).calibration(lens))
    assert "looks 3.0 deg up" in describe(Mount(3.0, np.radians(-3), 0.0).calibration(lens))


def test_a_steep_roll_is_logged_before_a_run(site: Calibration, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_view(site)
    assert caplog.messages == []
    warn_of_view(altered(site, roll=np.radians(20)))
    assert "degrees of roll" in caplog.text


def test_an_error_of_tilt_moves_places_as_trigonometry_says() -> None:
    site = Mount(3.0, np.radians(20), 0.0).calibration(pinhole(SIZE, 1400))
    angle = np.arctan(3.0 / np.array(RANGES_M))
    error = ground_errors(site, altered(site, tilt_down=np.radians(1)), np.array(RANGES_M))
    np.testing.assert_allclose(error, np.array(RANGES_M) - 3.0 / np.tan(angle + np.radians(1)), atol=1e-6)
    higher = ground_errors(site, altered(site, log_height=np.log(1.1)), np.array(RANGES_M))
    np.testing.assert_allclose(higher, 0.1 * np.array(RANGES_M), atol=1e-6)
    assert np.isinf(ground_errors(site, altered(site, tilt_down=-np.radians(40)), np.array([20.0])))


def test_uncertainty_is_the_spread_of_what_it_describes() -> None:
    """Linear propagation against samples."""

    def build(x: np.ndarray) -> Calibration:
        return Mount(3.0 * np.exp(x[2]), x[0], x[1]).calibration(zoomed(pinhole(SIZE, 1400), float(np.exp(x[3]))))

    mean, deviation = np.array([0.4, 0.01, 0.0, 0.0]), np.array([0.003, 0.005, 0.01, 0.008])
    known = uncertainty(build, mean, np.diag(deviation**2))
    assert known.tilt_deg == pytest.approx(np.degrees(0.003), rel=1e-3)
    assert known.height_m == pytest.approx(0.03, rel=1e-3)
    rng = np.random.default_rng(0)
    errors = [
        ground_errors(build(mean), build(mean + deviation * rng.normal(size=4)), np.array(RANGES_M)) for _ in range(300)
    ]
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(errors), 0)), known.ground_m, rtol=0.2)
