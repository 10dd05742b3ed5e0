"""Readers of exported files: where each says that the joints are, evaluated as the programs that open it do."""

from __future__ import annotations

import csv
import json
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import c3d
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.bvh import joint_positions, parse_bvh
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.pipeline.formats.rig import JOINT_NAMES
from mocap_video.skeletons import COCO17, SMPL24

BODY = load_body("neutral")
_TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTH = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}
MARKERS = tuple(
    name.replace("left_", "L ").replace("right_", "R ").title().replace(" ", "") for name in COCO17.names
)  # fmt: skip


@dataclass(frozen=True)
class ReadBack:
    """``time_s (T)`` s as the file has them and ``joints (T,J,3)`` m in its axes."""

    time_s: np.ndarray
    joints: np.ndarray


def read_bvh(path: Path, _number: int) -> ReadBack:
    """Times count from the person's first frame."""
    motion = parse_bvh(path)
    places = joint_positions(motion)
    rows = [motion.names.index(name) for name in JOINT_NAMES]
    return ReadBack(np.arange(len(places)) / motion.fps, places[:, rows])


def read_trc(path: Path, _number: int) -> ReadBack:
    lines = path.read_text().split("\n")
    names = lines[3].split("\t")[2::3]
    assert lines[2].split("\t")[4] == "m"
    rows = np.array([[float(cell) for cell in line.split("\t")] for line in lines[6:] if line])
    places = rows[:, 2:].reshape(len(rows), -1, 3)
    return ReadBack(rows[:, 1], places[:, [names.index(name) for name in MARKERS]])


def read_c3d(path: Path, _number: int) -> ReadBack:
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No analog data")
        reader = c3d.Reader(stream)
        names = [label.strip() for label in reader.point_labels]
        points = np.stack([points for _, points, _ in reader.read_frames()])
        units = reader.get("POINT:UNITS")
        assert units is not None
        assert units.string_value.strip() == "mm"
        start, rate = reader.first_frame - 1, reader.point_rate
    assert (points[..., 3] >= 0).all()  # none is marked as missing
    return ReadBack(
        (start + np.arange(len(points))) / rate, 1e-3 * points[:, [names.index(name) for name in MARKERS], :3]
    )


def read_amass(path: Path, _number: int) -> ReadBack:
    with np.load(path, allow_pickle=False) as stored:
        poses, trans, betas = (torch.as_tensor(stored[name]).float() for name in ("poses", "trans", "betas"))
        time_s = stored["time_s"]
        assert stored["poses"].shape[1] == 156
    rotvec = torch.cat([poses[:, :66], torch.zeros(len(poses), 6)], 1).reshape(-1, 24, 3)
    posed = BODY.pose(betas[:10], matrix_from_rotvec(rotvec), trans)
    return ReadBack(time_s, posed.joints.double().numpy())


def read_csv(path: Path, _number: int) -> ReadBack:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    joints = [[[float(row[f"smpl24_{j}_{a}_m"]) for a in "xyz"] for j in SMPL24.names] for row in rows]
    return ReadBack(np.array([float(row["time_s"]) for row in rows]), np.array(joints))


def read_usd(path: Path, number: int) -> ReadBack:
    Usd, UsdGeom, UsdSkel = (import_module(f"pxr.{name}") for name in ("Usd", "UsdGeom", "UsdSkel"))  # without stubs

    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    skeleton = UsdSkel.Skeleton.Get(stage, f"/site/person_{number}/person_{number}_rig")
    query = UsdSkel.Cache().GetSkelQuery(skeleton)
    codes = query.GetAnimQuery().GetJointTransformTimeSamples()
    order = [str(path).rpartition("/")[2] for path in query.GetJointOrder()]
    assert tuple(order) == JOINT_NAMES
    joints = [[list(m.ExtractTranslation()) for m in query.ComputeJointSkelTransforms(code)] for code in codes]
    return ReadBack(np.array(codes) / stage.GetTimeCodesPerSecond(), np.array(joints))


def read_glb(path: Path, number: int) -> ReadBack:
    scene = Glb(path)
    time_s = scene.times(number)
    return ReadBack(time_s, scene.joint_matrices(number, time_s)[..., :3, 3])


class Glb:
    """A glTF 2.0 scene, evaluated by the letter of its specification."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length, size, kind = struct.unpack("<4sIII4s", content[:20])
        assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
        self.document: dict[str, Any] = json.loads(content[20 : 20 + size])
        self._buffer = content[20 + size + 8 :]
        self._parents = {c: p for p, node in enumerate(self.document["nodes"]) for c in node.get("children", [])}

    def array(self, accessor: int) -> np.ndarray:
        found = self.document["accessors"][accessor]
        view = self.document["bufferViews"][found["bufferView"]]
        shape = (found["count"], *_WIDTH[found["type"]])
        values = np.frombuffer(
            self._buffer, _TYPES[found["componentType"]], int(np.prod(shape)), view["byteOffset"]
        ).reshape(shape)
        return values.transpose(0, 2, 1) if found["type"] == "MAT4" else values  # matrices are stored by columns

    def skin(self, number: int) -> dict[str, Any]:
        return next(skin for skin in self.document["skins"] if skin["name"] == f"person {number}")

    def times(self, number: int) -> np.ndarray:
        hips = self.skin(number)["joints"][0]
        return self._keys(hips)["translation"][0].astype(float)

    def joint_matrices(self, number: int, time_s: np.ndarray) -> np.ndarray:
        """Return the world transforms ``(T,24,4,4)`` of a person's joints."""
        found: dict[int, np.ndarray] = {}
        return np.stack([self._world(node, time_s, found) for node in self.skin(number)["joints"]], 1)

    def surface(self, number: int, time_s: float) -> np.ndarray:
        """Return the skinned vertices ``(N,3)`` m."""
        skin = self.skin(number)
        index = self.document["skins"].index(skin)
        mesh = next(node["mesh"] for node in self.document["nodes"] if node.get("skin") == index)
        attributes = self.document["meshes"][mesh]["primitives"][0]["attributes"]
        move = self.joint_matrices(number, np.array([time_s]))[0] @ self.array(skin["inverseBindMatrices"])
        at = np.pad(self.array(attributes["POSITION"]), ((0, 0), (0, 1)), constant_values=1.0)
        out = np.zeros((len(at), 4))
        for name in (name for name in attributes if name.startswith("JOINTS")):
            joints, weights = self.array(attributes[name]), self.array(attributes[name.replace("JOINTS", "WEIGHTS")])
            out += np.einsum("vi,viab,vb->va", weights, move[joints], at)
        return out[:, :3]

    def _world(self, node: int, time_s: np.ndarray, found: dict[int, np.ndarray]) -> np.ndarray:
        """Return the world transforms ``(T,4,4)`` of ``node``, and keep those of its ancestors in ``found``."""
        if node not in found:
            values = {"translation": [0.0, 0, 0], "rotation": [0.0, 0, 0, 1], "scale": [1.0, 1, 1]}
            values |= {name: at for name, at in self.document["nodes"][node].items() if name in values}
            moving = {name: _at(time_s, *keys) for name, keys in self._keys(node).items()}
            trs = {name: moving.get(name, np.tile(at, (len(time_s), 1))) for name, at in values.items()}
            local = np.tile(np.eye(4), (len(time_s), 1, 1))
            local[:, :3, :3] = Rotation.from_quat(trs["rotation"]).as_matrix() * trs["scale"][:, None]
            local[:, :3, 3] = trs["translation"]
            parent = self._parents.get(node)
            found[node] = local if parent is None else self._world(parent, time_s, found) @ local
        return found[node]

    def _keys(self, node: int) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
        """Return times, values and interpolation of what moves at ``node``."""
        (animation,) = self.document["animations"]
        keys = {}
        for channel in animation["channels"]:
            if channel["target"]["node"] == node:
                sampler = animation["samplers"][channel["sampler"]]
                moved = self.array(sampler["input"]), self.array(sampler["output"]), sampler["interpolation"]
                keys[channel["target"]["path"]] = moved
        return keys


def _at(time_s: np.ndarray, times: np.ndarray, values: np.ndarray, interpolation: str) -> np.ndarray:
    """Return the key frames at or before ``time_s``; only steps are evaluated between them."""
    rows = np.maximum(np.searchsorted(times, time_s.astype(np.float32), side="right") - 1, 0)
    assert interpolation == "STEP" or np.allclose(times[rows], time_s, atol=1e-6)
    return values[rows]


READERS: dict[str, Callable[[Path, int], ReadBack]] = {
    "bvh": read_bvh,
    "glb": read_glb,
    "csv": read_csv,
    "trc": read_trc,
    "c3d": read_c3d,
    "npz": read_amass,
    "usd": read_usd,
}
