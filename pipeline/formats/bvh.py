"""BVH (Biovision hierarchy): one skeleton a file, +Y up, metres, degrees, a constant frame rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.artifacts import atomic_write
from mocap_video.pipeline.formats.base import Take
from mocap_video.pipeline.formats.rate import steady_frames
from mocap_video.pipeline.formats.rig import JOINT_NAMES, Rig, rig_of
from mocap_video.skeletons import SMPL24, SMPL_PARENTS

EULER_ORDER = "ZXY"
"""Order of the rotation channels: R = R_z R_x R_y."""

_TIPS = {
    "head": (0.0, 0.18, 0.0),
    "left_hand": (0.08, 0.0, 0.0),
    "right_hand": (-0.08, 0.0, 0.0),
    "left_foot": (0.0, 0.0, 0.07),
    "right_foot": (0.0, 0.0, 0.07),
}
"""Where the bones end that have no joint after them, m from their joint at rest. For the eye alone."""


def write_bvh(take: Take, path: Path) -> None:
    """Write the body of ``take``: SMPL-24's joints under ``JOINT_NAMES``.

    The root's OFFSET is zero and its position channels are its place in the exported frame, so that programs agree
    that add the two and programs that do not.
    """
    record = take.record
    rig = rig_of(take)
    steady = steady_frames(record.time_s, record.mocap_framerate)
    order = _depth_first(0)
    angles = euler_deg(steady.turns(rig.turns))[:, order].reshape(len(steady.row), -1)
    rows = np.concatenate([steady.values(rig.root), angles], 1)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("HIERARCHY\n" + "\n".join(_joint_lines(rig, 0, "")))
        stream.write(f"\nMOTION\nFrames: {len(rows)}\nFrame Time: {1 / steady.rate:.9f}\n")
        np.savetxt(stream, rows, fmt="%.6f")


def euler_deg(turns: np.ndarray) -> np.ndarray:
    """Return ``turns (T,J,4)`` as angles ``(T,J,3)`` in degrees, in ``EULER_ORDER``, without jumps.

    Two triples of angles stand for each rotation. The one nearer to the frame before is taken, and full turns are kept
    up, so a knee that bends past a right angle goes on bending.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gimbal lock")  # the rotation is right there too, only not unique
        angles = Rotation.from_quat(turns.reshape(-1, 4)).as_euler(EULER_ORDER, degrees=True)
    angles = angles.reshape(*turns.shape[:2], 3)
    other = angles * [1.0, -1.0, 1.0] + 180.0
    for frame in range(1, len(angles)):
        before = angles[frame - 1]
        same, twin = (_nearest_turn(choice[frame], before) for choice in (angles, other))
        nearer = np.abs(same - before).sum(-1) <= np.abs(twin - before).sum(-1)
        angles[frame] = np.where(nearer[:, None], same, twin)
    return angles


def _nearest_turn(angles: np.ndarray, before: np.ndarray) -> np.ndarray:
    return angles - 360.0 * np.rint((angles - before) / 360.0)


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(SMPL_PARENTS) if parent == joint]


def _depth_first(joint: int) -> list[int]:
    """Return ``joint`` and all below it in the order in which the file names them."""
    return [joint, *(below for child in _children(joint) for below in _depth_first(child))]


def _joint_lines(rig: Rig, joint: int, indent: str) -> Iterator[str]:
    inner = indent + "\t"
    rotations = " ".join(f"{axis}rotation" for axis in EULER_ORDER)
    yield f"{indent}{'JOINT' if joint else 'ROOT'} {JOINT_NAMES[joint]}"
    yield f"{indent}{{"
    if joint:
        yield f"{inner}OFFSET {_numbers(rig.offsets[joint])}"
        yield f"{inner}CHANNELS 3 {rotations}"
    else:
        yield f"{inner}OFFSET {_numbers(np.zeros(3))}"
        yield f"{inner}CHANNELS 6 Xposition Yposition Zposition {rotations}"
    for child in _children(joint):
        yield from _joint_lines(rig, child, inner)
    if not _children(joint):
        yield f"{inner}End Site"
        yield f"{inner}{{"
        yield f"{inner}\tOFFSET {_numbers(np.array(_TIPS[SMPL24.names[joint]]))}"
        yield f"{inner}}}"
    yield f"{indent}}}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)
