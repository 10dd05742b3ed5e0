"""The body: 24 joints and 10 shape numbers in SMPL's layout, posed by linear blend skinning (Loper et al. 2015).

Keypoints on the surface (COCO-17, soles) are weighted sums of vertices. Under linear blend skinning such a sum is
itself linear in the joints' transforms, so ``KeypointBasis`` holds per keypoint and joint the weighted mean point and
mass: keypoints cost as little as forward kinematics, without skinning a mesh, and are exact.

Body frame: +Y up, faces +Z, +X is the body's left, metres.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mocap_video.artifacts import NPZ_FAULTS
from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.kept import keepable
from mocap_video.skeletons import SMPL_PARENTS

GENDERS = ("neutral", "male", "female")
SOLES = ("left_heel", "left_ball", "left_toe", "right_heel", "right_ball", "right_toe")
"""Points on the soles that touch flat ground, in the order of ``Posed.soles``."""


@dataclass(frozen=True)
class KeypointBasis:
    """``K`` surface keypoints as functions of the joints' transforms.

    ``point (K,24,3)`` m and ``point_shape (K,24,3,10)`` m per unit beta: sums over vertices of regressor weight x
    skinning weight x position; ``mass (K,24)``: the same without the position.
    """

    point: Tensor
    point_shape: Tensor
    mass: Tensor


@dataclass(frozen=True)
class Posed:
    """A posed body in the frame of ``transl``: ``joints (...,24,3)``, ``coco (...,17,3)``, ``soles (...,6,3)``, metres;
    ``R_world_from_joint (...,24,3,3)``.
    """

    joints: Tensor
    coco: Tensor
    soles: Tensor
    R_world_from_joint: Tensor


@dataclass(frozen=True)
class BodyModel:
    """A body file in memory. ``N`` vertices, ``F`` faces; float32 unless moved.

    ``v_template (N,3)`` m, ``shapedirs (N,3,10)``, ``posedirs (N,3,207)`` or None where the file has none,
    ``weights (N,24)``, ``faces (F,3)``, ``rest_joints (24,3)`` m, ``rest_joints_shape (24,3,10)``.
    """

    name: str
    gender: str
    digest: str
    v_template: Tensor
    shapedirs: Tensor
    posedirs: Tensor | None
    weights: Tensor
    faces: np.ndarray
    rest_joints: Tensor
    rest_joints_shape: Tensor
    coco: KeypointBasis
    soles: KeypointBasis

    def pose(self, betas: Tensor, rotations: Tensor, transl: Tensor, bones: Tensor | None = None) -> Posed:
        """Pose the joints and keypoints.

        ``betas (...,10)``, ``rotations (...,24,3,3)`` each relative to its parent, ``transl (...,3)`` m; leading
        dimensions broadcast. ``bones (...,24,3)`` stretches each joint's offset from its parent along the rest pose's
        axes, beyond what the betas span; the flesh around a joint keeps its size. Pose-dependent corrections move
        vertices alone, not these keypoints.
        """
        rest = self.rest_joints + (self.rest_joints_shape @ betas[..., None, :, None])[..., 0]
        R, position = _chain(rotations, rest, bones)
        moved, place = position - (R @ rest[..., None])[..., 0], transl[..., None, :]
        return Posed(
            joints=position + place,
            coco=_keypoints(self.coco, betas, R, moved) + place,
            soles=_keypoints(self.soles, betas, R, moved) + place,
            R_world_from_joint=R,
        )

    def vertices(self, betas: Tensor, rotations: Tensor, transl: Tensor) -> Tensor:
        """Return posed vertices ``(T,N,3)`` m of ``betas (10)``, ``rotations (T,24,3,3)`` and ``transl (T,3)`` m."""
        shaped = self.v_template + self.shapedirs @ betas
        rest = self.rest_joints + self.rest_joints_shape @ betas
        R, position = _chain(rotations, rest)
        moved = position - (R @ rest[..., None])[..., 0]
        if self.posedirs is not None:
            eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[..., 1:, :, :] - eye).flatten(-3)
            shaped = shaped + torch.einsum("vcp,tp->tvc", self.posedirs, feature)
        blended = torch.einsum("vj,tjab->tvab", self.weights, R)
        turned = (blended @ shaped[..., None])[..., 0]
        return turned + torch.einsum("vj,tja->tva", self.weights, moved) + transl[..., None, :]

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> BodyModel:
        """Return the body with its tensors on ``device`` in ``dtype``."""

        def move(value: object) -> object:
            if isinstance(value, Tensor):
                return value.to(device, dtype)
            if isinstance(value, KeypointBasis):
                return KeypointBasis(*(part.to(device, dtype) for part in vars(value).values()))
            return value

        return BodyModel(**{name: move(value) for name, value in vars(self).items()})  # type: ignore[arg-type]


def _chain(rotations: Tensor, rest: Tensor, bones: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Forward kinematics, root at its rest place: world rotations ``(...,24,3,3)`` and positions ``(...,24,3)``."""
    shape = np.broadcast_shapes(rotations.shape[:-3], rest.shape[:-2])  # torch's own would import sympy
    rotations, rest = rotations.expand(*shape, 24, 3, 3), rest.expand(*shape, 24, 3)
    R = [rotations[..., 0, :, :]]
    position = [rest[..., 0, :]]
    for joint in range(1, 24):
        parent = SMPL_PARENTS[joint]
        bone = rest[..., joint, :] - rest[..., parent, :]
        if bones is not None:
            bone = bone * bones[..., joint, :]
        R.append(R[parent] @ rotations[..., joint, :, :])
        position.append((R[parent] @ bone[..., None])[..., 0] + position[parent])
    return torch.stack(R, -3), torch.stack(position, -2)


def _keypoints(basis: KeypointBasis, betas: Tensor, R: Tensor, moved: Tensor) -> Tensor:
    point = basis.point + (basis.point_shape @ betas[..., None, None, :, None])[..., 0]
    return torch.einsum("...jab,...kjb->...ka", R, point) + basis.mass @ moved


def keypoint_basis(
    regressor: np.ndarray, weights: np.ndarray, template: np.ndarray, shapes: np.ndarray
) -> KeypointBasis:
    """Return the basis of ``regressor (K,N)``: skinning ``weights (N,24)``, ``template (N,3)``, ``shapes (N,3,10)``."""
    used = np.flatnonzero((regressor != 0).any(0))
    joint = np.einsum("kn,nj->knj", regressor[:, used], weights[used])
    return KeypointBasis(
        point=torch.as_tensor(np.einsum("knj,nc->kjc", joint, template[used]), dtype=torch.float32),
        point_shape=torch.as_tensor(np.einsum("knj,ncb->kjcb", joint, shapes[used]), dtype=torch.float32),
        mass=torch.as_tensor(joint.sum(1), dtype=torch.float32),
    )


@keepable
def load_body(source: str | Path = "neutral") -> BodyModel:
    """Load the shipped body of a gender (``neutral``, ``male``, ``female``), or a body npz of ours by path.

    Raises ``MissingAsset`` when the file is not there and ``ArtifactError`` when it is not a body.
    """
    if str(source) in GENDERS:
        path = Path(str(resources.files("mocap_video.lifter") / "assets" / f"body_{source}.npz"))
    else:
        path = Path(source)
    if not path.is_file():
        raise MissingAsset(f"{path}: no such body file; expected a gender of {GENDERS} or the path of a body npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        return _body_from_arrays(path, arrays)
    except NPZ_FAULTS as error:
        raise ArtifactError(
            f"{path}: not a body file ({error}); expected an npz in the layout of docs/body.md"
        ) from error


def _body_from_arrays(path: Path, arrays: dict[str, np.ndarray]) -> BodyModel:
    template, shapes = arrays["v_template"].astype(np.float64), arrays["shapedirs"].astype(np.float64)
    weights = arrays["weights"].astype(np.float64)
    if not np.array_equal(arrays["kintree_table"][0].astype(np.int64)[1:], SMPL_PARENTS[1:]):
        raise ValueError("kintree_table is not SMPL's")
    soles = np.zeros((len(SOLES), len(template)))
    soles[np.arange(len(SOLES)), arrays["sole_vertex_ids"]] = 1.0
    regressor = arrays["J_regressor"].astype(np.float64)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32)

    return BodyModel(
        name=str(arrays["name"]),
        gender=str(arrays["gender"]),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        v_template=tensor(template),
        shapedirs=tensor(shapes),
        posedirs=None,
        weights=tensor(weights),
        faces=arrays["f"].astype(np.int64),
        rest_joints=tensor(regressor @ template),
        rest_joints_shape=tensor(np.einsum("jn,ncb->jcb", regressor, shapes)),
        coco=keypoint_basis(arrays["coco_regressor"][:17].astype(np.float64), weights, template, shapes),
        soles=keypoint_basis(soles, weights, template, shapes),
    )
