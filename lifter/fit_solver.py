"""Levenberg-Marquardt for the body fit: every frame's pose at once, windows independent of each other.

Terms reach over at most three frames, so the normal matrix is block-banded; it is factored block by block, in time
linear in the frames. The shape, which all frames share, is eliminated last (Schur complement).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mocap_video.lifter.body import BodyModel, Posed
from mocap_video.lifter.fit_energy import Term
from mocap_video.lifter.fit_features import TURNS, Pose, features, pose_jacobian, shape_jacobian
from mocap_video.skeletons import Skeleton

_FIRST_DAMPING, _LESS, _MORE = 1e-3, 0.2, 10.0
_ENOUGH = 1e-4
"""A step that lowers the cost by a smaller part than this is the last."""


@dataclass(frozen=True)
class Normal:
    """Normal equations: ``bands[d] (B,L-d,P,P)`` couple frame t with frame t + d; ``slope (B,L,P)``."""

    bands: tuple[Tensor, ...]
    slope: Tensor


def normal_equations(terms: Sequence[Term], stack: Tensor, jacobian: Tensor) -> Normal:
    """Return the normal equations of ``terms`` at features ``stack (B,L,N,3)``.

    ``jacobian (B,L,N',3,P)`` of the features before the turns.
    """
    windows, frames, size = stack.shape[0], stack.shape[1], jacobian.shape[-1]
    reach = max(1 if term.taps is None else term.taps.shape[2] for term in terms)
    bands = tuple(stack.new_zeros(windows, max(frames - d, 0), size, size) for d in range(reach))
    slope = stack.new_zeros(windows, frames, size)
    for term in terms:
        residual = term.residual(stack)
        weight = term.weight(residual)
        taps = stack.new_ones(*residual.shape[:2], 1) if term.taps is None else term.taps
        pull = _gathered([weight * residual * taps[..., i : i + 1] for i in range(taps.shape[2])], frames)
        rows = slope.new_zeros(0) if term.direct else term.rows(jacobian)
        if term.direct:
            slope[..., TURNS] += pull
        else:
            slope += (rows.mT @ pull[..., None])[..., 0]
        for d in range(taps.shape[2]):
            pairs = (taps[..., : taps.shape[2] - d] * taps[..., d:])[:, :, None].unbind(-1)
            coupled = _gathered([weight * pair for pair in pairs], frames - d)
            if term.direct:
                bands[d].diagonal(dim1=-2, dim2=-1)[..., TURNS].add_(coupled)
            else:
                bands[d].add_((rows[:, : frames - d] * coupled[..., None]).mT @ rows[:, d:])
    return Normal(bands, slope)


def _gathered(parts: Sequence[Tensor], frames: int) -> Tensor:
    """Return the sum ``(B,frames,m)`` of ``parts``, each ``(B,L',m)``, the i-th of them i frames later."""
    whole = parts[0].new_zeros(parts[0].shape[0], frames, parts[0].shape[2])
    for i, part in enumerate(parts):
        whole[:, i : i + part.shape[1]] += part
    return whole


def solve_banded(normal: Normal, damping: Tensor) -> Tensor:
    """Return the step ``(B,L,P)`` that solves ``(H + damping diag(H)) x = -slope``; ``damping (B)``.

    Frames are taken in groups as large as the reach of the bands, which makes the matrix block-tridiagonal.
    """
    windows, frames, size = normal.slope.shape
    group = max(1, len(normal.bands) - 1)
    count = -(-frames // group)
    diagonal, upper, right = _grouped(normal, damping, group, count)
    factors: list[Tensor] = []
    carried: list[Tensor] = []
    for g in range(count):
        block, target = diagonal[:, g], -right[:, g]
        if g > 0:
            above = torch.linalg.solve_triangular(factors[-1], upper[:, g - 1], upper=False)
            block = block - above.mT @ above
            target = target - (above.mT @ carried[-1][..., None])[..., 0]
            upper[:, g - 1] = above
        factors.append(torch.linalg.cholesky(block))
        carried.append(torch.linalg.solve_triangular(factors[-1], target[..., None], upper=False)[..., 0])
    solution = [carried[-1]] * count
    for g in reversed(range(count)):
        target = carried[g] if g == count - 1 else carried[g] - (upper[:, g] @ solution[g + 1][..., None])[..., 0]
        solution[g] = torch.linalg.solve_triangular(factors[g].mT, target[..., None], upper=True)[..., 0]
    return torch.stack(solution, 1).reshape(windows, count * group, size)[:, :frames]


def _grouped(normal: Normal, damping: Tensor, group: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gather bands into ``diagonal (B,G,gP,gP)``, ``upper (B,G-1,gP,gP)``, ``right (B,G,gP)``; padding is identity."""
    windows, frames, size = normal.slope.shape
    grid = normal.slope.new_zeros(windows, count, group, size, 2, group, size)
    for distance, band in enumerate(normal.bands):
        for t in range(group):
            rows = band[:, t::group]
            if rows.shape[1]:
                grid[:, : rows.shape[1], t, :, (t + distance) // group, (t + distance) % group] += rows
                if distance and t + distance < group:
                    grid[:, : rows.shape[1], t + distance, :, 0, t] += rows.mT
    grid = grid.reshape(windows, count, group * size, 2, group * size)
    diagonal, upper = grid[..., 0, :].clone(), grid[:, :-1, :, 1].clone()
    along = diagonal.diagonal(dim1=-2, dim2=-1)
    along *= 1 + damping[:, None, None]
    along += (along == 0).to(along)
    right = normal.slope.new_zeros(windows, count * group, size)
    right[:, :frames] = normal.slope
    return diagonal, upper, right.reshape(windows, count, group * size)


def minimize(
    body: BodyModel, betas: Tensor, pose: Pose, terms: Sequence[Term], skeleton: Skeleton, iterations: int
) -> Pose:
    """Return the pose that minimises ``terms`` for fixed ``betas (B,1,10)``.

    Every window has its own damping and its own end, so what it is solved beside makes no difference.
    """
    stack, posed = features(body, betas, pose, skeleton)
    cost = _cost(terms, stack)
    damping = torch.full_like(cost, _FIRST_DAMPING)
    done = torch.zeros_like(cost, dtype=torch.bool)
    normal = None
    for _ in range(iterations):
        if normal is None:
            normal = normal_equations(terms, stack, pose_jacobian(body, betas, pose, posed, skeleton))
        tried = pose.moved(solve_banded(normal, damping))
        tried_stack, tried_posed = features(body, betas, tried, skeleton)
        tried_cost = _cost(terms, tried_stack)
        better = (tried_cost < cost) & ~done
        done |= (cost - tried_cost).abs() < _ENOUGH * cost
        damping = damping * torch.where(better, _LESS, _MORE)
        if better.any():
            pose, cost = tried.where(better, pose), torch.where(better, tried_cost, cost)
            stack, posed = (tried_stack, tried_posed) if better.all() else features(body, betas, pose, skeleton)
            normal = None
        if done.all():
            break
    return pose


def minimize_with_shape(
    body: BodyModel,
    betas: Tensor,
    pose: Pose,
    terms: Sequence[Term],
    skeleton: Skeleton,
    shape_cost: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]],
    iterations: int,
) -> tuple[Tensor, Pose]:
    """Return the ``betas (10)`` and poses that minimise ``terms`` of single frames and ``shape_cost`` together.

    ``shape_cost(betas)`` returns its value, slope ``(10)`` and curvature ``(10,10)``.
    """

    def evaluate(betas: Tensor, pose: Pose) -> tuple[Tensor, Tensor, Posed]:
        stack, posed = features(body, betas, pose, skeleton)
        return _cost(terms, stack).sum() + shape_cost(betas)[0], stack, posed

    cost, stack, posed = evaluate(betas, pose)
    damping = _FIRST_DAMPING
    for _ in range(iterations):
        jacobian = torch.cat(
            [pose_jacobian(body, betas, pose, posed, skeleton), shape_jacobian(body, pose, skeleton)], -1
        )
        step, shape_step = _shared_step(normal_equations(terms, stack, jacobian), shape_cost(betas), damping)
        tried_betas, tried = betas + shape_step, pose.moved(step)
        tried_cost, tried_stack, tried_posed = evaluate(tried_betas, tried)
        if tried_cost >= cost:
            damping *= _MORE
            continue
        done = bool(cost - tried_cost < _ENOUGH * cost)
        betas, pose, cost, stack, posed = tried_betas, tried, tried_cost, tried_stack, tried_posed
        damping *= _LESS
        if done:
            break
    return betas, pose


def _cost(terms: Sequence[Term], stack: Tensor) -> Tensor:
    return torch.stack([term.cost(term.residual(stack)) for term in terms]).sum(0)


def _shared_step(normal: Normal, shape: tuple[Tensor, Tensor, Tensor], damping: float) -> tuple[Tensor, Tensor]:
    """Return the steps of the poses ``(B,L,P)`` and of the betas ``(10)``, frames coupled through the betas alone."""
    whole, slope = normal.bands[0], normal.slope
    size = whole.shape[-1] - 10
    _, shape_slope, curvature = shape
    own, cross = whole[..., :size, :size], whole[..., :size, size:]
    own = own + torch.diag_embed(damping * own.diagonal(dim1=-2, dim2=-1))
    factor = torch.linalg.cholesky(own)
    solved = torch.cholesky_solve(torch.cat([cross, slope[..., :size, None]], -1), factor)
    shared = (whole[..., size:, size:] - cross.mT @ solved[..., :10]).sum((0, 1)) + curvature
    right = (slope[..., size:] - (cross.mT @ solved[..., 10:])[..., 0]).sum((0, 1)) + shape_slope
    shape_step = -torch.linalg.solve(shared + damping * torch.diag(shared.diagonal()), right)
    return -(solved[..., 10] + (solved[..., :10] @ shape_step)), shape_step
