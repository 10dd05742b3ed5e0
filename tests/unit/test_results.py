"""The files of a results folder: what scripts outside the project read, and what must not be left half-written."""

from __future__ import annotations

import csv
import dataclasses
import json
import resource
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap_video.errors import ArtifactError, StorageError
from mocap_video.pipeline import results
from mocap_video.pipeline.plain_json import strict_json
from mocap_video.pipeline.results import person_quality, person_record, provenance, read_person
from mocap_video.pipeline.stages import StageRecord
from mocap_video.pipeline.trust import FLAGS
from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.types import BodyFit, ClipResult, Person
from synth.people import make_calibration, make_person, make_result

BODY = "neutral sha256:0123abcd"
STAGES = (StageRecord("people", 1.5, reused=False, peak_memory_mb=300.0),)


def _write(folder: Path, result: ClipResult) -> None:
    results.write_results(folder, result, body_model=BODY, stages=STAGES, warnings=["3 frames were lost"])


def _bridged(person: Person, frame: int) -> Person:
    xy, score = person.keypoints.xy.copy(), person.keypoints.score.copy()
    xy[frame], score[frame] = np.nan, 0
    return dataclasses.replace(person, keypoints=dataclasses.replace(person.keypoints, xy=xy, score=score))


def test_person_files_are_as_the_contract_says(tmp_path: Path) -> None:
    person = _bridged(make_person(1, 30), 4)
    _write(tmp_path, make_result(person))
    with np.load(tmp_path / "people" / "001.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    described = {name: (array.dtype.kind + str(array.dtype.itemsize), array.shape) for name, array in arrays.items()}
    assert described == {
        "frame": ("i8", (30,)),
        "time_s": ("f8", (30,)),
        "seen": ("b1", (30,)),
        "keypoints2d": ("f8", (30, 17, 3)),
        "joints_world": ("f8", (30, 17, 3)),
        "spread_m": ("f8", (30, 17)),
        "smpl_joints_world": ("f8", (30, 24, 3)),
        "poses": ("f8", (30, 72)),
        "betas": ("f8", (10,)),
        "trans": ("f8", (30, 3)),
        "gender": (f"U{4 * len('neutral')}", ()),
        "mocap_framerate": ("f8", ()),
        "body_model": (f"U{4 * len(BODY)}", ()),
        "residual_m": ("f8", (30,)),
    }
    np.testing.assert_array_equal(arrays["seen"], np.arange(30) != 4)
    np.testing.assert_array_equal(arrays["keypoints2d"][4], np.tile([np.nan, np.nan, 0], (17, 1)))
    np.testing.assert_array_equal(arrays["keypoints2d"][5, :, :2], person.keypoints.xy[5])
    np.testing.assert_array_equal(arrays["poses"][:, :3], person.body.global_orient)
    np.testing.assert_array_equal(arrays["poses"][7, 3:6], person.body.body_pose[7, 0])
    np.testing.assert_array_equal(arrays["trans"], person.body.transl)
    assert str(arrays["body_model"]) == BODY


def test_a_person_is_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / 'it\'s "a" <script>' / "007.npz"
    record = person_record(_bridged(make_person(7), 2), framerate=29.97, body_model=BODY)
    results.write_person(record, path)
    back = read_person(path)
    for field in dataclasses.fields(record):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(record, field.name), err_msg=field.name)
    assert isinstance(back.gender, str)
    assert isinstance(back.mocap_framerate, float)


def test_another_skeleton_is_refused() -> None:
    person = make_person()
    wide = {"xy": np.zeros((30, 24, 2)), "score": np.ones((30, 24)), "skeleton": "smpl24"}
    with pytest.raises(ValueError, match="expected coco17, got smpl24"):
        person_record(
            dataclasses.replace(person, keypoints=dataclasses.replace(person.keypoints, **wide)),
            framerate=30,
            body_model=BODY,
        )


@pytest.mark.parametrize("fault", ["missing", "pickle", "shape", "kind", "cut", "text", "empty", "npy", "absent"])
def test_a_file_that_is_not_what_it_says_is_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "001.npz"
    results.write_person(person_record(make_person(), framerate=30, body_model=BODY), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    if fault == "missing":
        del arrays["poses"]
    if fault == "pickle":
        arrays["gender"] = np.array({"a": 1}, dtype=object)
    if fault == "shape":
        arrays["spread_m"] = arrays["spread_m"][:-1]
    if fault == "kind":
        arrays["frame"] = arrays["frame"].astype(float)
    np.savez(path, **arrays)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    if fault == "text":
        path.write_text("not a person")
    if fault == "empty":
        path.write_bytes(b"")
    if fault == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    if fault == "absent":
        path.unlink()
    with pytest.raises(ArtifactError, match=r"001\.npz"):
        read_person(path)


def test_people_csv_has_a_row_per_person_and_frame(tmp_path: Path) -> None:
    walker, stander = make_person(1, 30, speed_m_s=1.2), _bridged(make_person(12, 5, speed_m_s=0.0), 3)
    _write(tmp_path, make_result(walker, stander))
    with (tmp_path / "people.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["time_s", "person", "x", "y", "z", "speed", "contact", "trust", "flags", "clock"]
    assert [row["person"] for row in rows] == ["1"] * 30 + ["12"] * 5
    root = walker.motion.joints[:, 11:13].mean(1)
    read = np.array([[float(row[axis]) for axis in "xyz"] for row in rows[:30]])
    np.testing.assert_allclose(read, root, atol=1e-4)  # m
    np.testing.assert_allclose([float(row["time_s"]) for row in rows[:30]], walker.motion.time_s, atol=1e-6)  # s
    np.testing.assert_allclose([float(row["speed"]) for row in rows[:30]], 1.2, atol=1e-3)  # m/s
    assert {row["contact"] for row in rows[:30]} == {"none"}
    assert {row["contact"] for row in rows[30:]} == {"both"}
    trust = np.array([float(row["trust"]) for row in rows])
    assert ((trust > 0) & (trust < 1)).all()
    assert trust[33] == trust[30:].min()
    flags = [row["flags"].split(";") for row in rows]
    assert [flag for flag in flags[33] if flag in ("bridged", "short")] == ["bridged", "short"]  # the strongest first
    assert [("bridged" in row, "short" in row) for row in (flags[32], flags[0])] == [(False, True), (False, False)]
    assert set().union(*flags) <= set(FLAGS)


def test_people_csv_leaves_flags_empty_where_there_is_no_doubt(tmp_path: Path) -> None:
    person = make_person(1, 60)
    _write(tmp_path, make_result(dataclasses.replace(person, body=_upright_body(person))))
    with (tmp_path / "people.csv").open(newline="") as stream:
        assert {row["flags"] for row in csv.DictReader(stream)} == {""}


def _upright_body(person: Person) -> BodyFit:
    """A body of an adult's size whose limbs lie where the keypoints are."""
    joints = np.repeat(person.body.joints[:, :1], 24, 1)
    for number, name in enumerate(SMPL24.names):
        if name in COCO17.names:
            joints[:, number] = person.motion.joints[:, COCO17.index(name)]
    for number, name in enumerate(("pelvis", "spine1", "spine2", "spine3", "neck", "head")):
        joints[:, SMPL24.index(name), 2] = 0.9 + 0.13 * number
    return dataclasses.replace(person.body, joints=joints)


def test_people_csv_leaves_an_unknown_speed_empty(tmp_path: Path) -> None:
    _write(tmp_path, make_result(make_person(1, 1)))
    assert (tmp_path / "people.csv").read_text().splitlines()[1].split(",")[5:7] == ["", "none"]


def test_report_says_how_good_it_is_and_where_it_came_from(tmp_path: Path) -> None:
    clip = Path('site "A"') / "it's <script>alert(1)</script>.mp4"
    facts = provenance(command=["mocap-video", "run", str(clip)], config=STAGES[0], weights={"lifter": "ab12"})
    _write(tmp_path, dataclasses.replace(make_result(_bridged(make_person(3), 0), path=clip), provenance=facts))
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "<" not in text  # may stand inside a page's script element
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert report["clip"]["path"] == str(clip)
    assert report["clip"]["frames"] == 30
    assert report["calibration"]["height_m"] == pytest.approx(2.0, abs=1e-6)  # m
    assert report["calibration"]["name"] == "test yard"
    (stage,) = report["stages"]
    assert stage == {
        "name": "people", "seconds": 1.5, "reused": False, "peak_memory_mb": 300.0, "pieces": 1, "pieces_reused": 0,
    }  # fmt: skip
    assert report["warnings"] == ["3 frames were lost"]
    assert set(report["provenance"]["versions"]) == {"mocap_video", "python", "torch", "numpy", "opencv", "av"}
    assert report["provenance"]["weights"] == {"lifter": "ab12"}
    assert report["provenance"]["config"]["peak_memory_mb"] == 300.0
    (person,) = report["people"]
    assert person["person"] == 3
    assert person["seen_fraction"] == pytest.approx(29 / 30)
    assert person["mean_score"] == pytest.approx(0.8)
    assert person["median_spread_m"] == pytest.approx(0.02)
    assert person["median_residual_m"] == pytest.approx(0.03)
    assert 0 < person["mean_trust"] < 1
    assert person["flags"]["bridged"] == pytest.approx(1 / 30)
    assert set(report["flags"]) == set(person["flags"])
    assert report["flags"]["bridged"] == FLAGS["bridged"].sentence


def test_reprojection_error_is_in_pixels() -> None:
    person = make_person()
    calibration = make_calibration()
    assert person_quality(person, calibration).reprojection_px == pytest.approx(0, abs=1e-6)
    moved = dataclasses.replace(person.keypoints, xy=person.keypoints.xy + np.array([3.0, 4.0]))
    off = person_quality(dataclasses.replace(person, keypoints=moved), calibration)
    assert off.reprojection_px == pytest.approx(5.0, abs=1e-6)  # px


def test_strict_json_has_no_nan() -> None:
    value = {"a": np.nan, "b": np.array([1.0, np.inf]), "c": np.int64(3), "d": Fraction(30000, 1001), "e": Path("x")}
    assert json.loads(strict_json(value)) == {"a": None, "b": [1.0, None], "c": 3, "d": "30000/1001", "e": "x"}
    with pytest.raises(TypeError, match="no JSON for set"):
        strict_json({1})


def test_people_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    _write(tmp_path, make_result(make_person(1), make_person(2), make_person(3)))
    (tmp_path / "people" / "notes.npz").write_text("the user's own")
    _write(tmp_path, make_result(make_person(2)))
    assert sorted(path.name for path in (tmp_path / "people").iterdir()) == ["002.npz", "notes.npz"]
    _write(tmp_path, make_result())
    assert results.person_files(tmp_path) == []
    assert (tmp_path / "people.csv").read_text() == "time_s,person,x,y,z,speed,contact,trust,flags,clock\n"


def test_a_full_disk_leaves_no_report_and_no_half_file(tmp_path: Path) -> None:
    _write(tmp_path, make_result(make_person(1)))
    before = (tmp_path / "people" / "001.npz").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))  # bytes: the kernel refuses to write more
    try:
        with pytest.raises(StorageError, match=r"001\.npz: cannot be written"):
            _write(tmp_path, make_result(make_person(1, speed_m_s=2.0)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "people" / "001.npz").read_bytes() == before
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["001.npz", "people", "people.csv"]
