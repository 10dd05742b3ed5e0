"""Rotations: exact near zero and near half turns, inverse of each other, differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mocap_video.lifter.rotations import (
    matrix_from_rotvec,
    matrix_from_six,
    right_jacobian,
    rotvec_from_matrix,
    six_from_matrix,
    skew,
)

_directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)
_angles = st.one_of(
    st.floats(0, np.pi),
    st.floats(0, 1e-6),
    st.floats(np.pi - 1e-6, np.pi),
    st.sampled_from([0.0, np.pi, np.pi / 2]),
)


def _rotvec(direction: tuple[float, ...], angle: float) -> torch.Tensor:
    axis = np.array(direction) / np.linalg.norm(direction)
    return torch.as_tensor(axis * angle)


@settings(deadline=None, max_examples=150)
@given(_directions, _angles)
def test_matrix_is_that_of_scipy_and_comes_back(direction: tuple[float, ...], angle: float) -> None:
    rotvec = _rotvec(direction, angle)
    matrix = matrix_from_rotvec(rotvec)
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(rotvec.numpy()).as_matrix(), atol=1e-12)
    back = rotvec_from_matrix(matrix)
    assert float(back.norm()) <= np.pi + 1e-12  # rad
    np.testing.assert_allclose(matrix_from_rotvec(back), matrix, atol=1e-9)
    if angle < np.pi - 1e-5:  # a half turn has two rotation vectors
        np.testing.assert_allclose(back, rotvec, atol=1e-9)  # rad


@settings(deadline=None, max_examples=50)
@given(_directions, _angles)
def test_six_numbers_give_the_matrix_back_and_ignore_scale(direction: tuple[float, ...], angle: float) -> None:
    matrix = matrix_from_rotvec(_rotvec(direction, angle))
    np.testing.assert_allclose(matrix_from_six(3.0 * six_from_matrix(matrix)), matrix, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(_directions, st.one_of(st.floats(0, 3.0), st.floats(0, 2e-3)))
def test_right_jacobian_is_the_derivative(direction: tuple[float, ...], angle: float) -> None:
    rotvec, step = _rotvec(direction, angle), 1e-6
    turned = matrix_from_rotvec(rotvec)
    numeric = [
        rotvec_from_matrix(turned.T @ matrix_from_rotvec(rotvec + step * unit)) / step
        for unit in torch.eye(3, dtype=torch.float64)
    ]
    np.testing.assert_allclose(right_jacobian(rotvec), torch.stack(numeric, -1), atol=1e-5)


def test_skew_is_the_cross_product() -> None:
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-2.0, 0.5, 4.0])
    np.testing.assert_allclose(skew(a) @ b, torch.linalg.cross(a, b), atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, np.pi])
def test_gradients_are_finite(angle: float) -> None:
    rotvec = _rotvec((1.0, -2.0, 0.5), angle).requires_grad_(True)
    matrix_from_rotvec(rotvec).sum().backward()
    assert rotvec.grad is not None
    assert torch.isfinite(rotvec.grad).all()


def test_leading_dimensions_are_kept() -> None:
    rotvec = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    assert rotvec_from_matrix(matrix_from_rotvec(rotvec)).shape == rotvec.shape
    assert six_from_matrix(matrix_from_rotvec(rotvec)).shape == (2, 5, 4, 6)
