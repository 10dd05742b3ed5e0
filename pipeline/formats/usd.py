"""USD: everyone of a clip as skinned, animated bodies (UsdSkel) on one stage.

The one place that imports usd-core (extra ``usd``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mocap_video.artifacts import atomic_write
from mocap_video.optional import require
from mocap_video.pipeline.formats.base import Need, Performer
from mocap_video.pipeline.formats.rig import JOINT_NAMES
from mocap_video.pipeline.formats.skins import SkinnedPerson, skin_people
from mocap_video.skeletons import SMPL_PARENTS

NEEDS = Need("pxr", "usd")


def write_usd(performers: tuple[Performer, ...], path: Path) -> None:
    """Write everyone under ``/site`` as ``person_N``: +Y up, metres, time codes at the clip's own times."""
    require(NEEDS.module, NEEDS.extra)
    people = skin_people(performers)
    with atomic_write(path) as partial:
        stage = _stage(partial, people)
        stage.GetRootLayer().Save()


def _stage(path: Path, people: list[SkinnedPerson]) -> Any:
    usd, geom = (require(f"pxr.{name}", NEEDS.extra) for name in ("Usd", "UsdGeom"))
    stage = usd.Stage.CreateNew(str(path))
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)
    rate = people[0].rate
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    stage.SetStartTimeCode(0.0)
    stage.SetEndTimeCode(max(float(person.time_s[-1]) for person in people) * rate)
    site = geom.Xform.Define(stage, "/site")
    stage.SetDefaultPrim(site.GetPrim())
    for person in people:
        _add(stage, person, rate)
    return stage


def _add(stage: Any, person: SkinnedPerson, rate: float) -> None:
    vt, geom, skel = (require(f"pxr.{name}", NEEDS.extra) for name in ("Vt", "UsdGeom", "UsdSkel"))
    name = person.name.replace(" ", "_")
    place = f"/site/{name}"
    root = skel.Root.Define(stage, place)
    seen = root.CreateVisibilityAttr()
    seen.Set(geom.Tokens.invisible, 0.0)
    seen.Set(geom.Tokens.inherited, float(person.time_s[0]) * rate)
    seen.Set(geom.Tokens.invisible, person.end_s * rate)
    skeleton = _add_skeleton(stage, f"{place}/{name}_rig", person)
    animation = _add_animation(stage, f"{place}/{name}_motion", person, rate)
    mesh = _add_mesh(stage, f"{place}/{name}_body", person)
    skel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    binding = skel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    count = person.influences.joints.shape[1]
    binding.CreateJointIndicesPrimvar(False, count).Set(_integers(person.influences.joints))
    binding.CreateJointWeightsPrimvar(False, count).Set(vt.FloatArray.FromNumpy(person.influences.weights.reshape(-1)))


def _add_skeleton(stage: Any, place: str, person: SkinnedPerson) -> Any:
    gf, skel = (require(f"pxr.{name}", NEEDS.extra) for name in ("Gf", "UsdSkel"))
    skeleton = skel.Skeleton.Define(stage, place)
    skeleton.CreateJointsAttr(_joint_paths())

    def moves(places: np.ndarray) -> list[Any]:
        return [gf.Matrix4d(1.0).SetTranslate(gf.Vec3d(*place)) for place in places.tolist()]

    skeleton.CreateBindTransformsAttr(moves(person.rig.rest))
    skeleton.CreateRestTransformsAttr(moves(person.rig.offsets))
    return skeleton


def _add_animation(stage: Any, place: str, person: SkinnedPerson, rate: float) -> Any:
    gf, vt, skel = (require(f"pxr.{name}", NEEDS.extra) for name in ("Gf", "Vt", "UsdSkel"))
    animation = skel.Animation.Define(stage, place)
    animation.CreateJointsAttr(_joint_paths())
    animation.CreateScalesAttr([gf.Vec3h(1.0)] * len(JOINT_NAMES))
    places, turns = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    moved = person.rig.offsets.astype(np.float32)
    for row, time_s in enumerate(person.time_s.tolist()):
        moved[0] = person.rig.root[row]
        places.Set(vt.Vec3fArray.FromNumpy(moved), time_s * rate)
        turns.Set([gf.Quatf(w, x, y, z) for x, y, z, w in person.rig.turns[row].tolist()], time_s * rate)
    return animation


def _add_mesh(stage: Any, place: str, person: SkinnedPerson) -> Any:
    gf, vt, geom = (require(f"pxr.{name}", NEEDS.extra) for name in ("Gf", "Vt", "UsdGeom"))
    mesh = geom.Mesh.Define(stage, place)
    mesh.CreatePointsAttr(vt.Vec3fArray.FromNumpy(person.vertices))
    mesh.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(person.normals))
    mesh.SetNormalsInterpolation(geom.Tokens.vertex)
    mesh.CreateFaceVertexCountsAttr(_integers(np.full(len(person.faces), 3)))
    mesh.CreateFaceVertexIndicesAttr(_integers(person.faces))
    mesh.CreateSubdivisionSchemeAttr(geom.Tokens.none)
    mesh.CreateExtentAttr(vt.Vec3fArray.FromNumpy(np.stack([person.vertices.min(0), person.vertices.max(0)])))
    mesh.CreateDisplayColorAttr([gf.Vec3f(*person.colour.tolist())])
    return mesh


def _integers(array: np.ndarray) -> Any:
    """Return ``array`` as USD's own kind of list: setting a Python one takes a thousand times as long."""
    return require("pxr.Vt", NEEDS.extra).IntArray.FromNumpy(array.reshape(-1).astype(np.int32))


def _joint_paths() -> list[str]:
    """Return the joints by their paths in the tree, as UsdSkel names them."""
    paths: list[str] = []
    for joint, name in enumerate(JOINT_NAMES):
        parent = SMPL_PARENTS[joint]
        paths.append(f"{paths[parent]}/{name}" if parent >= 0 else name)
    return paths
