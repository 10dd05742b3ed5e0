"""One contract for every reader of motion: tiny files in its published layout become motion of our body that stands."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import walking_windows
from model.test_data import clip_of_walking
from scipy.spatial.transform import Rotation

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.data import human36m
from mocap_video.lifter.data.bank import read_bank, write_bank
from mocap_video.lifter.data.bvh import Hierarchy, common_joints, parse_bvh
from mocap_video.lifter.data.readers import find_reader, format_names, read_clips
from mocap_video.lifter.data.retarget import BANK_FPS, leg_length, to_body
from mocap_video.lifter.data.sources import Choice, RotationClip
from mocap_video.lifter.keypoints import keypoints
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, H36M17, SMPL24, SMPL_PARENTS

BODY = load_body()
FRAMES = 14
TRUSTING = Choice(trust=True)
Z_UP_FROM_Y_UP = Rotation.from_matrix([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
TILT = Rotation.from_rotvec([0.3, 0.0, 0.4])


def walk(fps: float) -> tuple[np.ndarray, np.ndarray]:
    """A walk at ``fps``: ``rotvec (T,24,3)`` rad and the pelvis's path ``(T,3)`` m, +Y up, 2 cm over the floor."""
    windows = walking_windows(1, FRAMES)
    time_s, seconds = windows.time_s[0].numpy(), np.arange(round((FRAMES - 1) / 15 * fps) + 1) / fps
    flat = windows.rotvec[0].flatten(1).numpy()
    rotvec = np.stack([np.interp(seconds, time_s, column) for column in flat.T], 1).reshape(-1, 24, 3)
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(rotvec).float()), torch.zeros(3))
    root = np.zeros((len(seconds), 3))
    root[:, 1] = (posed.joints[:, 0, 1] - posed.soles[..., 1].amin(-1)).numpy() + 0.02
    root[:, 2] = 0.9 * seconds
    return rotvec, root


def turned(rotvec: np.ndarray, root: np.ndarray, turn: Rotation) -> tuple[np.ndarray, np.ndarray]:
    rotvec = rotvec.copy()
    rotvec[:, 0] = (turn * Rotation.from_rotvec(rotvec[:, 0])).as_rotvec()
    return rotvec, turn.apply(root)


def posed_walk(fps: float) -> tuple[torch.Tensor, ...]:
    rotvec, root = walk(fps)
    rotations = matrix_from_rotvec(torch.as_tensor(rotvec).float())
    posed = BODY.pose(torch.zeros(10), rotations, torch.as_tensor(root).float() - BODY.rest_joints[0])
    return posed.joints, keypoints(posed, COCO17), keypoints(posed, H36M17)


def write_motions(folder: Path) -> None:
    clip = clip_of_walking(40)
    root = clip.joints[:, :1]
    np.savez(
        folder / "s.npz",
        **{"a|j": (clip.joints - root).astype(np.float16), "a|jroot": root[:, 0], "a|exact": clip.exact},
    )
    (folder / "manifest.csv").write_text("clip,source,tier,split,shard,qc_flags\na,made,A,train,s.npz,\n")


def write_amass(folder: Path) -> None:
    rotvec, root = turned(*walk(120.0), Z_UP_FROM_Y_UP)
    poses = np.concatenate([rotvec[:, :22].reshape(len(root), -1), np.zeros((len(root), 90))], 1)
    (folder / "S1").mkdir()
    shape = {"betas": np.zeros(16), "gender": np.array("male")}
    np.savez(folder / "S1" / "walk_poses.npz", poses=poses, trans=root, mocap_framerate=120.0, **shape)
    np.savez(folder / "S1" / "shape.npz", **shape)


def write_bedlam(folder: Path) -> None:
    rotvec, root = turned(*walk(30.0), TILT)
    count = len(root)
    names = np.array([f"seq_000001/seq_000001_{i:04d}.png" for i in range(count)])
    order = np.random.default_rng(0).permutation(count)
    np.savez(
        folder / "scene_30fps.npz",
        imgname=names[order], pose_cam=rotvec[:, :22].reshape(count, -1)[order], trans_cam=root[order],
        cam_ext=np.broadcast_to(np.eye(4), (count, 4, 4)), sub=np.full(count, "rp_a_posed"),
    )  # fmt: skip


def write_rich(folder: Path) -> None:
    rotvec, root = turned(*walk(30.0), TILT)
    for i in range(len(root)):
        (folder / "train" / "Gym_001" / f"{i + 1:05d}").mkdir(parents=True)
        body = {
            "global_orient": rotvec[i, :1].astype(np.float32),
            "body_pose": rotvec[i, 1:22].reshape(1, -1).astype(np.float32),
            "transl": root[i : i + 1].astype(np.float32),
        }
        (folder / "train" / "Gym_001" / f"{i + 1:05d}" / "003.pkl").write_bytes(pickle.dumps(body))


def write_aist(folder: Path) -> None:
    rotvec, root = walk(60.0)
    (folder / "motions").mkdir()
    stored = {
        "smpl_poses": rotvec.reshape(len(root), 72), "smpl_trans": 93.0 * root, "smpl_scaling": np.array([93.0]),
    }  # fmt: skip
    for name in ("gBR_a", "gBR_bad"):
        (folder / "motions" / f"{name}.pkl").write_bytes(pickle.dumps(stored))
    (folder / "ignore_list.txt").write_text("gBR_bad\n")


def write_h36m(folder: Path) -> None:
    joints = posed_walk(50.0)[2].numpy()
    raw = np.zeros((len(joints), 32, 3), np.float32)
    raw[:, human36m._MOVING] = Z_UP_FROM_Y_UP.apply(joints.reshape(-1, 3)).reshape(joints.shape)
    recordings = {"S1": {"Walking 1": raw}, "S9": {"Walking": raw}}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(recordings))


def write_bvh(folder: Path) -> None:
    rotvec, root = walk(60.0)
    names = {"pelvis": "mixamorig:Hips", "neck": "mixamorig:Neck", "head": "mixamorig:Head"}
    parts = {"hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase", "collar": "Shoulder", "shoulder": "Arm",
             "elbow": "ForeArm", "wrist": "Hand"}  # fmt: skip
    rest = 100 * BODY.rest_joints.numpy()

    def block(joint: int) -> str:
        ours = SMPL24.names[joint]
        side, _, part = ours.partition("_")
        name = names.get(ours, f"mixamorig:{side.title()}{parts[part]}" if part in parts else f"mixamorig:{ours}")
        parent = SMPL_PARENTS[joint]
        offset = rest[joint] - (rest[parent] if parent >= 0 else rest[joint])
        channels = "CHANNELS 3 Zrotation Yrotation Xrotation"
        if parent < 0:
            channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
        children = [child for child in range(22) if SMPL_PARENTS[child] == joint]
        inside = "\n".join(block(c) for c in children) or "End Site\n{\nOFFSET 0 5 0\n}"
        kind = "JOINT" if parent >= 0 else "ROOT"
        return f"{kind} {name}\n{{\nOFFSET {' '.join(map(str, offset))}\n{channels}\n{inside}\n}}"

    def order(joint: int) -> list[int]:
        return [joint, *(j for child in range(22) if SMPL_PARENTS[child] == joint for j in order(child))]

    euler = {j: Rotation.from_rotvec(rotvec[:, j]).as_euler("ZYX", degrees=True) for j in range(22)}
    values = np.concatenate([100 * root, *(euler[j] for j in order(0))], 1)
    rows = "\n".join(" ".join(f"{v:.5f}" for v in row) for row in values)
    (folder / "walk.bvh").write_text(
        f"HIERARCHY\n{block(0)}\nMOTION\nFrames: {len(root)}\nFrame Time: {1 / 60:.7f}\n{rows}\n"
    )


WRITERS = {
    "motions": write_motions, "amass": write_amass, "bedlam": write_bedlam, "rich": write_rich, "aist": write_aist,
    "h36m": write_h36m, "bvh": write_bvh,
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", sorted(WRITERS))


def test_every_reader_has_a_layout_here() -> None:
    assert set(format_names()) == set(WRITERS)


@EVERY
def test_its_layout_becomes_motion_of_our_body_that_stands(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    WRITERS[name](source)
    assert type(find_reader(source)) is type(find_reader(source, name))
    (clip,) = read_clips(source, TRUSTING)
    motion = to_body(clip, BODY)
    seconds = 39 / 30 if name == "motions" else (FRAMES - 1) / 15
    assert abs(len(motion.clearance) - 1 - seconds * BANK_FPS) <= 1.5
    assert motion.clearance.min() >= 0
    assert motion.clearance.max() < 0.06  # m
    assert motion.contact.shape == (len(motion.clearance), 2)
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(motion.rotvec)), torch.zeros(3))
    assert (posed.joints[:, 15, 1] - posed.joints[:, 0, 1]).min() > 0.5  # m: the head is above the pelvis
    walked = np.linalg.norm(motion.path[-1] - motion.path[0]) * float(leg_length(BODY.rest_joints))
    speed = walked / seconds
    assert abs(speed - (2.1 if name == "motions" else 0.9)) < 0.3  # m/s
    assert write_bank([motion], tmp_path / "bank.safetensors") == 1
    assert read_bank(tmp_path / "bank.safetensors").length.tolist() == [len(motion.clearance)]


@pytest.mark.parametrize("name", ["amass", "aist", "bedlam", "rich"])
def test_rotations_arrive_as_they_were(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    (clip,) = read_clips(tmp_path, TRUSTING)
    motion = to_body(clip, BODY)
    expected = walk(30.0)[0]
    count = min(len(expected), len(motion.rotvec))
    assert np.abs(motion.rotvec[:count, 1:22] - expected[:count, 1:22]).max() < 0.03  # rad
    up = Rotation.from_rotvec(motion.rotvec[:, 0]).apply([0.0, 1.0, 0.0])
    assert np.degrees(np.arccos(up[:, 1].clip(-1, 1))).max() < 4.0  # degrees from upright


def test_feet_that_stand_are_labelled_and_feet_that_slide_or_hang_are_not() -> None:
    still, path = np.zeros((30, 24, 3), np.float32), np.zeros((30, 3), np.float32)
    kick = still.copy()
    kick[:, 1, 0] = -0.6  # the left leg is held forward
    slide = path + np.linspace(0, 2, 30)[:, None] * np.array([0, 0, 1.0], np.float32)
    for rotvec, root, left, right in ((still, path, 1, 1), (kick, path, 0, 1), (still, slide.astype(np.float32), 0, 0)):
        contact = to_body(RotationClip("a", "made", 30.0, rotvec, root), BODY).contact
        assert contact.mean(0).tolist() == [left, right]


@pytest.mark.parametrize("name", ["rich", "aist", "h36m"])
def test_pickles_are_opened_only_on_trust_and_hold_nothing_but_arrays(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    with pytest.raises(ConfigError, match="--trust"):
        list(read_clips(tmp_path, Choice()))
    for path in tmp_path.rglob("*.pkl"):
        path.write_bytes(pickle.dumps({"smpl_poses": Path("x")}))
        with pytest.raises(ArtifactError, match="which is no array"):
            list(read_clips(tmp_path, TRUSTING))
        break


def test_aist_keypoints_are_fitted_where_there_are_no_motions(tmp_path: Path) -> None:
    (tmp_path / "keypoints3d").mkdir()
    coco = posed_walk(60.0)[1].numpy()
    np.savez(tmp_path / "keypoints3d" / "gBR_a.npz", keypoints3d_optim=100 * coco)
    (clip,) = read_clips(tmp_path, Choice())
    motion = to_body(clip, BODY)
    posed = BODY.pose(torch.zeros(10), matrix_from_rotvec(torch.as_tensor(motion.rotvec)), torch.zeros(3))
    ours = posed.coco - posed.coco[:, 11:13].mean(1, keepdim=True)
    theirs = torch.as_tensor(coco[::2]) - torch.as_tensor(coco[::2, 11:13]).mean(1, keepdim=True)
    count = min(len(ours), len(theirs))
    assert (ours[:count] - theirs[:count]).norm(dim=-1).mean() < 0.05  # m


def test_a_rig_with_smpls_names_another_rest_pose_and_a_node_above_it_is_read_as_what_it_is(tmp_path: Path) -> None:
    """Bones that lie any way at rest, a foot after the ankle, a hand after the wrist, hips below a node that rests."""
    write_bvh(tmp_path)
    known = parse_bvh(tmp_path / "walk.bvh")
    parts = {"UpLeg": "hip", "Leg": "knee", "Foot": "ankle", "ToeBase": "foot", "Shoulder": "collar", "Arm": "shoulder",
             "ForeArm": "elbow", "Hand": "wrist"}  # fmt: skip
    names = ["Armature"]
    for name in known.names:
        side = next((side for side in ("Left", "Right") if name.startswith(side)), "")
        part = parts.get(name.removeprefix(side), name.removeprefix(side))
        names.append(f"{side.lower()}_{part}" if side and "_end" not in name else {"Hips": "pelvis"}.get(name, name))
    names += ["left_hand", "right_hand"]
    wrists = [names.index(f"{side}_wrist") for side in ("left", "right")]
    rig = _with_bones_any_way(known)
    foreign = Hierarchy(
        names=tuple(names),
        parents=(-1, *(parent + 1 for parent in rig.parents), *wrists),
        offsets=np.concatenate([np.zeros((1, 3)), rig.offsets, np.full((2, 3), 8.0)]),
        channels=((), *rig.channels, (), ()),
        fps=rig.fps,
        values=rig.values,
    )
    (expected, exact), (found, same) = common_joints(known, tmp_path), common_joints(foreign, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # cm
    np.testing.assert_array_equal(same, exact)


def _with_bones_any_way(rig: Hierarchy) -> Hierarchy:
    """Return the same motion of a rig whose joints are turned at rest, each in another way."""
    turned = Rotation.from_rotvec(np.random.default_rng(0).normal(size=(len(rig.names), 3)))
    values, offsets, column = rig.values.copy(), rig.offsets.copy(), 0
    for joint, (parent, channels) in enumerate(zip(rig.parents, rig.channels, strict=True)):
        if parent >= 0:
            offsets[joint] = turned[parent].inv().apply(offsets[joint])
        if channels:
            last = slice(column + len(channels) - 3, column + len(channels))
            own = Rotation.from_euler("ZYX", rig.values[:, last], degrees=True) * turned[joint]
            own = turned[parent].inv() * own if parent >= 0 else own
            values[:, last] = own.as_euler("ZYX", degrees=True)
        column += len(channels)
    return replace(rig, offsets=offsets, values=values)


def test_what_is_no_motion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of them"):
        find_reader(tmp_path)
    with pytest.raises(ConfigError, match="known: aist"):
        find_reader(tmp_path, "c3d")
    write_amass(tmp_path)
    with pytest.raises(ConfigError, match="no splits"):
        read_clips(tmp_path, Choice(split="val"))
    (tmp_path / "bad.bvh").write_text("HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation\nMOTION\n")
    with pytest.raises(ArtifactError, match=r"bad\.bvh"):
        parse_bvh(tmp_path / "bad.bvh")
