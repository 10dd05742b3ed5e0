"""The term that keeps who stands in balance: whose it is, how much it holds, and where it pulls."""

from __future__ import annotations

import pytest
import torch

from mocap_video.lifter.body import BodyModel, Posed, load_body
from mocap_video.lifter.fit import stature
from mocap_video.lifter.fit_energy import MASS, FitConfig, Term, Windows, balance_term, contacts
from mocap_video.lifter.fit_features import Pose, features, layout
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, SMPL24

DOUBLE = torch.float64
STEP_S = 1 / 30
FRAMES = 4


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("neutral").to("cpu", DOUBLE)


def _standing(body: BodyModel, *, lean_rad: float = 0.0, speed_mps: float = 0.0) -> tuple[torch.Tensor, Posed]:
    """Return features and posed body, 1 window of ``FRAMES``, that stands straight but for a turn about its ankles."""
    pelvis_above_ankle = float(body.rest_joints[0, 1] - body.rest_joints[SMPL24.index("left_ankle"), 1])
    floor = float(body.pose(torch.zeros(10, dtype=DOUBLE), torch.eye(3, dtype=DOUBLE).expand(24, 3, 3),
                            torch.zeros(3, dtype=DOUBLE)).soles[:, 1].min())  # fmt: skip
    rotvec = torch.zeros(1, FRAMES, 24, 3, dtype=DOUBLE)
    rotvec[..., 0, 0] = lean_rad  # about +X, which takes +Y towards +Z, where the body faces
    for ankle in ("left_ankle", "right_ankle"):
        rotvec[..., SMPL24.index(ankle), 0] = -lean_rad
    turn = torch.tensor(lean_rad, dtype=DOUBLE)
    transl = torch.zeros(1, FRAMES, 3, dtype=DOUBLE)
    transl[..., 1] = pelvis_above_ankle * (turn.cos() - 1) - floor
    transl[..., 2] = pelvis_above_ankle * turn.sin() + speed_mps * STEP_S * torch.arange(FRAMES)
    pose = Pose(matrix_from_rotvec(rotvec[..., 0, :]), rotvec[..., 1:, :], transl)
    return features(body, torch.zeros(10, dtype=DOUBLE), pose, COCO17)


def _term(body: BodyModel, posed: Posed, contact: torch.Tensor | None = None) -> Term:
    ones = torch.ones(1, FRAMES, dtype=DOUBLE)
    nothing = torch.zeros(1, FRAMES, 17, dtype=DOUBLE)
    seen = Windows(
        posed.coco, nothing + 0.05, torch.stack([nothing, nothing], -1), nothing, ones[:, 1:] * STEP_S, ones,
        torch.eye(3, dtype=DOUBLE), torch.zeros(3, dtype=DOUBLE),
    )  # fmt: skip
    if contact is None:
        contact = contacts(posed.soles, seen, FitConfig())
    height = stature(body, torch.zeros(1, 10, dtype=DOUBLE))
    return balance_term(contact, posed.joints, height, seen, layout(COCO17), FitConfig())


def test_shares_of_mass_are_those_of_a_body(body: BodyModel) -> None:
    assert float(MASS.sum()) == pytest.approx(1)
    _, posed = _standing(body)
    height = float((MASS.to(DOUBLE)[:, None] * posed.joints[0, 0]).sum(0)[1])
    assert 0.52 < height / float(stature(body, torch.zeros(10, dtype=DOUBLE))) < 0.6  # arms out: above the usual 0.55


def test_who_stands_in_balance_is_left_alone_and_who_leans_is_pulled_back(body: BodyModel) -> None:
    straight, posed = _standing(body, lean_rad=0.09)  # of the T-pose: a body held straight falls on its back
    term = _term(body, posed)
    assert term.confidence.min() > 0.9
    assert term.residual(straight).abs().max() < 0.02
    leaning, posed = _standing(body, lean_rad=0.19)
    term = _term(body, posed)
    ahead_m = term.residual(leaning)[..., 1].mean() - term.residual(straight)[..., 1].mean()
    assert 0.07 < ahead_m < 0.11  # a tenth of the height of the centre of mass above the ankles
    assert (term.cost(term.residual(leaning)) > term.cost(term.residual(straight))).all()


def test_who_moves_may_be_off_balance(body: BodyModel) -> None:
    _, still = _standing(body)
    _, moving = _standing(body, speed_mps=1.0)
    config = FitConfig()
    contact = torch.ones(1, FRAMES, 6, dtype=DOUBLE)
    sd_m = [float(_term(body, posed, contact).precision.mean() ** -0.5) for posed in (still, moving)]
    assert sd_m == pytest.approx([config.balance_sd_m, config.balance_sd_m + config.balance_s], rel=1e-6)


def test_who_is_in_the_air_or_seated_needs_no_feet_below(body: BodyModel) -> None:
    _, posed = _standing(body)
    assert _term(body, posed, torch.zeros(1, FRAMES, 6, dtype=DOUBLE)).confidence.max() == 0
    sunk = Posed(**{**vars(posed), "joints": posed.joints - torch.tensor([0.0, 0.3, 0.0], dtype=DOUBLE)})
    assert _term(body, sunk).confidence.max() < 0.01
