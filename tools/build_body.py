"""Build the shipped bodies, lifter/assets/body_{neutral,male,female}.npz, from the anny package (layout: docs/body.md).

anny is needed here only, never at run time. In an environment of its own, because it brings warp-lang (400 MB):

    python -m venv /tmp/anny && /tmp/anny/bin/pip install torch scipy anny==0.6.2
    /tmp/anny/bin/python tools/build_body.py --out lifter/assets

The first construction takes minutes and a cache of 790 MB. Only the default topology, made from MakeHuman's CC0 data,
is used: anny's 'smpl' and 'smplx' topologies download data that is not free. The sampled people come from a fixed seed,
so the result depends on the machine by rounding alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GENDERS = ("neutral", "male", "female")
PEOPLE = 500
BETAS = 10
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

# Per SMPL joint: its name, the bone whose head it is, and every bone whose skin it takes. Left and central joints;
# "*" takes all bones with that start. Right joints mirror the left.
_CENTRAL = {
    0: ("pelvis", "root", ("root", "pelvis.L", "pelvis.R", "spine05")),
    3: ("spine1", "spine04", ("spine04", "spine03")),
    6: ("spine2", "spine02", ("spine02",)),
    9: ("spine3", "spine01", ("spine01",)),
    12: ("neck", "neck01", ("neck01", "neck02", "neck03")),
    15: ("head", "head", ("head", "eye.L", "eye.R")),
}
_LEFT = {
    1: ("hip", "upperleg01", ("upperleg01", "upperleg02")),
    4: ("knee", "lowerleg01", ("lowerleg01", "lowerleg02")),
    7: ("ankle", "foot", ("foot",)),
    10: ("foot", "toe2-1", ("toe*",)),
    13: ("collar", "clavicle", ("clavicle", "shoulder01")),
    16: ("shoulder", "upperarm01", ("upperarm01", "upperarm02")),
    18: ("elbow", "lowerarm01", ("lowerarm01", "lowerarm02")),
    20: ("wrist", "wrist", ("wrist", "metacarpal1", "metacarpal2", "metacarpal3", "metacarpal4")),
    22: ("hand", "finger3-1", ("finger*",)),
}
_FOOT, _FIRST_TOES = 10, ("toe1-1", "toe2-1", "toe3-1", "toe4-1")
_NEAR_VERTICES = 800
_RIDGE = 1e-7


@dataclass(frozen=True)
class Rig:
    """anny's bones: ``labels``, ``parents`` (-1 for the root), skinning ``weights (N, bones)`` that sum to 1."""

    labels: list[str]
    parents: list[int]
    weights: np.ndarray

    def __getitem__(self, label: str) -> int:
        return self.labels.index(label)


@dataclass(frozen=True)
class JointMap:
    """SMPL's 24 joints on the rig: ``names``, ``heads (24)`` bone numbers, ``joint_of_bone (bones)``."""

    names: tuple[str, ...]
    heads: np.ndarray
    joint_of_bone: np.ndarray


def joint_map(rig: Rig) -> JointMap:
    """Return which bone heads are SMPL's joints and which joint every bone's skin follows."""
    rows: dict[int, tuple[str, str, tuple[str, ...]]] = dict(_CENTRAL)
    for joint, (name, head, bones) in _LEFT.items():
        for place, letter, side in ((joint, "l", ".L"), (joint + 1, "r", ".R")):
            rows[place] = (f"{letter}_{name}", head + side, tuple(bone + side for bone in bones))
    joint_of_bone = np.full(len(rig.labels), -1)
    for joint, (_, _, bones) in rows.items():
        for bone in bones:
            start, star, side = bone.partition("*")
            taken = [b for b in rig.labels if b.startswith(start) and b.endswith(side)] if star else [bone]
            joint_of_bone[[rig[b] for b in taken]] = joint
    if (joint_of_bone < 0).any():
        missed = [rig.labels[i] for i in np.flatnonzero(joint_of_bone < 0)]
        raise SystemExit(f"anny's rig has bones that no joint takes: {missed}; expected the rig of anny 0.6.2")
    ordered = [rows[joint] for joint in range(24)]
    return JointMap(tuple(r[0] for r in ordered), np.array([rig[r[1]] for r in ordered]), joint_of_bone)


def sample_people(gender: str, count: int) -> dict[str, np.ndarray]:
    """Return anny's phenotype values ``(count)`` of adults; statures are normal: men 1.76 m, women 1.63 m."""
    rng = np.random.default_rng(0)
    sex = (np.arange(count) % 2).astype(float) if gender == "neutral" else np.full(count, float(gender == "female"))
    man = sex < 0.5
    stature = np.where(man, rng.normal(1.76, 0.075, count), rng.normal(1.63, 0.07, count))
    inward = np.where(man, 1, -1) * np.abs(rng.normal(0, 0.1, count))
    return {
        "gender": np.clip(sex + inward, 0, 1),
        "age": rng.uniform(0.6, 0.95, count),
        "muscle": rng.beta(3, 3, count),
        "weight": np.clip(rng.beta(2.5, 2.5, count), 0.02, 0.98),
        "height": np.where(man, 0.5 + (stature - 1.90) / 1.087, 0.5 + (stature - 1.761) / 1.0),
        "proportions": rng.beta(3, 3, count),
    }


def rest_shapes(model: Any, people: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return rest ``vertices (P,N,3)`` and bone ``heads (P,bones,3)`` m in anny's A-pose: +Y up, facing +Z."""
    import torch

    count, step = len(people["age"]), 25
    vertices, heads = [], []
    for start in range(0, count, step):
        some = {
            label: torch.tensor(values[start : start + step], dtype=torch.float32)
            for label, values in people.items()
            if label in model.phenotype_labels
        }
        size = len(some["age"])
        identity = torch.eye(4).expand(size, model.bone_count, 4, 4)
        with torch.no_grad():
            out = model(pose_parameters=identity, phenotype_kwargs=some)
        vertices.append(out["rest_vertices"].numpy())
        heads.append(out["rest_bone_heads"].numpy())
    turn = np.array([1, 1, -1])  # anny is +Z up and faces -Y
    return np.concatenate(vertices)[..., [0, 2, 1]] * turn, np.concatenate(heads)[..., [0, 2, 1]] * turn


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def _turn_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the shortest rotation from direction ``a (3)`` to ``b (3)``."""
    a, b = _unit(a), _unit(b)
    x, y, z = np.cross(a, b)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + k + k @ k / (1 + a @ b)


def _turn_about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _limb_turns(rig: Rig, heads: np.ndarray, side: str) -> dict[str, np.ndarray]:
    """Return the world rotation of each bone of one side that takes the A-pose ``heads (bones,3)`` to the T-pose."""
    out = 1.0 if side == ".L" else -1.0

    def at(bone: str) -> np.ndarray:
        return heads[rig[bone + side]]

    sideways = np.array([out, 0, 0])
    forearm = _turn_between(at("wrist") - at("lowerarm01"), sideways)
    hand = _turn_between(at("finger3-1") - at("wrist"), sideways)
    across = hand @ (at("finger2-1") - at("finger5-1"))
    twist = float(np.arctan2(across[1], across[2]))  # index ahead of little finger: palms down
    hand = _turn_about_x(twist) @ hand
    turns = {
        "upperarm01": _turn_between(at("lowerarm01") - at("upperarm01"), sideways),
        "lowerarm01": forearm,
        "lowerarm02": _turn_about_x(twist / 2) @ forearm,
        "wrist": hand,
        "upperleg01": _turn_between(at("lowerleg01") - at("upperleg01"), np.array([out * 0.06, -1, 0])),
        "lowerleg01": _turn_between(at("foot") - at("lowerleg01"), np.array([out * 0.03, -1, -0.02])),
    }
    for finger in (2, 3, 4, 5):
        spread = (3.3 - finger) * 0.06
        for part, droop in ((1, -0.12), (2, -0.2)):
            along = at(f"finger{finger}-{part + 1}") - at(f"finger{finger}-{part}")
            turns[f"finger{finger}-{part}"] = _turn_between(hand @ along, np.array([out, droop, spread])) @ hand
    toes = at("toe2-1") - at("foot")
    turns["foot"] = _turn_between(np.array([toes[0], 0, toes[2]]), np.array([out * 0.2, 0, 1]))
    return {bone + side: turn for bone, turn in turns.items()}


def to_t_pose(rig: Rig, vertices: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``vertices (P,N,3)`` and ``heads (P,bones,3)`` m in the T-pose: the mean's rotations for everyone."""
    mean = heads.mean(0)
    given = _limb_turns(rig, mean, ".L") | _limb_turns(rig, mean, ".R")
    turns: list[np.ndarray] = []
    shifts = np.zeros_like(heads)
    for bone, parent in enumerate(rig.parents):
        above = np.eye(3) if parent < 0 else turns[parent]
        turn = given.get(rig.labels[bone], above)
        carried = heads[:, bone] if parent < 0 else heads[:, bone] @ above.T + shifts[:, parent]
        shifts[:, bone] = carried - heads[:, bone] @ turn.T
        turns.append(turn)
    posed = np.zeros_like(vertices)
    for bone, turn in enumerate(turns):
        used = np.flatnonzero(rig.weights[:, bone] > 1e-6)
        posed[:, used] += rig.weights[used, bone, None] * (vertices[:, used] @ turn.T + shifts[:, [bone]])
    return posed, np.einsum("bij,nbj->nbi", np.stack(turns), heads) + shifts


def shape_basis(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ``(N,3)`` m and principal ``shapedirs (N,3,10)`` m per standard deviation; positive is larger."""
    mean = vertices.mean(0)
    centred = (vertices - mean).reshape(len(vertices), -1).astype(np.float64)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    rows, deviation = rows[:BETAS], singular[:BETAS] / np.sqrt(len(vertices))
    larger = np.sign(np.einsum("bnc,nc->b", rows.reshape(BETAS, -1, 3), mean))
    explained = (singular[:BETAS] ** 2).sum() / (singular**2).sum()
    error = np.linalg.norm((centred - centred @ rows.T @ rows).reshape(len(vertices), -1, 3), axis=-1)
    print(
        f"  {explained:.2%} of the variance; error mean {error.mean() * 1e3:.2f} mm, worst {error.max() * 1e3:.1f} mm"
    )
    return mean, (rows * (larger * deviation)[:, None]).T.reshape(-1, 3, BETAS)


def joint_regressor(
    template: np.ndarray, shapedirs: np.ndarray, vertices: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """Return ``(24,N)`` rows that sum to 1, mirror-symmetric: people have ``vertices (P,N,3)``, ``joints (P,24,3)``.

    The body is only ever asked for shapes of its ten betas, on which its joints can depend but affinely. So the best
    affine dependence is found first; then, of all weights on nearby vertices that give it, the most even ones.
    """
    from scipy import spatial

    flat = (vertices - template).reshape(len(vertices), -1)
    betas = np.linalg.lstsq(shapedirs.reshape(-1, BETAS), flat.T, rcond=None)[0].T
    affine = np.column_stack([np.ones(len(betas)), betas])
    wanted = np.linalg.lstsq(affine, joints.reshape(len(joints), -1), rcond=None)[0].reshape(-1, 24, 3)
    tree = spatial.KDTree(template)
    mirror = np.asarray(tree.query(template * [-1, 1, 1])[1])
    rows = np.zeros((24, len(template)))
    for joint in range(24):
        near = np.unique(np.asarray(tree.query(wanted[0, joint], k=_NEAR_VERTICES)[1]))
        if joint in _CENTRAL:
            near = np.unique(np.concatenate([near, mirror[near]]))
        given = np.concatenate([template[near].T[None], shapedirs[near].transpose(2, 1, 0)]).reshape(-1, len(near))
        system = np.concatenate([given, np.ones((1, len(near)))])
        even = np.full(len(near), 1 / len(near))
        lacking = np.append(wanted[:, joint], 1.0) - system @ even
        rows[joint, near] = even + system.T @ np.linalg.solve(system @ system.T + _RIDGE * np.eye(len(system)), lacking)
    swap = [joint + (1 if joint in _LEFT else -1 if joint - 1 in _LEFT else 0) for joint in range(24)]
    rows = (rows + rows[swap][:, mirror]) / 2
    rows /= rows.sum(1, keepdims=True)
    shaped = template + np.einsum("ncb,pb->pnc", shapedirs, betas)
    error = np.linalg.norm(np.einsum("jn,pnc->pjc", rows, shaped) - joints, axis=-1) * 1e3
    print(f"  joints: error mean {error.mean():.2f} mm; worst person per joint {error.max(0).round(1).tolist()} mm")
    return rows


def keypoint_rows(model: Any) -> tuple[np.ndarray, list[str]]:
    """Return anny's own keypoint regressor ``(K,N)``, COCO-17 first and then the feet, and its names."""
    import anny  # type: ignore[import-not-found]

    keypoints = anny.KeypointsRegressor.coco(model)
    rows = keypoints.regression_weights.numpy().astype(np.float64)
    return rows / rows.sum(1, keepdims=True), list(keypoints.labels)


def named_vertices(rig: Rig, template: np.ndarray, wrists: np.ndarray, points: dict[str, np.ndarray]) -> dict[str, int]:
    """Return smplx's 21 named vertices of this mesh: ``wrists (2,3)`` m left, right; ``points`` named keypoints, m."""

    def near(point: np.ndarray) -> int:
        return int(np.linalg.norm(template - point, axis=1).argmin())

    found = {"nose": near(points["nose"] + [0, 0, 0.03])}
    for short, name in (("reye", "right_eye"), ("leye", "left_eye"), ("rear", "right_ear"), ("lear", "left_ear")):
        found[short] = near(points[name])
    for letter, side in (("L", "left"), ("R", "right")):
        for short, part in (("BigToe", "big_toe"), ("SmallToe", "small_toe"), ("Heel", "heel")):
            found[letter + short] = near(points[f"{side}_{part}"])
    for letter, side, wrist in (("l", ".L", wrists[0]), ("r", ".R", wrists[1])):
        for finger, name in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1):
            tip = np.flatnonzero(rig.weights[:, rig[f"finger{finger}-3{side}"]] > 0.5)
            found[letter + name] = int(tip[np.linalg.norm(template[tip] - wrist, axis=1).argmax()])
    return found


def sole_vertices(template: np.ndarray, ankles: np.ndarray) -> list[int]:
    """Return the lowest vertices of heel, ball and toe, left then right; ``ankles (2,3)`` m left and right."""
    found: list[int] = []
    for out, ankle in ((1, ankles[0]), (-1, ankles[1])):
        foot = np.flatnonzero((template[:, 1] < ankle[1]) & (template[:, 0] * out > 0))
        back, front = template[foot, 2].min(), template[foot, 2].max()
        for low, high in ((0.0, 0.25), (0.6, 0.75), (0.85, 1.0)):
            along = (template[foot, 2] - back) / (front - back)
            part = foot[(along >= low) & (along <= high)]
            found.append(int(part[template[part, 1].argmin()]))
    return found


def build(model: Any, rig: Rig, gender: str) -> dict[str, np.ndarray]:
    """Return the arrays of one body file."""
    joints_of = joint_map(rig)
    vertices, heads = to_t_pose(rig, *rest_shapes(model, sample_people(gender, PEOPLE)))
    joints = heads[:, joints_of.heads]
    for place, side in ((_FOOT, ".L"), (_FOOT + 1, ".R")):
        joints[:, place] = np.mean([heads[:, rig[toe + side]] for toe in _FIRST_TOES], 0)
    pelvis = joints[:, :1].copy()
    vertices, joints = vertices - pelvis, joints - pelvis
    template, shapedirs = shape_basis(vertices)
    regressor = joint_regressor(template, shapedirs, vertices, joints)
    skin = np.zeros((len(template), 24))
    np.add.at(skin.T, joints_of.joint_of_bone, rig.weights.T)
    skin[skin < 1e-4] = 0
    keypoints, labels = keypoint_rows(model)
    points = dict(zip(labels, keypoints @ template, strict=True))
    rest = regressor @ template
    return {
        "name": np.array("anny-smpl24"),
        "gender": np.array(gender),
        "v_template": template.astype(np.float32),
        "shapedirs": shapedirs.astype(np.float32),
        "weights": (skin / skin.sum(1, keepdims=True)).astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "kintree_table": np.stack([PARENTS, np.arange(24)]).astype(np.int64),
        "f": np.asarray(model.faces).astype(np.uint32),
        "coco_regressor": keypoints.astype(np.float32),
        "coco_names": np.array(labels),
        "joint_names": np.array(joints_of.names),
        "sole_vertex_ids": np.array(sole_vertices(template, rest[[7, 8]]), np.int64),
        "vertex_ids": np.array(list(named_vertices(rig, template, rest[[20, 21]], points).items())),
    }


def main() -> None:
    """Build the bodies that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for body_GENDER.npz")
    parser.add_argument("--gender", choices=GENDERS, action="append", help="one of them only; may be repeated")
    options = parser.parse_args()
    import anny  # type: ignore[import-not-found]
    import torch

    model = anny.Anny().to(torch.float32)
    count = model.vertex_bone_indices.shape[0]
    weights = np.zeros((count, model.bone_count))
    np.add.at(
        weights, (np.arange(count)[:, None], model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy()
    )
    rig = Rig(list(model.bone_labels), list(model.bone_parents), weights / weights.sum(1, keepdims=True))
    options.out.mkdir(parents=True, exist_ok=True)
    for gender in options.gender or GENDERS:
        print(gender)
        np.savez_compressed(options.out / f"body_{gender}.npz", **build(model, rig, gender))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
