"""What the body fit's solver rests on: derivatives against finite differences, banded solve against a dense one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mocap_video.lifter.body import load_body
from mocap_video.lifter.fit_features import POSE_SIZE, TURNS, Pose, features, layout, pose_jacobian, shape_jacobian
from mocap_video.lifter.fit_solver import Normal, solve_banded
from mocap_video.lifter.pose_prior import pose_prior
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.skeletons import COCO17, SMPL24, Skeleton

DOUBLE = torch.float64


def _random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("skeleton", [COCO17, SMPL24], ids=lambda s: s.name)
def test_jacobians_are_the_derivatives(skeleton: Skeleton) -> None:
    body = load_body("neutral").to("cpu", DOUBLE)
    pose = Pose(
        matrix_from_rotvec(_random(1, 2, 3, seed=0)), 0.6 * _random(1, 2, 23, 3, seed=1), _random(1, 2, 3, seed=2)
    )
    betas = _random(10, seed=3)
    stack, posed = features(body, betas, pose, skeleton)
    jacobian = pose_jacobian(body, betas, pose, posed, skeleton)
    at = layout(skeleton)
    points = slice(at.turns.start)
    step = 1e-6
    for column in range(POSE_SIZE):
        move = torch.zeros(1, 2, POSE_SIZE, dtype=DOUBLE)
        move[..., column] = step
        ahead, behind = (features(body, betas, pose.moved(sign * move), skeleton)[0] for sign in (1, -1))
        change = ((ahead - behind) / (2 * step)).flatten(0, 1)
        np.testing.assert_allclose(jacobian[..., column].flatten(0, 1), change[:, points], atol=1e-6)
        turned = np.zeros(POSE_SIZE)
        turned[column] = 1.0
        for frame in change[:, at.turns]:
            np.testing.assert_allclose(frame.flatten(), turned[TURNS], atol=1e-9)
    changed = features(body, betas + 0.5, pose, skeleton)[0] - stack
    by_shape = shape_jacobian(body, pose, skeleton).sum(-1) * 0.5
    np.testing.assert_allclose(by_shape, changed[..., points, :], atol=1e-9)
    assert at.turns.stop == stack.shape[-2]
    np.testing.assert_array_equal(stack[..., at.joints, :], posed.joints)


@pytest.mark.parametrize(("frames", "reach"), [(1, 1), (5, 1), (6, 2), (6, 3), (7, 3), (1, 3)])
def test_banded_solve_equals_the_dense_one(frames: int, reach: int) -> None:
    size, windows = 4, 2
    dense = torch.zeros(windows, frames * size, frames * size, dtype=DOUBLE)
    bands = []
    for distance in range(reach):
        band = 0.3 * _random(windows, max(frames - distance, 0), size, size, seed=distance)
        if distance == 0:
            band = band @ band.mT + 5 * torch.eye(size, dtype=DOUBLE)
        bands.append(band)
        for t in range(frames - distance):
            rows, columns = slice(t * size, (t + 1) * size), slice((t + distance) * size, (t + distance + 1) * size)
            dense[:, rows, columns] = band[:, t]
            dense[:, columns, rows] = band[:, t].mT
    slope, damping = _random(windows, frames, size, seed=9), torch.tensor([0.0, 0.5], dtype=DOUBLE)
    dense = dense + torch.diag_embed(damping[:, None] * dense.diagonal(dim1=1, dim2=2))
    expected = -torch.linalg.solve(dense, slope.flatten(1)[..., None])[..., 0].unflatten(1, (frames, size))
    np.testing.assert_allclose(solve_banded(Normal(tuple(bands), slope), damping), expected, atol=1e-10)


def test_prior_of_the_right_side_mirrors_the_left() -> None:
    prior = pose_prior(torch.zeros(1, dtype=DOUBLE))
    flip, mirror = [joint - 1 for joint in SMPL24.flip[1:]], torch.tensor([1.0, -1.0, -1.0], dtype=DOUBLE)
    np.testing.assert_array_equal(prior.mean[flip] * mirror, prior.mean)
    np.testing.assert_array_equal(torch.minimum(prior.low[flip] * mirror, prior.high[flip] * mirror), prior.low)
    assert (prior.low < prior.high).all()
    knee, elbow = SMPL24.index("left_knee") - 1, SMPL24.index("left_elbow") - 1
    assert prior.low[knee, 0] > -0.1, "a knee does not bend forwards"
    assert prior.high[elbow, 1] < 0.1, "a left elbow bends about -Y alone"
