"""GPTQ: every rounding error is made up for by the weights yet to be rounded."""

from __future__ import annotations

import torch
from torch import Tensor

from ..registry import ROUNDINGS
from .base import Rounded
from .quadratic import Quadratic, QuadraticRounding, as_plans_keep, in_order

#: Factors of the given scale between which others are tried.
WIDEST, NARROWEST = 1.2, 0.5
# Rows treated together: a block of their columns stays in the cache.
_ROWS = 2048


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
        factor = inverse_factor(problem.hessian[order][:, order], self.damping)
        tried = torch.linspace(WIDEST, NARROWEST, self.search, dtype=torch.float64)
        factors = torch.cat([torch.ones(1, dtype=torch.float64), tried])
        best = [
            _best_of(
                problem.rows(rows), torch.outer(factors, scale[rows]), factor, order
            )
            for rows in torch.arange(len(scale)).split(max(1, _ROWS // len(factors)))
        ]
        solution = Rounded(*(torch.cat(parts) for parts in zip(*best, strict=True)))
        return problem.improve(solution, self.sweeps)


def inverse_factor(hessian: Tensor, damping: float) -> Tensor:
    """U of ``inverse(H + damping) = U^T D U``, upper triangular with ones.

    Its row j is how much the later columns move when column j is off by one.

    Raises:
        ValueError: If H cannot be inverted for want of damping.
    """
    diagonal = hessian.diagonal()
    if not diagonal.any():  # no input is ever there
        return torch.eye(len(hessian), dtype=hessian.dtype)
    damped = hessian + torch.diag((damping * diagonal.mean()).expand_as(diagonal))
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        upper = torch.linalg.cholesky(inverse, upper=True)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f'the moments of the inputs cannot be inverted with damping={damping}: '
            'try a larger one'
        ) from error
    return upper / upper.diagonal()[:, None]


def compensate(
    problem: Quadratic, scale: Tensor, factor: Tensor, order: Tensor
) -> Rounded:
    """Round column by column; what is to come makes up for each error.

    Args:
        problem: The weight.
        scale: Shape (rows,).
        factor: Of the columns in this order, see :func:`inverse_factor`.
        order: Indices of the columns.
    """
    remaining = problem.weight.t()[order]
    codes = torch.empty_like(remaining)
    steps = problem.steps(scale).t().expand_as(remaining)[order]

    def error(j: int, w: Tensor) -> Tensor:
        codes[j] = problem.round(w / steps[j])
        return w - codes[j] * steps[j]

    in_order(remaining, factor, error)
    return Rounded(codes[order.argsort()].t(), scale)


def _best_of(
    problem: Quadratic, scales: Tensor, factor: Tensor, order: Tensor
) -> Rounded:
    """Each row at its best scale; ``scales`` has the shape (candidates, rows)."""
    candidates, rows = scales.shape
    index = torch.arange(rows)
    # All candidates at once, as rows of one larger problem.
    every = problem.rows(index.repeat(candidates))
    tried = compensate(every, as_plans_keep(scales.flatten()), factor, order)
    best = every.error(tried).view(candidates, rows).argmin(0) * rows + index
    return Rounded(tried.codes[best], tried.scale[best])
