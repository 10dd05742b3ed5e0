"""Open the BVH, GLB and USD of a results folder in Blender and compare its joints with the results, in mm.

Needs a Python with Blender as a module (`pip install bpy`) and a site with +Z up, whose coordinates are Blender's:

    mocap-video export out/clip --to bvh,glb,usd
    python tools/check_in_blender.py out/clip
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

JOINT_NAMES = (
    "Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot", "RightFoot", "Spine2",
    "LeftToeBase", "RightToeBase", "Neck", "LeftShoulder", "RightShoulder", "Head", "LeftArm", "RightArm",
    "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHandMiddle1", "RightHandMiddle1",
)  # fmt: skip
EVERY = 7
"""One frame in so many is looked at."""


def main() -> None:
    folder, bpy = Path(sys.argv[1]), importlib.import_module("bpy")
    for path in sorted((folder / "people").glob("*.npz")):
        with np.load(path, allow_pickle=False) as person:
            joints, time_s = person["smpl_joints_world"], person["time_s"]
            rate = float(person["mocap_framerate"])
        number = int(path.stem)
        bvh, glb, usd = (folder / "export" / name for name in (f"{path.stem}.bvh", "scene.glb", "scene.usd"))
        for kind, frames, load in (
            ("BVH", 1 + (time_s - time_s[0]) * rate, lambda: bpy.ops.import_anim.bvh(filepath=str(bvh))),  # noqa: B023
            ("GLB", time_s * 24, lambda: bpy.ops.import_scene.gltf(filepath=str(glb))),  # noqa: B023 - 24 fps is Blender's
            ("USD", time_s * rate, lambda: bpy.ops.wm.usd_import(filepath=str(usd))),  # noqa: B023
        ):
            print(f"{path.stem} {kind}: {1e3 * _largest_error_m(bpy, load, number, frames, joints):.4f} mm")


def _largest_error_m(
    bpy: Any, load: Callable[[], object], number: int, frames: np.ndarray, joints: np.ndarray
) -> float:
    """Return how far joints are from ``joints (T,24,3)`` m at Blender's ``frames (T)``."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    load()
    rigs = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    names = {f"person {number}", f"person_{number}_rig"}
    (rig,) = [thing for thing in rigs if thing.name in names] or rigs
    worst = 0.0
    for row in range(0, len(frames), EVERY):
        whole = int(np.floor(frames[row] + 1e-9))
        bpy.context.scene.frame_set(whole, subframe=float(max(frames[row] - whole, 0.0)))
        posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
        heads = np.array([posed.matrix_world @ posed.pose.bones[name].head for name in JOINT_NAMES])
        worst = max(worst, float(np.abs(heads - joints[row]).max()))
    return worst


if __name__ == "__main__":
    main()
