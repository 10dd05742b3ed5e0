"""A user's own SMPL file as a body: read here, interpreted by smplx (extra ``smpl``), posed by our own code.

SMPL's files are not ours to ship and their licence forbids commercial use; the default body needs none of this.
"""

from __future__ import annotations

import hashlib
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mocap_video.artifacts import NPZ_FAULTS
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.kept import keepable
from mocap_video.lifter.body import GENDERS, SOLES, BodyModel, KeypointBasis, keypoint_basis
from mocap_video.lifter.unpickling import UNREADABLE, ArrayUnpickler
from mocap_video.optional import require
from mocap_video.skeletons import COCO17, SMPL24, SMPL_PARENTS

VERTICES = 6890
FACE_VERTICES = {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071}
"""Vertices of SMPL's mesh that serve as COCO's points of the face; every other COCO point is a joint."""
_NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
_BANDS = {"heel": (0.0, 0.25), "ball": (0.6, 0.75), "toe": (0.85, 1.0)}
"""Where along the foot, from its back to its front, each sole point is sought."""


@keepable
def load_smpl(path: Path, *, trust: bool = False) -> BodyModel:
    """Load an SMPL body from ``path``: an npz of SMPL's arrays, or, with ``trust``, SMPL's own pickle.

    Raises ``MissingAsset`` when the file is not there, ``ConfigError`` for a pickle without ``trust``, ``MissingExtra``
    without smplx and ``ArtifactError`` when the file does not hold SMPL.
    """
    arrays = read_smpl_arrays(path, (*_NEEDED, "gender"), trust=trust)
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise ArtifactError(f"{path}: expected SMPL's arrays, lacks {', '.join(missing)}")
    try:
        return _body(path, arrays)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise ArtifactError(f"{path}: expected SMPL's arrays with {VERTICES} vertices ({error})") from error


def read_smpl_arrays(path: Path, names: tuple[str, ...], *, trust: bool) -> dict[str, Any]:
    """Return those of SMPL's or SMPL-X's arrays ``names`` that are in ``path``; see ``load_smpl``."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no such file; expected an SMPL body as npz or pkl")
    if path.suffix.lower() == ".npz":
        return _read_npz(path, names)
    if trust:
        return _read_pickle(path, names)
    raise ConfigError(
        f"{path}: expected an npz, got {path.suffix or 'none'}. SMPL's pickles can run code when they are read; "
        "convert it to npz, or give --trust if you trust its source"
    )


def _read_npz(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files if key in names}
    except NPZ_FAULTS as error:
        raise ArtifactError(f"{path}: not an npz of plain arrays ({error})") from error


class _Chumpy:
    """Stands in for chumpy's arrays, which SMPL's pickles hold and which cannot be installed any more."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Unpickler(ArrayUnpickler):
    """Reads scipy's sparse matrices and chumpy's arrays as well as numpy's."""

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if package == "chumpy":
            return _Chumpy
        if package == "scipy" and name in ("csc_matrix", "csr_matrix", "coo_matrix"):
            return getattr(import_module("scipy.sparse"), name)
        if (module, name) in (("copyreg", "_reconstructor"), ("builtins", "object")):
            return pickle.Unpickler.find_class(self, module, name)
        return super().find_class(module, name)


def _read_pickle(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            stored = _Unpickler(file, encoding="latin1").load()
        return {key: _dense(stored[key]) for key in names if key in stored}
    except UNREADABLE as error:
        raise ArtifactError(f"{path}: not SMPL's pickle ({error}); convert it to npz") from error


def _dense(value: Any) -> np.ndarray:
    if isinstance(value, _Chumpy):
        value = value.state["x"]
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)


def _body(path: Path, arrays: dict[str, Any]) -> BodyModel:
    model = _smplx_model(arrays)
    template, shapes = model.v_template.double().numpy(), model.shapedirs[..., :10].double().numpy()
    weights, regressor = model.lbs_weights.double().numpy(), model.J_regressor.double().numpy()
    if template.shape != (VERTICES, 3) or weights.shape != (VERTICES, 24) or shapes.shape != (VERTICES, 3, 10):
        raise ValueError(f"got {template.shape[0]} vertices, {weights.shape[1]} joints, {shapes.shape[-1]} betas")
    if model.parents.tolist()[1:] != list(SMPL_PARENTS[1:]):
        raise ValueError("its kintree_table is not SMPL's")
    rest, rest_shape = regressor @ template, np.einsum("jn,ncb->jcb", regressor, shapes)
    soles = np.zeros((len(SOLES), VERTICES))
    soles[np.arange(len(SOLES)), sole_vertices(template, weights)] = 1.0

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32)

    return BodyModel(
        name="smpl",
        gender=_gender(path, arrays),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        v_template=tensor(template),
        shapedirs=tensor(shapes),
        posedirs=model.posedirs.T.reshape(VERTICES, 3, -1).contiguous(),
        weights=tensor(weights),
        faces=model.faces_tensor.numpy(),
        rest_joints=tensor(rest),
        rest_joints_shape=tensor(rest_shape),
        coco=_coco_basis(template, shapes, weights, rest, rest_shape),
        soles=keypoint_basis(soles, weights, template, shapes),
    )


def _smplx_model(arrays: dict[str, Any]) -> Any:
    smplx, utils, names = (require(module, "smpl") for module in ("smplx", "smplx.utils", "smplx.vertex_ids"))
    # smplx's default vertex ids reach past a short mesh; none of its extra keypoints is used here.
    vertex_ids = dict.fromkeys(names.vertex_ids["smplh"], 0)
    return smplx.SMPL("unused", data_struct=utils.Struct(**arrays), vertex_ids=vertex_ids)


def _gender(path: Path, arrays: dict[str, Any]) -> str:
    """Return what the file says of itself, else what its name says, else neutral."""
    said = str(arrays.get("gender", "")).lower()
    named = path.stem.lower()
    return next((g for g in ("female", "male") if said == g or (said not in GENDERS and g in named)), "neutral")


def _coco_basis(
    template: np.ndarray, shapes: np.ndarray, weights: np.ndarray, rest: np.ndarray, rest_shape: np.ndarray
) -> KeypointBasis:
    """Return COCO-17 of SMPL: vertices of the face, and joints, each of which moves with itself alone."""
    face = np.zeros((len(COCO17), len(template)))
    for name, vertex in FACE_VERTICES.items():
        face[COCO17.index(name), vertex] = 1.0
    basis = keypoint_basis(face, weights, template, shapes)
    for row, name in enumerate(COCO17.names):
        if name not in FACE_VERTICES:
            joint = SMPL24.index(name)
            basis.point[row, joint] = torch.as_tensor(rest[joint], dtype=torch.float32)
            basis.point_shape[row, joint] = torch.as_tensor(rest_shape[joint], dtype=torch.float32)
            basis.mass[row, joint] = 1.0
    return basis


def sole_vertices(template: np.ndarray, weights: np.ndarray) -> list[int]:
    """Return the lowest vertices of heel, ball and toe, left then right, of a T-pose ``template (N,3)`` m (+Y up, +Z
    ahead) with skinning ``weights (N,24)``.
    """
    found: list[int] = []
    for side in ("left", "right"):
        foot = np.flatnonzero(weights[:, [SMPL24.index(f"{side}_ankle"), SMPL24.index(f"{side}_foot")]].sum(1) > 0.5)
        if not len(foot):
            raise ValueError(f"no vertex follows the {side} foot")
        ahead = template[foot, 2]
        along = (ahead - ahead.min()) / max(float(np.ptp(ahead)), 1e-9)
        for name, (low, high) in _BANDS.items():
            part = foot[(along >= low) & (along <= high)]
            if not len(part):
                raise ValueError(f"no vertex on the {side} foot's {name}")
            found.append(int(part[template[part, 1].argmin()]))
    return found
