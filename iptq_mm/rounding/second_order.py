"""GPTQ: every rounding error is made up for by the weights yet to be rounded."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..registry import ROUNDINGS
from .base import Rounded
from .descent import in_order
from .quadratic import Quadratic, QuadraticRounding, as_plans_keep

#: Factors of the given scale between which others are tried.
WIDEST, NARROWEST = 1.2, 0.5
#: Weights treated together, each scale counted: 32 MB a matrix.
_WEIGHTS = 2**22


@ROUNDINGS.register_module('second_order')
class SecondOrderRounding(QuadraticRounding):
    """Rounds column by column, compensates, and searches for the scale.

    Source: GPTQ, Frantar et al. 2022, arXiv 2210.17323, algorithm 1, which is
    optimal brain surgery with one order of the columns for all rows. Two things
    are added. Each row tries several scales and keeps the one with the least
    error. And as GPTQ decides about a weight once and for all, coordinate descent
    on the error follows, in turn with the best scale for the codes at hand.

    Args:
        damping: What is added to the diagonal of H for the compensation, as a
            fraction of its mean.
        activation_order: Whether columns go by falling diagonal of H, so that
            those with the largest inputs are compensated by most others; else
            in their own order.
        search: How many scales are tried beside the given one.
        sweeps: How many sweeps of coordinate descent there are at most.

    Raises:
        ValueError: If damping is not positive, or a number is negative.
    """

    def __init__(
        self,
        damping: float = 0.01,
        activation_order: bool = True,
        search: int = 16,
        sweeps: int = 4,
    ) -> None:
        if damping <= 0:
            raise ValueError(f'damping is positive, not {damping}')
        if search < 0 or sweeps < 0:
            raise ValueError(f'search={search} and sweeps={sweeps} are not negative')
        self.damping, self.activation_order = damping, activation_order
        self.search, self.sweeps = search, sweeps

    def solve(self, problem: Quadratic, scale: Tensor) -> Rounded:
        """See :meth:`QuadraticRounding.solve`."""
        order = torch.arange(len(problem.hessian))
        if self.activation_order:
            order = problem.hessian.diagonal().argsort(descending=True, stable=True)
        factor = factor_of(problem.hessian[order][:, order], self.damping)
        tried = torch.linspace(WIDEST, NARROWEST, self.search, dtype=torch.float64)
        factors = torch.cat([torch.ones(1, dtype=torch.float64), tried])
        rows = max(1, _WEIGHTS // (len(factors) * len(order)))
        best = [
            _best_of(
                problem.rows(part), torch.outer(factors, scale[part]), factor, order
            )
            for part in torch.arange(len(scale)).split(rows)
        ]
        solution = Rounded(*(torch.cat(parts) for parts in zip(*best, strict=True)))
        return problem.improve(solution, self.sweeps)


class Factor(NamedTuple):
    """``H + damping = V diag(cost) V^T``.

    Attributes:
        upper: V, upper triangular with ones on the diagonal.
        cost: What the square of a column's own error costs, when all later columns make
            up for it, shape (K,).
        damping: What was added to the diagonal.
    """

    upper: Tensor
    cost: Tensor
    damping: float


def factor_of(hessian: Tensor, damping: float) -> Factor:
    """The factor of a damped H, by one Cholesky decomposition.

    GPTQ takes rows of a factor U of the inverse. ``V = U^-1``, and instead of the
    column's own error, the whole error of a decided column moves the later ones: see
    :func:`compensate`.

    Args:
        hessian: H, shape (K, K).
        damping: As a fraction of the mean of its diagonal.

    Raises:
        ValueError: If H cannot be decomposed for want of damping.
    """
    diagonal = hessian.diagonal()
    if not diagonal.any():  # no input is ever there
        return Factor(torch.eye(len(hessian), dtype=hessian.dtype), diagonal, 0.0)
    added = float(damping * diagonal.mean())
    damped = hessian.flip(0, 1)
    damped.diagonal().add_(added)
    try:
        upper = torch.linalg.cholesky(damped).flip(0, 1)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f'the moments of the inputs cannot be inverted with damping={damping}: '
            'try a larger one'
        ) from error
    own = upper.diagonal().clone()
    return Factor(upper / own, own.square(), added)


def compensate(
    problem: Quadratic, scales: Tensor, factor: Factor, order: Tensor
) -> tuple[Tensor, Tensor]:
    """Round column by column at several scales; what is to come makes up for errors.

    With the real column w_k, the errors ``e_j = w_j - s q_j`` of the columns before and
    ``H + damping = V diag(cost) V^T``, the best value of column k is ``w_k + sum_j
    V_jk e_j``. With its own error r_k, the difference to the code that it gets, e is
    ``V^-T r``, and so the damped error is ``sum_k cost_k r_k**2``.

    Args:
        problem: The weight.
        scales: Shape (candidates, rows).
        factor: Of the columns in this order.
        order: Indices of the columns.

    Returns:
        Codes, shape (K, candidates, rows), in this order; and the errors without
        damping, shape (candidates, rows).
    """
    weight = problem.weight.t()[order]
    factors = None if problem.factors is None else problem.factors.t()[order]
    values = weight.repeat(1, len(scales))
    codes = torch.empty(len(weight), *scales.shape, dtype=weight.dtype)

    def error(j: int, value: Tensor, move: Tensor) -> None:
        steps = scales if factors is None else scales * factors[j]
        code = torch.div(value.view_as(scales), steps, out=codes[j])
        code.round_().clamp_(-problem.qmax, problem.qmax)
        torch.addcmul(weight[j], code, steps, value=-1, out=move.view_as(scales))

    errors = in_order(values, -factor.upper, error)
    # What was wanted less what was taken.
    own = values.add_(errors).view_as(codes).sub_(weight[:, None])
    total = factor.cost @ own.flatten(1).square_()
    total -= factor.damping * errors.square_().sum(0)
    return codes, total.view_as(scales)


def _best_of(
    problem: Quadratic, scales: Tensor, factor: Factor, order: Tensor
) -> Rounded:
    """Each row at its best scale; ``scales`` has the shape (candidates, rows)."""
    scales = as_plans_keep(scales)
    codes, errors = compensate(problem, scales, factor, order)
    best, rows = errors.argmin(0), torch.arange(scales.shape[1])
    return Rounded(codes[:, best, rows][order.argsort()].t(), scales[best, rows])
