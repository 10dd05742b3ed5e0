"""Paths, zones and distances from people.csv alone, on ways whose answer is known."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.pipeline.ground_tracks import GroundTrack, read_tracks
from mocap_video.pipeline.plan_picture import check_plan
from mocap_video.pipeline.results import CSV_HEADER, write_people_csv
from mocap_video.pipeline.site import FloorPlan, Site, Zone
from mocap_video.pipeline.site_analysis import (
    AnalysedClip,
    analyse_clip,
    distances,
    inside,
    stay_in,
    sum_up,
)
from synth.people import make_person, make_result

SQUARE = Zone("square", ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)))
SITE = Site("yard", (), zones=(SQUARE,))
RATE_HZ = 25.0


def track(x: np.ndarray, y: float = 1.0, person: int = 1, start_s: float = 0.0) -> GroundTrack:
    """Return someone who is at ``x (T)`` m, ``y`` m, frame by frame."""
    return GroundTrack(person, start_s + np.arange(len(x)) / RATE_HZ, np.stack([x, np.full(len(x), y)], -1))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_walk_through_a_zone_is_one_entry_one_exit_and_the_time_inside() -> None:
    stay = stay_in(SQUARE, track(np.arange(-1, 3, 1 / RATE_HZ)))  # 1 m/s from 1 m before to 1 m behind
    assert (stay.entries, stay.exits) == (1, 1)
    assert stay.dwell_s == pytest.approx(2.0, abs=1.5 / RATE_HZ)


def test_whoever_is_inside_at_first_has_not_entered() -> None:
    stay = stay_in(SQUARE, track(np.linspace(1, 3, 51)))
    assert (stay.entries, stay.exits) == (0, 1)
    stay = stay_in(SQUARE, track(np.full(50, 1.0)))
    assert (stay.entries, stay.exits, stay.dwell_s) == (0, 0, pytest.approx(49 / RATE_HZ))


def test_a_walk_along_the_border_is_not_a_hundred_visits() -> None:
    noise = 0.02 * np.sin(np.arange(250) * 2.1)
    stay = stay_in(SQUARE, track(np.concatenate([[-1.0] * 25, noise, [-1.0] * 25])))
    assert stay.entries == stay.exits <= 1


def test_a_gap_in_the_track_counts_for_nobody() -> None:
    first, second = track(np.full(25, 1.0)), track(np.full(25, 1.0), start_s=60)
    both = GroundTrack(1, np.append(first.time_s, second.time_s), np.concatenate([first.ground, second.ground]))
    stay = stay_in(SQUARE, both)
    assert (stay.entries, stay.exits) == (0, 0)
    assert stay.dwell_s == pytest.approx(2 * 24 / RATE_HZ)


@given(st.floats(-3, 5), st.floats(-3, 5))
def test_inside_agrees_with_the_square(x: float, y: float) -> None:
    if min(abs(x), abs(x - 2), abs(y), abs(y - 2)) > 1e-9:
        assert inside(SQUARE, np.array([[x, y]]))[0] == (0 < x < 2 and 0 < y < 2)


def test_a_bay_is_outside_and_the_turn_of_the_corners_is_no_matter() -> None:
    corners = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0))
    points = np.array([[2.0, 0.5], [2.0, 2.0], [0.5, 2.0], [3.5, 2.0]])
    for zone in (Zone("bay", corners), Zone("bay", corners[::-1])):
        np.testing.assert_array_equal(inside(zone, points), [True, False, True, True])


def test_distances_are_told_for_the_times_that_two_share() -> None:
    a, b = track(np.zeros(10)), track(np.full(10, 3.0), y=5.0, person=2, start_s=5 / RATE_HZ)
    found = list(distances([a, b]))
    assert [(round(t * RATE_HZ), p, q) for t, p, q, _ in found] == [(t, 1, 2) for t in range(5, 10)]
    assert {round(metres, 6) for *_, metres in found} == {5.0}


def results(folder: Path, *numbers: int) -> Path:
    people = [make_person(number, 60, speed_m_s=number) for number in numbers]
    write_people_csv(make_result(*people), folder / "people.csv")
    return folder


def test_the_ground_is_along_the_axes_that_the_site_names(tmp_path: Path) -> None:
    """The stiff person glides along +x at y = 10 m, hips 0.819 m up."""
    (plain,) = read_tracks(results(tmp_path, 1), SITE)
    (other,) = read_tracks(tmp_path, replace(SITE, ground_axes=("z", "-x")))
    np.testing.assert_allclose(plain.ground[:, 1], 10, atol=1e-4)  # metres
    np.testing.assert_allclose(other.ground[:, 0], 0.819, atol=1e-4)
    np.testing.assert_allclose(other.ground[:, 1], -plain.ground[:, 0], atol=1e-9)


def test_the_analysis_of_a_clip_is_four_files_and_is_not_made_twice(tmp_path: Path) -> None:
    site = replace(SITE, zones=(Zone("lane", ((0.0, 9.0), (0.5, 9.0), (0.5, 11.0), (0.0, 11.0))),))
    folder = results(tmp_path / "clip", 1, 2)
    assert analyse_clip(folder, site)
    assert not analyse_clip(folder, site)
    assert analyse_clip(folder, SITE), "other zones ask for it anew"
    assert analyse_clip(folder, site)
    paths, zones, apart = (rows(folder / "site" / f"{name}.csv") for name in ("paths", "zones", "distances"))
    assert len(paths) == 120
    assert list(paths[0]) == ["time_s", "person", "ground_1_m", "ground_2_m", "zones"]
    assert {row["zones"] for row in paths} == {"", "lane"}
    assert [(row["person"], row["entries"], row["exits"]) for row in zones] == [("1", "1", "1"), ("2", "0", "0")]
    assert float(zones[0]["dwell_s"]) == pytest.approx(0.5, abs=0.07)  # seconds: half a metre at 1 m/s, 30 Hz
    assert len(apart) == 60
    assert Image.open(folder / "site" / "plan.png").size[0] > 100


def test_cameras_and_site_are_summed(tmp_path: Path) -> None:
    site = replace(SITE, zones=(Zone("lane", ((0.0, 9.0), (0.5, 9.0), (0.5, 11.0), (0.0, 11.0))),))
    clips = [AnalysedClip("deck", tmp_path / "deck" / "a"), AnalysedClip("deck", tmp_path / "deck" / "b"),
             AnalysedClip("gate", tmp_path / "gate" / "a")]  # fmt: skip
    for clip in clips:
        analyse_clip(results(clip.folder, 1), site)
    sum_up(tmp_path, site, clips)
    (deck,), all_rows = rows(tmp_path / "deck" / "zones.csv"), rows(tmp_path / "zones.csv")
    assert (deck["clips"], deck["people"], deck["entries"]) == ("2", "2", "2")
    assert [(row["camera"], row["entries"]) for row in all_rows] == [("deck", "2"), ("gate", "1"), ("all", "3")]
    assert float(all_rows[-1]["dwell_s"]) == pytest.approx(sum(float(row["dwell_s"]) for row in all_rows[:2]))
    assert (tmp_path / "plan.png").is_file()
    assert (tmp_path / "gate" / "plan.png").is_file()


def test_a_path_is_drawn_where_it_lies_on_the_plan(tmp_path: Path) -> None:
    """The person glides from (-1, 10) to (1, 10) m; the plan has 50 px a metre and its origin at (100, 600) px."""
    Image.new("RGB", (200, 640), "white").save(tmp_path / "plan.png")
    site = Site("yard", (), plan=FloorPlan(tmp_path / "plan.png", 0.02, (100.0, 600.0)))
    analyse_clip(results(tmp_path / "clip", 1), site)
    drawn = np.asarray(Image.open(tmp_path / "clip" / "site" / "plan.png")).astype(int)
    y, x = np.nonzero((255 * 3 - drawn.sum(-1)) > 120)
    assert abs(np.median(y) - 100) <= 2  # px
    assert x.min() == pytest.approx(50, abs=8)
    assert x.max() == pytest.approx(147, abs=8)
    (first, *_) = rows(tmp_path / "clip" / "site" / "paths.csv")
    assert float(first["plan_y_px"]) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("text", ["", "time_s,person\n1,1\n", ",".join(CSV_HEADER) + "\n0,1,a,0,0,0,none,1\n",
                                  ",".join(CSV_HEADER) + "\n1,1,0,0,0,0,none,1\n1,1,0,0,0,0,none,1\n",
                                  ",".join(CSV_HEADER) + "\n1,1,nan,0,0,0,none,1\n"])  # fmt: skip
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"people\.csv"):
        read_tracks(tmp_path, SITE)


def test_a_plan_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.png").write_text("no picture")
    with pytest.raises(ConfigError, match="floor_plan"):
        check_plan(Site("yard", (), plan=FloorPlan(tmp_path / "plan.png", 0.02, (0.0, 0.0))))


def test_nobody_makes_empty_tables_and_a_picture_of_the_zones(tmp_path: Path) -> None:
    analyse_clip(results(tmp_path / "clip"), SITE)
    assert rows(tmp_path / "clip" / "site" / "paths.csv") == []
    assert (tmp_path / "clip" / "site" / "plan.png").is_file()
