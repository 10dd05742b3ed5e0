"""The doctor tries every part, and a part that fails costs one line and names its fix."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mocap_video.lifter import body
from mocap_video.pipeline.doctor import Check, diagnose
from mocap_video.render import gl


def _finding(name: str, output: Path) -> Check:
    (found,) = [check for check in diagnose(output) if check.name == name]
    return found


def test_an_installation_that_passes_the_tests_passes_the_doctor(tmp_path: Path) -> None:
    checks = diagnose(tmp_path / "new" / "folder")
    assert [check for check in checks if check.needed and not check.ok] == []
    assert all(check.detail for check in checks)
    assert list(tmp_path.iterdir()) == [], "a check left something behind"


def test_a_driver_that_fails_is_one_finding_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DriverError(Exception):
        """As PyOpenGL's own: no common base but Exception."""

    def broken() -> str:
        raise DriverError("eglInitialize:\n  failed")

    monkeypatch.setattr(gl, "backend_name", broken)
    checks = diagnose(tmp_path)
    failed = [check for check in checks if check.name == "OpenGL off screen"]
    assert [(check.ok, check.detail) for check in failed] == [(False, "eglInitialize: failed")]
    assert "apt-get install libegl1" in failed[0].fix
    assert len(checks) == len({check.name for check in checks}) > len(failed)


def test_a_package_that_cannot_be_imported_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    found = _finding("OpenCV", tmp_path)
    assert not found.ok
    assert found.fix


def test_a_missing_body_file_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GENDERS", ("neutral", str(tmp_path / "absent.npz")))
    found = _finding("body files", tmp_path)
    assert not found.ok
    assert "absent.npz" in found.detail


def test_an_output_folder_below_a_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    found = _finding("output folder", tmp_path / "taken" / "out")
    assert not found.ok
    assert "-o" in found.fix


@pytest.mark.parametrize("broken", ["detr.Detr", "vitpose.ViTPoseHF"])
def test_transformers_is_tried_by_running_both_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    pytest.importorskip("transformers")
    found = _finding("transformers (optional)", tmp_path)
    assert found.ok
    assert "transformers 5." in found.detail

    def fail(*_: object) -> None:
        raise RuntimeError("operator is not there")

    monkeypatch.setattr(f"mocap_video.detectors.hf.{broken}.forward", fail)
    found = _finding("transformers (optional)", tmp_path)
    assert (found.ok, found.detail, found.needed) == (False, "operator is not there", False)
    assert "mocap-video[hf]" in found.fix
