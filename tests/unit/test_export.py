"""Exports of a results folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mocap_video.errors import ArtifactError, ConfigError, NoPersonError
from mocap_video.pipeline.export import EXPORTERS, export
from mocap_video.pipeline.results import write_results
from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.types import Person
from synth.people import make_person, make_result


def _results(folder: Path, *people: Person) -> Path:
    write_results(folder, make_result(*people), body_model="neutral sha256:00", stages=(), warnings=())
    return folder


def test_csv_has_every_joint_in_metres(tmp_path: Path) -> None:
    person = make_person(2, 8)
    folder = _results(tmp_path / 'a "b" <c>', make_person(1, 5), person)
    written = export(folder, ["csv"])
    assert written == [folder / "export" / "001.csv", folder / "export" / "002.csv"]
    with written[1].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert len(rows[0]) == 3 + 3 * (17 + 24)
    for skeleton, joints in ((COCO17, person.motion.joints), (SMPL24, person.body.joints)):
        for j, name in enumerate(skeleton.names):
            read = [[float(row[f"{skeleton.name}_{name}_{axis}_m"]) for axis in "xyz"] for row in rows]
            np.testing.assert_allclose(read, joints[:, j], atol=1e-4)  # m
    np.testing.assert_allclose([float(row["time_s"]) for row in rows], person.motion.time_s, atol=1e-6)  # s
    assert [row["frame"] for row in rows] == [str(i) for i in range(8)]
    assert {row["seen"] for row in rows} == {"1"}


@pytest.mark.parametrize("formats", [["fbx"], ["csv", "<script>"], []])
def test_an_unknown_format_names_those_that_exist(tmp_path: Path, formats: list[str]) -> None:
    folder = _results(tmp_path, make_person())
    with pytest.raises(ConfigError, match="csv") as caught:
        export(folder, formats)
    assert caught.value.exit_code == 2
    assert all(name in str(caught.value) for name in (*EXPORTERS, *formats[-1:]))
    assert not (folder / "export").exists()


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a results folder"):
        export(tmp_path, ["csv"])


def test_a_run_without_people_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(NoPersonError, match="found no person"):
        export(_results(tmp_path), ["csv"])
