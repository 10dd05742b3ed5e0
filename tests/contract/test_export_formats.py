"""What every export format promises: the joints that it holds are ours, at our times, with the right end up."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap_video.pipeline.export import EXPORTERS, export
from mocap_video.pipeline.formats.axes import R_yup_from_site, R_zup_from_site
from mocap_video.types import Person
from synth.exports import READERS
from synth.performers import FINE_HZ, R_SITE_FROM_ZUP, make_performer, write_performers

BODY_FORMATS = ("bvh", "glb", "csv", "npz", "usd")
CONSTANT = ("bvh", "trc", "c3d", "npz")
UP = np.array([0.0, 0.0, 1.0])
TOLERANCE_M = 1e-3


def file_of(folder: Path, name: str, number: int) -> Path:
    """Return where the person ``number`` is in the format ``name``."""
    return folder / "export" / (f"scene.{name}" if name in ("glb", "usd") else f"{number:03d}.{name}")


def expected(person: Person, name: str, up: np.ndarray) -> np.ndarray:
    """Return the joints that the format ``name`` holds of ``person``, m, in its axes."""
    joints = person.body.joints if name in BODY_FORMATS else person.motion.joints
    R = {"csv": np.eye(3), "npz": R_zup_from_site(up)}.get(name, R_yup_from_site(up))
    return joints @ R.T


def test_every_format_has_a_reader() -> None:
    assert set(READERS) == set(EXPORTERS)


@pytest.mark.parametrize("up", sorted(R_SITE_FROM_ZUP))
@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_joints_come_back_within_a_millimetre(tmp_path: Path, name: str, up: str) -> None:
    time_s = np.arange(120) / 30
    people = (make_performer(1, time_s, up=up), make_performer(4, time_s[25:70], up=up, place=(2, 8), first_frame=25))
    folder = write_performers(tmp_path / 'a "b" <c>', *people, up=up)
    export(folder, [name])
    for person in people:
        number = person.keypoints.person
        back = READERS[name](file_of(folder, name, number), number)
        own = person.keypoints.time_s - (person.keypoints.time_s[0] if name == "bvh" else 0)
        np.testing.assert_allclose(back.time_s, own, atol=1e-5)  # s
        np.testing.assert_allclose(back.joints, expected(person, name, R_SITE_FROM_ZUP[up] @ UP), atol=TOLERANCE_M)


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_times_are_true_where_the_rate_varies(tmp_path: Path, name: str) -> None:
    """A format with time stamps keeps the clip's; the others get a steady rate, and everyone stays where they were."""
    rng = np.random.default_rng(3)
    time_s = np.cumsum(rng.integers(10, 25, 110)) / FINE_HZ
    time_s -= time_s[0]
    person = make_performer(2, time_s[7:])
    folder = write_performers(tmp_path, person, rate=Fraction(30000, 1001))
    export(folder, [name])
    back = READERS[name](file_of(folder, name, 2), 2)
    if name not in CONSTANT:
        np.testing.assert_allclose(back.time_s, time_s[7:], atol=1e-6)  # s
        np.testing.assert_allclose(back.joints, expected(person, name, UP), atol=TOLERANCE_M)
        return
    first = np.ceil(time_s[7] * 30000 / 1001 - 0.1) * 1001 / 30000 if name == "bvh" else 0.0
    on_grid = back.time_s + first
    np.testing.assert_allclose(np.diff(on_grid), 1001 / 30000, atol=2e-6)  # s
    assert on_grid[0] - time_s[7] < 1001 / 30000
    assert time_s[-1] - on_grid[-1] < 1001 / 30000
    truth = expected(make_performer(2, on_grid), name, UP)
    np.testing.assert_allclose(back.joints, truth, atol=0.02)  # m: a foot swings, and up to 50 ms are bridged


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_bridged_frames_are_exported_and_nan_is_not(tmp_path: Path, name: str) -> None:
    person = make_performer(1, np.arange(20) / 25)
    xy, score = person.keypoints.xy.copy(), person.keypoints.score.copy()
    xy[5:9], score[5:9] = np.nan, 0.0
    hidden = dataclasses.replace(person, keypoints=dataclasses.replace(person.keypoints, xy=xy, score=score))
    folder = write_performers(tmp_path, hidden, rate=Fraction(25))
    export(folder, [name])
    path = file_of(folder, name, 1)
    back = READERS[name](path, 1)
    assert len(back.joints) == 20
    assert np.isfinite(back.joints).all()
    assert b"nan" not in path.read_bytes().lower() or name in ("glb", "c3d", "npz", "usd")


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_one_frame_is_enough(tmp_path: Path, name: str) -> None:
    person = make_performer(1, np.array([0.4]))
    folder = write_performers(tmp_path, person)
    export(folder, [name])
    back = READERS[name](file_of(folder, name, 1), 1)
    np.testing.assert_allclose(back.joints, expected(person, name, UP), atol=TOLERANCE_M)
