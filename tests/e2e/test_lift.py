"""``lift`` from a keypoint file to results: the same people as ``run``, videos aside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from mocap_video.calib import geometry
from mocap_video.calib.files import read_calibration
from mocap_video.detectors.files.formats import FORMATS, LAYOUT_NAMES
from mocap_video.lifter.body import load_body
from mocap_video.lifter.lift import load_lifter
from mocap_video.lifter.metrics import match_times, motion_errors
from mocap_video.lifter.weights import shipped_weights
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.demo import BETAS, RATE
from mocap_video.pipeline.demo_motion import walk_squat_wave
from mocap_video.pipeline.results import PersonRecord, read_person
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration
from synth.keypoint_files import write_coco_results, write_openpose, write_pose2sim, write_sports2d
from synth.runs import FRAMES, Run, Site


def exact_keypoints(site: Site, calibration: Calibration) -> np.ndarray:
    """Return ``(T,17,3)``: the truth as the camera sees it, in pixels, with score 1."""
    xy, valid = geometry.project(torch.as_tensor(site.truth.joints_world), calibration.camera)
    assert valid.all()
    return np.concatenate([xy.numpy(), np.ones((*xy.shape[:2], 1))], -1)


def lift(path: Path, calib: Path, output: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["lift", str(path), "--calib", str(calib), "-o", str(output), *options])


@pytest.fixture(scope="module")
def lifted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Lift exact keypoints, the first five frames and every wrist of ten frames missing; return file and results."""
    folder = tmp_path_factory.mktemp("lift")
    points = exact_keypoints(site, read_calibration(site.calib))
    points[:5] = [np.nan, np.nan, 0]
    points[20:30, 9:11] = [np.nan, np.nan, 0]
    path, output = folder / "one <person>.npz", folder / "out"
    np.savez(path, keypoints2d=points, time_s=site.truth.time_s, skeleton="coco17")
    result = lift(path, site.calib, output, "--export", "csv")
    assert result.exit_code == 0, result.output
    return path, output


def record_of(output: Path) -> PersonRecord:
    return read_person(output / "people" / "001.npz")


def test_exact_keypoints_come_near_the_truth(site: Site, lifted: tuple[Path, Path]) -> None:
    record = record_of(lifted[1])
    mine, theirs = match_times(record.time_s, site.truth.time_s, 0.001)
    assert len(mine) == len(site.truth.time_s) - 5
    errors = motion_errors(record.joints_world[mine], site.truth.joints_world[theirs], COCO17, 25.0)
    assert errors.root_mm < 150
    assert errors.abs_mpjpe_mm < 200
    assert errors.pa_mpjpe_mm < 100


def test_the_results_are_those_of_run_without_videos(lifted: tuple[Path, Path]) -> None:
    path, output = lifted
    record = record_of(output)
    np.testing.assert_array_equal(record.frame[:2], [5, 6])
    assert np.isnan(record.keypoints2d[15:25, 9:11, :2]).all()
    assert (record.keypoints2d[15:25, 9:11, 2] == 0).all()
    assert record.mocap_framerate == pytest.approx(25.0)
    report = json.loads((output / "report.json").read_text())
    assert [stage["name"] for stage in report["stages"]] == ["lift", "shape", "fit"]
    assert report["clip"]["path"] == str(path)
    assert (output / "export" / "001.csv").is_file()
    assert not list(output.glob("*.mp4"))


def test_a_second_lift_reuses_every_stage_and_prints_its_report(site: Site, lifted: tuple[Path, Path]) -> None:
    path, output = lifted
    result = lift(path, site.calib, output, "--json")
    assert result.exit_code == 0
    assert [stage["reused"] for stage in json.loads(result.stdout)["stages"]] == [True, True, True]


def test_keypoints_of_run_lift_to_what_run_gave(first_run: Run, tmp_path: Path) -> None:
    record = record_of(first_run.output)
    path = tmp_path / "person.npz"
    np.savez(path, keypoints2d=record.keypoints2d, time_s=record.time_s)
    assert lift(path, first_run.site.calib, tmp_path / "out").exit_code == 0
    np.testing.assert_allclose(record_of(tmp_path / "out").joints_world, record.joints_world, atol=1e-4)  # metres


def test_smpl24_keypoints_come_near_the_truth_and_results_hold_coco17(site: Site, tmp_path: Path) -> None:
    calibration, body = read_calibration(site.calib), load_body("neutral")
    motion = walk_squat_wave(body, BETAS, seconds=FRAMES / RATE, rate=RATE)
    turns, place = (torch.as_tensor(value, dtype=torch.float32) for value in (motion.rotations, motion.transl))
    truth = body.pose(torch.as_tensor(motion.betas, dtype=torch.float32), turns, place).joints.double()
    xy, valid = geometry.project(truth, calibration.camera)
    assert valid.all()
    path, output = tmp_path / "person.npz", tmp_path / "out"
    np.savez(path, keypoints2d=np.concatenate([xy, np.ones((*xy.shape[:2], 1))], -1), time_s=motion.time_s)
    result = lift(path, site.calib, output, "--skeleton", "smpl24", "--export", "bvh,csv")
    assert result.exit_code == 0, result.output
    record = record_of(output)
    assert np.linalg.norm(record.smpl_joints_world - truth.numpy(), axis=-1).mean() < 0.2  # m
    coco = motion_errors(record.joints_world, site.truth.joints_world, COCO17, RATE)
    assert coco.abs_mpjpe_mm < 200
    face = [COCO17.index(name) for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    assert (record.keypoints2d[:, face, 2] == 0).all(), "SMPL-24 has no face in the image"
    assert np.isfinite(record.joints_world).all()
    assert {one.name for one in (output / "export").iterdir()} == {"001.bvh", "001.csv"}
    weights = json.loads((output / "report.json").read_text())["provenance"]["weights"]
    assert weights["lifter"] == load_lifter(shipped_weights("smpl24")).digest


def test_a_set_without_weights_exits_4_and_says_what_there_is(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "person.npz"
    np.savez(path, keypoints2d=np.full((4, 17, 3), [50.0, 60.0, 1.0]), time_s=np.arange(4.0))
    result = lift(path, site.calib, tmp_path / "out", "--skeleton", "h36m17")
    assert result.exit_code == 4
    assert "weights for coco17 and smpl24 alone" in result.stderr
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_faulty_file_exits_3_with_one_line(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "person.npz"
    np.savez(path, keypoints2d=np.ones((4, 17, 3)), time_s=np.zeros(4))
    result = lift(path, site.calib, tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: ")
    assert str(path) in result.stderr


def test_openpose_files_of_run_lift_to_what_run_gave(first_run: Run, tmp_path: Path) -> None:
    record = record_of(first_run.output)
    folder = tmp_path / "openpose json"
    folder.mkdir()
    before = np.full((int(record.frame[0]), 17, 3), [np.nan, np.nan, 0])
    write_openpose(folder, {1: np.concatenate([before, record.keypoints2d])}, layout="body25", named=False)
    result = lift(folder, first_run.site.calib, tmp_path / "out", "--fps", "25")
    assert result.exit_code == 0, result.output
    found = record_of(tmp_path / "out")
    np.testing.assert_array_equal(found.frame, record.frame)
    np.testing.assert_allclose(found.joints_world, record.joints_world, atol=1e-4)  # metres


FOLDERS: dict[str, tuple[Callable[[Path, np.ndarray], Path], tuple[str, ...]]] = {
    "Pose2Sim, HALPE_26": (lambda folder, points: write_pose2sim(folder, {1: points}), ()),
    "Pose2Sim, COCO_17": (lambda folder, points: write_pose2sim(folder, {1: points}, layout="coco17"), ()),
    "Pose2Sim, BODY_25B": (
        lambda folder, points: write_pose2sim(folder, {1: points}, layout="body25b"),
        ("--skeleton", "body25b"),
    ),
    "Sports2D, BlazePose": (write_sports2d, ()),
    "OpenPose, BODY_25": (
        lambda folder, points: write_openpose(folder, {1: points}, layout="body25", named=False),
        ("--format", "openpose"),
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_json_folders_of_other_tools_lift_to_what_the_npz_gives(
    site: Site, lifted: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    with np.load(lifted[0]) as stored:
        points = stored["keypoints2d"]
    write, options = FOLDERS[kind]
    result = lift(write(tmp_path, points), site.calib, tmp_path / "out", "--fps", "25", *options)
    assert result.exit_code == 0, result.output
    found, expected = record_of(tmp_path / "out"), record_of(lifted[1])
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_allclose(found.joints_world, expected.joints_world, atol=1e-4)  # metres
    assert not list((tmp_path / "out" / "people").glob("002*")), (
        "joints that COCO-17 does not have are no second person"
    )


def test_offsets_of_a_config_change_the_motion_and_not_the_keypoints(
    site: Site, lifted: tuple[Path, Path], tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("bias: {hips: [-0.0672, -0.0827], shoulders: [-0.0056, 0.0803], share: 0.5}\n")
    result = lift(lifted[0], site.calib, tmp_path / "out", "--config", str(config))
    assert result.exit_code == 0, result.output
    found, expected = record_of(tmp_path / "out"), record_of(lifted[1])
    np.testing.assert_array_equal(found.keypoints2d, expected.keypoints2d)
    moved = np.linalg.norm(found.joints_world - expected.joints_world, axis=-1).max()
    assert 0.005 < moved < 0.5  # metres
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["provenance"]["config"]["bias"]["share"] == 0.5


def test_a_person_chosen_by_number_is_lifted_alone(site: Site, tmp_path: Path) -> None:
    points = exact_keypoints(site, read_calibration(site.calib))[:10]
    write_coco_results(tmp_path, {4: points, 9: points}, layout="coco17", named=True)
    result = lift(tmp_path / "keypoints.json", site.calib, tmp_path / "out", "--fps", "25", "--people", "9")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "out" / "people").iterdir()] == ["009.npz"]
    refused = lift(tmp_path / "keypoints.json", site.calib, tmp_path / "out", "--fps", "25", "--people", "1")
    assert refused.exit_code == 2
    assert "found: 4, 9" in refused.stderr


def test_an_unknown_format_or_joint_set_is_refused_with_those_there_are(site: Site, tmp_path: Path) -> None:
    for option, known in (("--format", FORMATS), ("--skeleton", LAYOUT_NAMES)):
        result = lift(tmp_path, site.calib, tmp_path / "out", option, "deeplabcut")
        assert result.exit_code == 2
        assert all(name in result.stderr for name in known)
