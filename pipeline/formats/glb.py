"""GLB (binary glTF 2.0): everyone of a clip as skinned, animated bodies in one scene. +Y up, metres, true times."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

import mocap_video
from mocap_video.artifacts import atomic_write
from mocap_video.errors import InputError
from mocap_video.pipeline.formats.base import Performer
from mocap_video.pipeline.formats.rig import JOINT_NAMES
from mocap_video.pipeline.formats.skins import SkinnedPerson, skin_people
from mocap_video.skeletons import SMPL_PARENTS

_COMPONENT = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
_KINDS = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (16,): "MAT4"}
_VERTICES, _INDICES = 34962, 34963
_LARGEST = 2**32 - 1
"""A GLB tells its length in 32 bits."""


def write_glb(performers: tuple[Performer, ...], path: Path) -> None:
    """Write everyone as ``person N`` with a rig of ``JOINT_NAMES`` and a mesh, and one animation, ``motion``, of all.

    Key frames are the clip's own times. Whoever is not there yet, or no longer, is scaled to nothing.
    """
    scene = _Scene()
    people = skin_people(performers)
    last = max(person.end_s for person in people)
    for person in people:
        scene.add(person, last)
    with atomic_write(path) as partial:
        partial.write_bytes(scene.as_glb(path))


class _Scene:
    """A glTF document in the making: its JSON and its one buffer."""

    def __init__(self) -> None:
        self._buffer: list[bytes] = []
        self._length = 0
        self._shared: dict[tuple[int, str], int] = {}
        self._roots: list[int] = []
        self._parts: dict[str, list[Any]] = {
            name: [] for name in ("nodes", "meshes", "materials", "skins", "accessors", "bufferViews")
        }
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []

    def add(self, person: SkinnedPerson, last_s: float) -> None:
        """Add ``person`` to a scene that ends at ``last_s`` seconds."""
        joints = self._add_rig(person)
        skin = self._append("skins", {
            "name": person.name, "joints": joints, "skeleton": joints[0],
            "inverseBindMatrices": self._accessor(_moves(-person.rig.rest)),
        })  # fmt: skip
        node = {"name": f"{person.name} body", "mesh": self._add_mesh(person), "skin": skin}
        self._roots.append(self._append("nodes", node))
        self._animate(person, joints, last_s)

    def as_glb(self, path: Path) -> bytes:
        """Return the file's bytes; ``InputError``, which names ``path``, where they are more than the format holds."""
        document = {
            "asset": {"version": "2.0", "generator": f"mocap-video {mocap_video.__version__}"},
            "scene": 0,
            "scenes": [{"name": "site", "nodes": self._roots}],
            **self._parts,
            "animations": [{"name": "motion", "samplers": self._samplers, "channels": self._channels}],
            "buffers": [{"byteLength": self._length}],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        chunks = [(b"JSON", _padded(text, b" ")), (b"BIN\0", b"".join(self._buffer))]
        length = 12 + sum(8 + len(content) for _, content in chunks)
        if length > _LARGEST:
            raise InputError(
                f"{path}: a GLB holds at most 4 GiB, these people and frames take {length / 2**30:.1f}. Export bvh, or "
                "run a part of the clip with --start and --end."
            )
        head = struct.pack("<4sII", b"glTF", 2, length)
        return head + b"".join(struct.pack("<I4s", len(content), kind) + content for kind, content in chunks)

    def _append(self, part: str, value: dict[str, Any]) -> int:
        self._parts[part].append(value)
        return len(self._parts[part]) - 1

    def _accessor(self, array: np.ndarray, target: int | None = None, *, limits: bool = False) -> int:
        """Store ``array``, whose first axis counts elements, and return its accessor."""
        content = np.ascontiguousarray(array).tobytes()
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": len(content)}
        padded = _padded(content, b"\0")
        self._buffer.append(padded)
        self._length += len(padded)
        accessor = {
            "bufferView": self._append("bufferViews", view if target is None else {**view, "target": target}),
            "componentType": _COMPONENT[array.dtype.str[1:]],
            "count": len(array),
            "type": _KINDS[array.shape[1:]],
        }
        if limits:
            accessor |= {"min": np.atleast_1d(array.min(0)).tolist(), "max": np.atleast_1d(array.max(0)).tolist()}
        return self._append("accessors", accessor)

    def _once(self, key: np.ndarray, role: str, array: np.ndarray, target: int) -> int:
        """As ``_accessor``, but an array that several people share, known by the object ``key``, is stored once."""
        found = self._shared.get((id(key), role))
        if found is None:
            found = self._shared[id(key), role] = self._accessor(array, target)
        return found

    def _add_rig(self, person: SkinnedPerson) -> list[int]:
        """Add the joints in their T-pose, standing where the person is first seen, and return their nodes."""
        first = len(self._parts["nodes"]) + 1
        joints = list(range(first, first + len(JOINT_NAMES)))
        self._roots.append(self._append("nodes", {"name": person.name, "children": joints[:1]}))
        places = person.rig.offsets
        places[0] = person.rig.root[0]
        for joint, name in enumerate(JOINT_NAMES):
            node: dict[str, Any] = {"name": name, "translation": places[joint].tolist()}
            children = [joints[child] for child, parent in enumerate(SMPL_PARENTS) if parent == joint]
            self._append("nodes", {**node, "children": children} if children else node)
        return joints

    def _add_mesh(self, person: SkinnedPerson) -> int:
        influences, faces = person.influences, person.faces
        size = "<u2" if len(person.vertices) < 2**16 - 1 else "<u4"
        attributes = {
            "POSITION": self._accessor(person.vertices.astype("<f4"), _VERTICES, limits=True),
            "NORMAL": self._accessor(person.normals.astype("<f4"), _VERTICES),
        }
        for part in range(influences.joints.shape[1] // 4):
            four = slice(4 * part, 4 * part + 4)
            for name, key, kind in (("JOINTS", influences.joints, "u1"), ("WEIGHTS", influences.weights, "<f4")):
                attributes[f"{name}_{part}"] = self._once(key, str(part), key[:, four].astype(kind), _VERTICES)
        material = self._append("materials", {
            "name": person.name,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*person.colour.tolist(), 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8,
            },
        })  # fmt: skip
        indices = self._once(faces, "faces", faces.reshape(-1).astype(size), _INDICES)
        primitive = {"attributes": attributes, "indices": indices, "material": material}
        return self._append("meshes", {"name": f"{person.name} body", "primitives": [primitive]})

    def _animate(self, person: SkinnedPerson, joints: list[int], last_s: float) -> None:
        times = self._accessor(person.time_s.astype("<f4"), limits=True)
        self._channel(joints[0], "translation", times, person.rig.root)
        for joint, node in enumerate(joints):
            self._channel(node, "rotation", times, person.rig.turns[:, joint])
        there = [(0.0, 0.0)] if person.time_s[0] > 0 else []
        there += [(float(person.time_s[0]), 1.0)]
        there += [(person.end_s, 0.0)] if person.end_s < last_s else []
        if len(there) > 1:
            changes, sizes = np.array(there).T
            scale = np.repeat(sizes[:, None], 3, 1)
            times = self._accessor(changes.astype("<f4"), limits=True)
            self._channel(joints[0] - 1, "scale", times, scale, interpolation="STEP")

    def _channel(self, node: int, path: str, times: int, values: np.ndarray, *, interpolation: str = "LINEAR") -> None:
        output = self._accessor(values.astype("<f4"))
        self._samplers.append({"input": times, "output": output, "interpolation": interpolation})
        self._channels.append({"sampler": len(self._samplers) - 1, "target": {"node": node, "path": path}})


def _moves(by: np.ndarray) -> np.ndarray:
    """Return matrices ``(J,16)``, column after column, that move ``by (J,3)``."""
    matrices = np.tile(np.eye(4, dtype="<f4"), (len(by), 1, 1))
    matrices[:, 3, :3] = by
    return matrices.reshape(len(by), 16)


def _padded(content: bytes, fill: bytes) -> bytes:
    return content + fill * (-len(content) % 4)
