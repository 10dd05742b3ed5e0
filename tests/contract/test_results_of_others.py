"""One contract for every layout of results: tiny files of a walk come back as that walk, and score as they should."""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from model.test_lift import site, walker
from scipy.spatial.transform import Rotation

from mocap_video.calib.files import write_calibration
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.lifter.comparison import Terms, compare, in_site
from mocap_video.lifter.others.base import NBA16, OPENPOSE18, ReadOptions, Sequence3D
from mocap_video.lifter.others.readers import READERS, read_sequence
from mocap_video.lifter.others.smpl_joints import NAMES, load_joint_body
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.compare import seen_of
from mocap_video.skeletons import COCO17, H36M17, SMPL24, SMPL_PARENTS
from synth.joblib_files import joblib_bytes

FRAMES = 12
FPS = 30.0
CAMERA = site(0.4, (1.0, -2.0)).camera
VERTICES = 40


def body_file(path: Path) -> Path:
    """Write a tiny SMPL-like body: 22 and more joints, each the mean of a vertex or two."""
    rng = np.random.default_rng(0)
    regressor = np.zeros((24, VERTICES))
    regressor[np.arange(24), np.arange(24)] = 1.0
    parents = np.array([SMPL_PARENTS, range(24)], dtype=np.int64)
    np.savez(
        path,
        v_template=rng.normal(size=(VERTICES, 3)) * 0.3,
        shapedirs=rng.normal(size=(VERTICES, 3, 10)) * 0.01,
        J_regressor=regressor,
        kintree_table=parents,
    )
    return path


def turns() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(FRAMES, 72)) * 0.3


def path_m() -> np.ndarray:
    """Where the root is in the camera: metres ahead of it, walking to the right."""
    return np.stack([0.05 * np.arange(FRAMES) - 0.3, np.full(FRAMES, 0.2), np.full(FRAMES, 6.0)], 1)


def betas() -> np.ndarray:
    return np.tile(np.linspace(-1, 1, 10), (FRAMES, 1))


def in_camera(tmp_path: Path) -> np.ndarray:
    """Joints ``(T,22,3)`` m that the parameters mean, in the camera."""
    body = load_joint_body(body_file(tmp_path / "body.npz"), trust=False, wanted="SMPL")
    return body.pose(betas(), turns()[:, :66].reshape(FRAMES, 22, 3), path_m())


def as_set(joints: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Joints of another set: those that SMPL has by name, the rest at the head."""
    return np.stack([joints[:, NAMES.index(name) if name in NAMES else NAMES.index("head")] for name in names], 1)


def write_gvhmr(folder: Path, _: np.ndarray) -> Path:
    rows = {"body_pose": turns()[:, 3:66], "global_orient": turns()[:, :3], "betas": betas(), "transl": path_m()}
    stored = {
        name: {key: torch.as_tensor(value) for key, value in rows.items()}
        for name in ("smpl_params_incam", "smpl_params_global")
    }
    torch.save({**stored, "K_fullimg": torch.eye(3).expand(FRAMES, 3, 3)}, folder / "hmr4d_results.pt")
    return folder / "hmr4d_results.pt"


def wham_tracks() -> dict[int, dict[str, np.ndarray]]:
    rows = {"pose": turns(), "pose_world": turns(), "trans": path_m(), "trans_world": path_m(), "betas": betas()}
    short = {name: value[:3] for name, value in rows.items()} | {"frame_ids": np.arange(3)}
    tracks: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    tracks[3], tracks[7] = short, rows | {"frame_ids": np.arange(FRAMES)}
    return tracks


def write_wham(folder: Path, _: np.ndarray) -> Path:
    (folder / "wham_output.pkl").write_bytes(joblib_bytes(wham_tracks()))
    return folder / "wham_output.pkl"


def write_sahmr(folder: Path, joints: np.ndarray) -> Path:
    (folder / "walk").mkdir()
    for frame in range(FRAMES):
        vertices = np.zeros((VERTICES, 3), np.float32)
        vertices[:22] = joints[frame]
        stored = {
            "pred_c_verts": vertices,
            "pred_c_pelvis": joints[frame, 0],
            "pred_c_pelvis_refined": joints[frame, 0],
        }
        (folder / "walk" / f"{frame:05d}_03.pkl").write_bytes(pickle.dumps(stored))
    return folder / "walk"


def write_motionbert(folder: Path, joints: np.ndarray) -> Path:
    np.save(folder / "X3D.npy", (as_set(joints, H36M17.names) * 0.4).astype(np.float32))
    return folder / "X3D.npy"


def write_elepose(folder: Path, joints: np.ndarray) -> Path:
    points = as_set(joints, H36M17.names)
    np.save(folder / "elepose.npy", ((points - points[:, :1]) * 3.0).transpose(0, 2, 1).reshape(FRAMES, 51))
    return folder / "elepose.npy"


def write_mvlift(folder: Path, joints: np.ndarray) -> Path:
    np.save(folder / "0_sample_0.npy", as_set(joints, OPENPOSE18) * 0.5)
    return folder / "0_sample_0.npy"


def write_mas(folder: Path, joints: np.ndarray) -> Path:
    motion = np.zeros((2, 16, 3, FRAMES + 5), np.float32)
    motion[1, :, :, :FRAMES] = as_set(joints, NBA16).transpose(1, 2, 0) * 2.0
    kwargs = {"y": {"lengths": np.array([4, FRAMES]), "mask": np.ones((2, 1, 1, FRAMES + 5), bool)}}
    np.save(folder / "results.npy", np.array({"motions": motion, "model_kwargs": kwargs}, dtype=object))
    return folder / "results.npy"


def write_aist(folder: Path, joints: np.ndarray) -> Path:
    path = folder / "keypoints3d" / "gBR_sBM.pkl"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"keypoints3d": as_set(joints, COCO17.names) * 100}))
    return path


def write_rich(folder: Path, _: np.ndarray) -> Path:
    for frame in range(FRAMES):
        path = folder / "ParkingLot" / f"{frame:05d}" / "007.pkl"
        path.parent.mkdir(parents=True)
        row = {"global_orient": turns()[frame : frame + 1, :3], "body_pose": turns()[frame : frame + 1, 3:66]}
        path.write_bytes(pickle.dumps(row | {"transl": path_m()[frame : frame + 1], "betas": betas()[:1]}))
    return folder / "ParkingLot"


def write_ours(folder: Path, joints: np.ndarray) -> Path:
    path = folder / "001.npz"
    time_s, frame = np.arange(FRAMES) / FPS, np.arange(FRAMES)
    np.savez(path, joints_world=as_set(joints, COCO17.names), time_s=time_s, frame=frame)
    return path


def write_pose2sim(folder: Path, joints: np.ndarray) -> Path:
    names = [*COCO17.names, "left_heel"]
    np.savez(
        folder / "gt.npz",
        xyz_world_filt6hz=as_set(joints, tuple(names)),
        joint_names=np.array(names),
        fps=np.array(FPS),
    )
    return folder / "gt.npz"


def write_plain(folder: Path, joints: np.ndarray) -> Path:
    path = folder / "plain.npz"
    np.savez(path, joints=as_set(joints, SMPL24.names), skeleton="smpl24", fps=FPS, placement="camera")
    return path


WRITERS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "gvhmr": write_gvhmr, "wham": write_wham, "sa-hmr": write_sahmr, "motionbert": write_motionbert,
    "elepose": write_elepose, "mvlift": write_mvlift, "mas": write_mas, "aist": write_aist, "rich": write_rich,
    "mocap-video": write_ours, "pose2sim": write_pose2sim, "npz": write_plain,
}  # fmt: skip
PICKLED = ("gvhmr", "wham", "sa-hmr", "mas", "aist", "rich")


def options(tmp_path: Path, **said: Any) -> ReadOptions:
    return ReadOptions(**{"trust": True, "body": tmp_path / "body.npz", "camera": True, **said})


@pytest.fixture
def joints(tmp_path: Path) -> np.ndarray:
    return in_camera(tmp_path)


def truth_of(joints: np.ndarray) -> Sequence3D:
    """The same walk in the site's axes, with times."""
    placed = in_site(Sequence3D("walk", NAMES, joints, np.arange(FRAMES), placement="camera"), CAMERA)
    return placed.at_rate(FPS)


def test_every_layout_has_a_writer_here() -> None:
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_result_is_recognised_and_scores_as_the_walk_it_is(name: str, tmp_path: Path, joints: np.ndarray) -> None:
    path = WRITERS[name](tmp_path, joints)
    sequence = in_site(read_sequence(path, options(tmp_path)), CAMERA)
    truth = truth_of(joints) if sequence.placement == "site" and name in ("gvhmr", "wham", "sa-hmr", "npz") else None
    # truths and results without the camera's axes were written as they stand: compare with the same numbers
    truth = truth or Sequence3D(
        "walk", NAMES, joints, np.arange(FRAMES), np.arange(FRAMES) / (60 if name == "aist" else FPS)
    )
    errors = compare(sequence, truth, Terms(fps=FPS)).errors
    assert errors.frames == FRAMES
    assert errors.pa_mpjpe_mm.max() < 0.01  # mm
    if sequence.placement == "site" and sequence.metric:
        assert errors.abs_mpjpe_mm.max() < 0.01
    if not sequence.metric:
        assert np.isnan(errors.abs_mpjpe_mm).all()
        assert np.isnan(errors.t_root_mm).all()


@pytest.mark.parametrize("name", PICKLED)
def test_a_pickle_is_not_opened_without_trust(name: str, tmp_path: Path, joints: np.ndarray) -> None:
    path = WRITERS[name](tmp_path, joints)
    with pytest.raises(ConfigError, match="--trust"):
        read_sequence(path, options(tmp_path, trust=False))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("boom",))


@pytest.mark.parametrize("name", ["wham", "aist"])
def test_a_trusted_pickle_still_runs_nothing(name: str, tmp_path: Path, joints: np.ndarray) -> None:
    path = WRITERS[name](tmp_path, joints)
    path.write_bytes(pickle.dumps({"keypoints3d": Bomb()}))
    with pytest.raises(ArtifactError, match="no array"):
        read_sequence(path, options(tmp_path))


@pytest.mark.parametrize("name", ["gvhmr", "wham", "sa-hmr", "rich"])
def test_parameters_of_a_body_ask_for_its_file(name: str, tmp_path: Path, joints: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="--smpl-model"):
        read_sequence(WRITERS[name](tmp_path, joints), options(tmp_path, body=None))


def test_a_track_is_chosen_by_name_else_the_longest(tmp_path: Path, joints: np.ndarray) -> None:
    path = write_wham(tmp_path, joints)
    assert len(read_sequence(path, options(tmp_path)).frames) == FRAMES
    assert len(read_sequence(path, options(tmp_path, person="3")).frames) == 3
    with pytest.raises(ConfigError, match="it has 3, 7"):
        read_sequence(path, options(tmp_path, person="5"))


def test_a_world_of_its_own_is_scored_by_what_aligns_it(tmp_path: Path, joints: np.ndarray) -> None:
    path = write_gvhmr(tmp_path, joints)
    errors = compare(read_sequence(path, options(tmp_path, camera=False)), truth_of(joints), Terms()).errors
    for name in ("pa_mpjpe_mm", "wa_mpjpe_mm", "wa_mpjpe_scale1_mm", "t_root_mm", "rte_percent"):
        assert np.nanmax(getattr(errors, name)) < 0.01, name
    for name in ("abs_mpjpe_mm", "root_mm", "mpjpe_mm", "accel_m_s2"):
        assert np.isnan(getattr(errors, name)).all(), name


def test_scaling_gives_results_without_metres_an_mpjpe(tmp_path: Path, joints: np.ndarray) -> None:
    sequence = in_site(read_sequence(write_motionbert(tmp_path, joints), options(tmp_path)), CAMERA)
    truth = truth_of(joints)
    assert np.isnan(compare(sequence, truth, Terms()).errors.mpjpe_mm).all()
    scaled = compare(sequence, truth, Terms(scale=True)).errors
    assert scaled.mpjpe_mm.max() < 0.01  # mm
    assert np.isnan(scaled.abs_mpjpe_mm).all()


def test_frames_are_matched_by_time(joints: np.ndarray) -> None:
    truth = truth_of(joints)
    assert truth.time_s is not None
    late = Sequence3D("late", NAMES, truth.joints, np.arange(FRAMES), truth.time_s + 0.1)
    with pytest.raises(ConfigError, match="--offset"):
        compare(Sequence3D("far", NAMES, truth.joints, truth.frames, truth.time_s + 9), truth, Terms())
    assert compare(late, truth, Terms()).errors.abs_mpjpe_mm.min() > 1  # mm
    assert compare(late, truth, Terms(offset_s=0.1)).errors.abs_mpjpe_mm.max() < 1e-6
    half = Sequence3D("half", NAMES, truth.joints[::2], truth.frames[::2])  # every second frame, told by number
    errors = compare(half, truth, Terms(fps=FPS)).errors
    assert errors.frames == FRAMES // 2
    assert errors.abs_mpjpe_mm.max() < 1e-6


def test_too_few_common_joints_are_refused(joints: np.ndarray) -> None:
    truth = truth_of(joints)
    names = ("nose", "left_hip", "right_hip", "left_wrist", "left_eye")
    other = Sequence3D("few", names, truth.joints[:, :5], truth.frames, truth.time_s)
    with pytest.raises(ConfigError, match="both have left_hip, right_hip, left_wrist"):
        compare(other, truth, Terms())


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset):
        read_sequence(tmp_path / "none.npz", ReadOptions())
    body_file(tmp_path / "body.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ConfigError, match="none of them"):
        read_sequence(tmp_path / "other.npz", ReadOptions())
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(ArtifactError, match="smpl_params_incam"):
        read_sequence(tmp_path / "x.pt", options(tmp_path))


def test_the_command_scores_folders_sequence_by_sequence(tmp_path: Path, joints: np.ndarray) -> None:
    calib = tmp_path / "cam.yaml"
    write_calibration(site(0.4, (1.0, -2.0)), calib)
    for folder in ("mine", "truth"):
        (tmp_path / folder).mkdir()
    placed = truth_of(joints)
    for name in ("a", "b"):
        off = 0.1 * (name == "b")
        np.savez(tmp_path / "truth" / f"{name}.npz", joints=placed.joints, names=np.array(NAMES), fps=FPS)
        np.savez(
            tmp_path / "mine" / f"{name}.npz",
            joints=joints + np.array([0, 0, off]),
            names=np.array(NAMES),
            placement="camera",
        )
    arguments = ["eval", "--pred", str(tmp_path / "mine"), "--truth", str(tmp_path / "truth"), "--calib", str(calib)]
    done = CliRunner().invoke(main, [*arguments, "--json", str(tmp_path / "out.json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert [line[0] for line in lines[2:]] == ["a", "b", "all"]
    assert [float(line[3]) for line in lines[2:]] == [0.0, 100.0, 50.0]  # mm, Abs-MPJPE
    assert '"sequence": "b"' in (tmp_path / "out.json").read_text()
    np.savez(tmp_path / "mine" / "c.npz", joints=joints, names=np.array(NAMES))
    assert "without a truth: c" in CliRunner().invoke(main, arguments).output


def test_a_folder_of_truths_is_no_single_result(tmp_path: Path, joints: np.ndarray) -> None:
    folder = write_aist(tmp_path, joints).parent
    assert not any(reader.recognises(folder) for reader in READERS.values())


def test_a_turned_camera_matters(tmp_path: Path, joints: np.ndarray) -> None:
    """in_site uses the calibration: another camera puts the walk elsewhere."""
    sequence = read_sequence(write_gvhmr(tmp_path, joints), options(tmp_path))
    other = in_site(sequence, site(1.0).camera)
    assert compare(other, truth_of(joints), Terms()).errors.abs_mpjpe_mm.min() > 100  # mm
    assert Rotation.from_matrix(CAMERA.R_cam_from_world).magnitude() > 0.1  # rad: the test's camera is not trivial


def test_a_truth_is_put_before_a_camera_and_lifted(tmp_path: Path) -> None:
    calib = tmp_path / "cam.yaml"
    write_calibration(site(), calib)
    walk = walker(2.0)
    heights = np.linspace(0.09, 1.6, 17)[::-1]
    joints = np.zeros((len(walk.time_s), 17, 3))
    joints[..., 0] = -0.5 + 0.5 * walk.time_s[:, None] + 0.1 * np.array([(-1) ** j for j in range(17)])
    joints[..., 1], joints[..., 2] = 7.0, heights
    np.savez(tmp_path / "gt.npz", xyz_world_filt6hz=joints, joint_names=np.array(COCO17.names), fps=30.0)
    arguments = ["eval", "--truth", str(tmp_path / "gt.npz"), "--calib", str(calib), "--json", str(tmp_path / "o.json")]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    scored = json.loads((tmp_path / "o.json").read_text())["lifter"]["sequences"]
    assert [one["frames"] for one in scored] == [60]
    assert scored[0]["root_mm"] < 1500  # a stick that nobody trained on, yet it stands where it was seen
    assert "give MOTIONS" in CliRunner().invoke(main, ["eval"]).output
    assert "give --calib" in CliRunner().invoke(main, arguments[:3]).output


def test_what_leaves_the_image_is_not_seen(joints: np.ndarray) -> None:
    truth = truth_of(joints)
    seen = seen_of(truth, CAMERA)
    assert not seen.score[:, :5].any()  # SMPL has no face
    assert seen.score[:, 5:].all()
    far = Sequence3D("far", NAMES, truth.joints + 500.0, truth.frames, truth.time_s)
    with pytest.raises(ConfigError, match="nothing of it"):
        seen_of(far, CAMERA)
