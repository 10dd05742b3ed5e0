"""BVH motion (Biovision hierarchy): a parser, forward kinematics, and the joint names of the common sets.

Units differ from set to set and do not matter: retargeting scales by the length of the legs. +Y is up in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.errors import ArtifactError
from mocap_video.lifter.data.sources import COMMON_JOINTS, Choice, SourceClip
from mocap_video.registry import MOTION_READERS
from mocap_video.skeletons import SMPL24

_SIDED: dict[str, tuple[str, ...]] = {
    "hip": ("UpLeg", "Thigh", "Hip"),
    "knee": ("Leg", "Shin", "LowLeg", "Knee"),
    "ankle": ("Ankle", "Foot"),
    "foot": ("ToeBase", "Toe", "Foot"),
    "collar": ("Collar", "Shoulder"),
    "shoulder": ("Arm", "UpArm", "UpperArm", "Shoulder"),
    "elbow": ("ForeArm", "LowArm", "Elbow"),
    "wrist": ("Wrist", "Hand"),
}
"""Names after the side, best first: CMU's BVH releases, LaFAN1, Mixamo, Rokoko, and rigs named by joints, such as
SMPL's, where a foot comes after the ankle and a hand after the wrist."""
_OPTIONAL = ("foot", "collar")


@dataclass(frozen=True)
class Hierarchy:
    """``names`` and ``parents (J)``, end sites included (named after their joint plus ``_end``); ``offsets (J,3)``;
    ``channels``: per joint the order of its values, such as ``("Xposition", "Zrotation")``; ``fps``; ``values (T,C)``.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    fps: float
    values: np.ndarray


def parse_bvh(path: Path) -> Hierarchy:
    """Return what the BVH at ``path`` holds; ``ArtifactError`` says what is wrong with it."""
    try:
        head, _, tail = path.read_text(encoding="utf-8-sig").partition("MOTION")
        names, parents, offsets, channels = _hierarchy(iter(head.split()))
        words = tail.split()
        frames, step = int(words[words.index("Frames:") + 1]), float(words[words.index("Time:") + 1])
        numbers = np.array(words[words.index("Time:") + 2 :], dtype=np.float64)
        values = numbers.reshape(frames, sum(map(len, channels)))
        if frames < 1 or step <= 0 or not np.isfinite(values).all():
            raise ValueError(f"{frames} frames of {step} s")
    except (ValueError, IndexError, StopIteration, UnicodeDecodeError, RuntimeError) as error:
        raise ArtifactError(f"{path}: expected a BVH: a hierarchy and as many numbers as it asks ({error})") from error
    return Hierarchy(tuple(names), tuple(parents), np.array(offsets), tuple(channels), 1 / step, values)


def _hierarchy(
    words: Iterator[str],
) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            name = next(words)
            names.append(f"{names[open_joints[-1]]}_end" if word == "End" else name.rpartition(":")[2])
            parents.append(open_joints[-1] if open_joints else -1)
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
        elif word == "{":
            open_joints.append(len(names) - 1)
        elif word == "}":
            open_joints.pop()
        elif word == "OFFSET":
            offsets[-1] = [float(next(words)) for _ in range(3)]
        elif word == "CHANNELS":
            channels[-1] = tuple(next(words) for _ in range(int(next(words))))
        elif word != "HIERARCHY":
            raise ValueError(f"unexpected {word!r}")
    if open_joints or not names:
        raise ValueError("braces do not match")
    return names, parents, offsets, channels


def joint_positions(motion: Hierarchy) -> np.ndarray:
    """Return positions ``(T,J,3)`` of every joint and end site, in the file's unit and axes."""
    place: list[np.ndarray] = []
    turn: list[Rotation] = []
    column = 0
    for joint, names in enumerate(motion.channels):
        values = motion.values[:, column : column + len(names)]
        column += len(names)
        offset = np.broadcast_to(motion.offsets[joint], (len(values), 3)).copy()
        axes = "".join(name[0].upper() for name in names if name.endswith("rotation"))
        for index, name in enumerate(names):
            if name.endswith("position"):
                offset[:, "XYZ".index(name[0].upper())] = values[:, index]
        angles = values[:, [name.endswith("rotation") for name in names]]
        own = Rotation.from_euler(axes, angles, degrees=True) if axes else Rotation.identity(len(values))
        parent = motion.parents[joint]
        place.append(offset if parent < 0 else place[parent] + turn[parent].apply(offset))
        turn.append(own if parent < 0 else turn[parent] * own)
    return np.stack(place, 1)


def common_joints(motion: Hierarchy, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return SMPL's first 22 joints ``(T,22,3)`` and which of them the rig names ``(22)`` bool.

    ``ArtifactError`` names the joint that is not found.
    """
    places = joint_positions(motion)
    found = _named(motion)
    missing = [name for name in ("pelvis", "neck", "head") if name not in found]
    missing += [f"{s}_{p}" for p in _SIDED if p not in _OPTIONAL for s in ("left", "right") if f"{s}_{p}" not in found]
    if missing:
        raise ArtifactError(
            f"{path}: no joint of this rig is known as {missing[0]}; it has {', '.join(motion.names[:30])}"
        )
    exact = np.array([name in found for name in SMPL24.names[:COMMON_JOINTS]])
    joints = {name: places[:, index] for name, index in found.items()}
    hips, neck = (joints["left_hip"] + joints["right_hip"]) / 2, joints["neck"]
    spine = _between(motion, found["pelvis"], found["neck"])
    for part, share in (("spine1", 0.25), ("spine2", 0.5), ("spine3", 0.75)):
        along = share * (len(spine) - 1)
        joints[part] = places[:, spine[round(along)]] if len(spine) > 2 else hips + share * (neck - hips)
    for side in ("left", "right"):
        joints.setdefault(f"{side}_collar", neck)
        ankle = found[f"{side}_ankle"]
        tips = [child for child, parent in enumerate(motion.parents) if parent == ankle]
        joints.setdefault(f"{side}_foot", places[:, tips[0] if tips else ankle])
    return np.stack([joints[name] for name in SMPL24.names[:COMMON_JOINTS]], 1), exact


def _named(motion: Hierarchy) -> dict[str, int]:
    """Which joint of the rig is which of ours."""
    at = {name.lower().replace("_", "").replace(" ", ""): i for i, name in reversed(list(enumerate(motion.names)))}
    found: dict[str, int] = {"pelvis": next((at[name] for name in ("hips", "pelvis") if name in at), 0)}
    for ours, theirs in (("neck", ("neck", "neck1", "spine4")), ("head", ("head", "headend"))):
        found |= {ours: next(at[name] for name in theirs if name in at)} if any(n in at for n in theirs) else {}
    for side in ("left", "right"):
        for part, theirs in _SIDED.items():
            spellings = [f"{prefix}{name.lower()}" for name in theirs for prefix in (side, side[0])]
            match = next((at[name] for name in spellings if name in at), None)
            if match is not None:
                found[f"{side}_{part}"] = match
        for part, other in (("collar", "shoulder"), ("foot", "ankle")):
            if found.get(f"{side}_{part}") == found.get(f"{side}_{other}"):
                found.pop(f"{side}_{part}", None)
    return found


def _between(motion: Hierarchy, top: int, bottom: int) -> list[int]:
    """Joints from ``top`` down to its descendant ``bottom``."""
    chain = [bottom]
    while chain[-1] not in (top, -1):
        chain.append(motion.parents[chain[-1]])
    return chain[::-1] if chain[-1] == top else [top, bottom]


@MOTION_READERS.register_module("bvh")
class BvhFiles:
    """Every ``.bvh`` under a folder."""

    splits = ()

    def recognises(self, folder: Path) -> bool:
        """Say whether there is a BVH under ``folder``."""
        return any(folder.rglob("*.bvh"))

    def read(self, folder: Path, choice: Choice) -> Iterator[SourceClip]:
        """Yield one clip a file."""
        for path in sorted(folder.rglob("*.bvh")):
            motion = parse_bvh(path)
            joints, exact = common_joints(motion, path)
            yield SourceClip(
                name=path.relative_to(folder).with_suffix("").as_posix(),
                source="bvh",
                split=choice.split or "",
                tier="",
                flags=(),
                fps=motion.fps,
                joints=joints.astype(np.float32),
                exact=exact,
            )
