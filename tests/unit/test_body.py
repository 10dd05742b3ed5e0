"""The shipped bodies: their own kinematics against their own skin, symmetry, size, and refusals of other files."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter.body import GENDERS, BodyModel, load_body
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, SMPL24


def _file(gender: str) -> Path:
    return Path(str(resources.files("mocap_video.lifter") / "assets" / f"body_{gender}.npz"))


def _arrays(gender: str) -> dict[str, np.ndarray]:
    with np.load(_file(gender), allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def _random_pose(frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    betas = torch.randn(10, generator=generator)
    rotvec = 0.6 * torch.randn(frames, 24, 3, generator=generator)
    return betas, rotvec, 3 * torch.randn(frames, 3, generator=generator)


@pytest.fixture(scope="module", params=GENDERS)
def body(request: pytest.FixtureRequest) -> BodyModel:
    return load_body(request.param)


@pytest.fixture(scope="module")
def neutral() -> BodyModel:
    return load_body("neutral")


def test_keypoints_are_the_regressed_vertices(body: BodyModel) -> None:
    arrays = _arrays(body.gender)
    betas, rotvec, transl = _random_pose(3)
    rotations = matrix_from_rotvec(rotvec)
    posed, vertices = body.pose(betas, rotations, transl), body.vertices(betas, rotations, transl)
    coco = arrays["coco_regressor"][:17].astype(np.float64) @ vertices.double().numpy()  # an ear sums 4,105 vertices
    np.testing.assert_allclose(posed.coco, coco, atol=1e-5)  # m
    np.testing.assert_allclose(posed.soles, vertices[:, arrays["sole_vertex_ids"]], atol=1e-5)  # m


def test_rest_joints_are_regressed_from_the_shaped_template(body: BodyModel) -> None:
    arrays = _arrays(body.gender)
    betas = torch.linspace(-2, 2, 10)
    shaped = arrays["v_template"] + arrays["shapedirs"] @ betas.numpy()
    posed = body.pose(betas, torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    np.testing.assert_allclose(posed.joints, arrays["J_regressor"] @ shaped, atol=1e-5)  # m
    unposed = body.vertices(betas, torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 3))[0]
    np.testing.assert_allclose(unposed, shaped, atol=1e-5)  # m


def test_file_is_consistent(body: BodyModel) -> None:
    arrays = _arrays(body.gender)
    assert tuple(arrays["coco_names"][:17]) == COCO17.names
    assert tuple(n.replace("l_", "left_").replace("r_", "right_") for n in arrays["joint_names"]) == SMPL24.names
    for rows in ("weights", "J_regressor", "coco_regressor"):
        np.testing.assert_allclose(arrays[rows].sum(1), 1.0, atol=1e-5)
    assert arrays["f"].max() < len(arrays["v_template"])
    assert len(arrays["vertex_ids"]) == 21
    assert body.digest == hashlib.sha256(_file(body.gender).read_bytes()).hexdigest()
    assert _file(body.gender).stat().st_size < 2_000_000


def test_size_and_soles_of_the_t_pose(body: BodyModel) -> None:
    low, high = body.v_template.amin(0), body.v_template.amax(0)
    assert {"neutral": 1.60, "male": 1.68, "female": 1.55}[body.gender] < float(high[1] - low[1]) < 1.82  # m
    assert float(high[0] - low[0]) > 1.5, "arms are spread along x"
    posed = body.pose(torch.zeros(10), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    assert np.ptp(posed.soles[:, 1].numpy()) < 0.002  # m
    assert float(posed.soles[:, 1].min() - low[1]) < 0.002  # m
    assert posed.joints[SMPL24.index("left_hip"), 0] > 0.05, "+X is the body's left"
    assert posed.coco[COCO17.index("nose"), 2] > 0.1, "+Z is ahead"
    heel, ball, toe = posed.soles[:3, 2]
    assert heel < ball < toe


def test_first_beta_is_size(body: BodyModel) -> None:
    def height(beta: float) -> float:
        rise = body.v_template[:, 1] + beta * body.shapedirs[:, 1, 0]
        return float(rise.max() - rise.min())

    assert height(1) - height(0) > 0.03  # m


def test_root_turn_and_translation_move_everything_rigidly(neutral: BodyModel) -> None:
    betas, rotvec, transl = _random_pose(2)
    rotations = matrix_from_rotvec(rotvec)
    turn = matrix_from_rotvec(torch.tensor([0.3, -1.1, 0.4]))
    turned = rotations.clone()
    turned[:, 0] = turn @ rotations[:, 0]
    before, after = neutral.pose(betas, rotations, transl), neutral.pose(betas, turned, transl + 2.0)
    for name in ("joints", "coco", "soles"):
        a = getattr(before, name) - before.joints[:, :1]
        b = getattr(after, name) - after.joints[:, :1]
        np.testing.assert_allclose(b, a @ turn.T, atol=1e-5)  # m
    np.testing.assert_allclose(after.joints[:, 0], before.joints[:, 0] + 2.0, atol=1e-5)  # m


def test_a_joint_moves_only_what_hangs_below_it(neutral: BodyModel) -> None:
    rotvec = torch.zeros(24, 3)
    rotvec[SMPL24.index("left_elbow")] = torch.tensor([0.0, -1.0, 0.0])
    rest = neutral.pose(torch.zeros(10), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    bent = neutral.pose(torch.zeros(10), matrix_from_rotvec(rotvec), torch.zeros(3))
    moved = (bent.coco - rest.coco).norm(dim=-1)
    assert moved[COCO17.index("left_wrist")] > 0.2  # m
    assert bent.coco[COCO17.index("left_wrist"), 2] > 0.15, "a bent left elbow brings the hand forward"
    others = [i for i, name in enumerate(COCO17.names) if name not in ("left_wrist", "left_elbow")]
    assert moved[others].max() < 1e-6  # m


def test_mirrored_pose_gives_mirrored_body(neutral: BodyModel) -> None:
    betas, rotvec, transl = _random_pose(3, seed=1)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    mirrored_rotvec = rotvec[:, list(SMPL24.flip)] * -mirror
    one = neutral.pose(betas, matrix_from_rotvec(rotvec), transl)
    other = neutral.pose(betas, matrix_from_rotvec(mirrored_rotvec), transl * mirror)
    np.testing.assert_allclose(other.coco[:, list(COCO17.flip)] * mirror, one.coco, atol=2e-3)  # m
    np.testing.assert_allclose(other.joints[:, list(SMPL24.flip)] * mirror, one.joints, atol=2e-3)  # m


def test_betas_broadcast_over_leading_dimensions(neutral: BodyModel) -> None:
    _, rotvec, transl = _random_pose(4)
    betas = torch.randn(2, 1, 10, generator=torch.Generator().manual_seed(3))
    rotations = matrix_from_rotvec(rotvec)
    both = neutral.pose(betas, rotations, transl)
    assert both.coco.shape == (2, 4, 17, 3)
    one = neutral.pose(betas[1, 0], rotations, transl)
    np.testing.assert_allclose(both.coco[1], one.coco, atol=1e-6)  # m


def test_moved_to_double(neutral: BodyModel) -> None:
    double = neutral.to("cpu", torch.float64)
    assert double.v_template.dtype == double.coco.point.dtype == torch.float64
    assert (double.name, double.digest) == (neutral.name, neutral.digest)


def test_missing_file_is_named() -> None:
    with pytest.raises(MissingAsset, match=r"no_such\.npz"):
        load_body(Path("no_such.npz"))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short", "no arrays", "other tree"])
def test_other_files_are_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "body.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        arrays = _arrays("neutral") if content == "other tree" else {"x": np.zeros(3)}
        if content == "other tree":
            arrays["kintree_table"] = np.zeros_like(arrays["kintree_table"])
        np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=r"body\.npz"):
        load_body(path)
