"""A user's SMPL file: our skinning against smplx on the same file, refusals, and what counts as trusted.

SMPL itself cannot be shipped, so the file is made: 6890 of our body's vertices with random pose corrections.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mocap_video.errors import ArtifactError, ConfigError, MissingAsset, MissingExtra
from mocap_video.lifter.body import load_body
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.lifter.smpl import FACE_VERTICES, VERTICES, load_smpl
from mocap_video.skeletons import COCO17, SMPL24, SMPL_PARENTS


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    body, rng = load_body("neutral"), np.random.default_rng(0)
    kept = np.sort(rng.permutation(len(body.v_template))[:VERTICES])
    template = body.v_template.numpy()[kept].astype(np.float64)
    # Each joint is read from the ten vertices nearest to it.
    regressor = np.zeros((24, VERTICES))
    for row, joint in zip(regressor, body.rest_joints.numpy(), strict=True):
        row[np.linalg.norm(template - joint, axis=1).argsort()[:10]] = 0.1
    return {
        "v_template": template,
        "shapedirs": body.shapedirs.numpy()[kept].astype(np.float64),
        "posedirs": rng.normal(0, 1e-3, (VERTICES, 3, 207)),
        "J_regressor": regressor,
        "kintree_table": np.stack([np.array([2**32 - 1, *SMPL_PARENTS[1:]]), np.arange(24)]).astype(np.uint32),
        "weights": body.weights.numpy()[kept].astype(np.float64),
        "f": rng.integers(0, VERTICES, (100, 3)).astype(np.uint32),
    }


@pytest.fixture(scope="module")
def path(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smpl") / "SMPL_FEMALE.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _poses(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(10, generator=generator)
    return betas, 0.5 * torch.randn(frames, 24, 3, generator=generator), torch.randn(frames, 3, generator=generator)


def _by_smplx(
    arrays: dict[str, np.ndarray], betas: torch.Tensor, rotvec: torch.Tensor, transl: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    smplx = pytest.importorskip("smplx")
    names = smplx.vertex_ids.vertex_ids["smplh"]
    model = smplx.SMPL("unused", data_struct=smplx.utils.Struct(**arrays), vertex_ids=dict.fromkeys(names, 0))
    out = model(
        betas=betas[None].expand(len(rotvec), 10),
        global_orient=rotvec[:, 0],
        body_pose=rotvec[:, 1:].flatten(1),
        transl=transl,
    )
    return out.vertices.detach().numpy(), out.joints[:, :24].detach().numpy()


def test_vertices_and_joints_equal_those_of_smplx(path: Path, arrays: dict[str, np.ndarray]) -> None:
    betas, rotvec, transl = _poses(3)
    vertices, joints = _by_smplx(arrays, betas, rotvec, transl)
    body = load_smpl(path)
    rotations = matrix_from_rotvec(rotvec)
    np.testing.assert_allclose(body.vertices(betas, rotations, transl), vertices, atol=1e-5)  # m
    np.testing.assert_allclose(body.pose(betas, rotations, transl).joints, joints, atol=1e-5)  # m


def test_our_body_equals_smplx_on_the_same_file() -> None:
    body = load_body("male")
    arrays = {
        "v_template": body.v_template.numpy(),
        "shapedirs": body.shapedirs.numpy(),
        "posedirs": np.zeros((len(body.v_template), 3, 207), np.float32),
        "J_regressor": np.zeros((24, len(body.v_template)), np.float32),
        "kintree_table": np.stack([SMPL_PARENTS, np.arange(24)]),
        "weights": body.weights.numpy(),
        "f": body.faces,
    }
    with np.load(Path(sys.modules["mocap_video.lifter"].__path__[0]) / "assets" / "body_male.npz") as stored:
        arrays["J_regressor"] = stored["J_regressor"]
    betas, rotvec, transl = _poses(2)
    vertices, joints = _by_smplx(arrays, betas, rotvec, transl)
    rotations = matrix_from_rotvec(rotvec)
    np.testing.assert_allclose(body.vertices(betas, rotations, transl), vertices, atol=1e-5)  # m
    np.testing.assert_allclose(body.pose(betas, rotations, transl).joints, joints, atol=1e-5)  # m


def test_coco_is_face_vertices_and_joints(path: Path) -> None:
    body = load_smpl(path)
    betas, rotvec, transl = _poses(2)
    rotations = matrix_from_rotvec(rotvec)
    posed = body.pose(betas, rotations, transl)
    for row, name in enumerate(COCO17.names):
        if name not in FACE_VERTICES:
            np.testing.assert_allclose(posed.coco[:, row], posed.joints[:, SMPL24.index(name)], atol=1e-5)  # m
    rest = body.pose(betas * 0, torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    for name, vertex in FACE_VERTICES.items():
        np.testing.assert_allclose(rest.coco[COCO17.index(name)], body.v_template[vertex], atol=1e-5)  # m


def test_soles_lie_at_the_bottom_of_the_feet(path: Path) -> None:
    body = load_smpl(path)
    rest = body.pose(torch.zeros(10), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    assert float((rest.soles[:, 1] - body.v_template[:, 1].min()).abs().max()) < 0.01  # m
    assert (rest.soles[:3, 0] > 0).all()
    assert (rest.soles[3:, 0] < 0).all()
    assert (rest.soles[[0, 3], 2] < rest.soles[[2, 5], 2]).all(), "heels are behind toes"


def test_gender_is_read_from_the_name(path: Path) -> None:
    assert load_smpl(path).gender == "female"


def test_pickle_is_read_only_with_trust(arrays: dict[str, np.ndarray], path: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "basicModel_m.pkl"
    pickled.write_bytes(pickle.dumps(arrays, protocol=2))
    with pytest.raises(ConfigError, match="--trust"):
        load_smpl(pickled)
    np.testing.assert_array_equal(load_smpl(pickled, trust=True).v_template, load_smpl(path).v_template)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (print, ("this must not run",))


def test_trusted_pickle_still_holds_arrays_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pickled = tmp_path / "smpl.pkl"
    pickled.write_bytes(pickle.dumps({"v_template": _Evil()}))
    with pytest.raises(ArtifactError, match=r"smpl\.pkl: not SMPL's pickle"):
        load_smpl(pickled, trust=True)
    assert "must not run" not in capsys.readouterr().out


def test_what_is_not_smpl_is_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"gone\.npz"):
        load_smpl(tmp_path / "gone.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ArtifactError, match=r"text\.npz"):
        load_smpl(tmp_path / "text.npz")
    np.savez(tmp_path / "part.npz", v_template=arrays["v_template"])
    with pytest.raises(ArtifactError, match="lacks shapedirs"):
        load_smpl(tmp_path / "part.npz")
    small = {**arrays, "v_template": arrays["v_template"][:100]}
    np.savez(tmp_path / "small.npz", **small)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="6890"):
        load_smpl(tmp_path / "small.npz")


def test_without_smplx_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(MissingExtra, match=r"mocap-video\[smpl\]"):
        load_smpl(path)
