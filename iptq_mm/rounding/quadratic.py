"""The squared error that a rounded weight makes in a layer's output.

For inputs x with the moments H, ``E[((w - s q)^T x)^2] = (w - s q)^T H (w - s q)``
for each row w of the weight: a quadratic form over integers q. Rows do not
depend on one another and are treated together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..intmath.weight_codes import most_code
from ..moments import Moments
from .base import Rounded, Rounding, check
from .groups import choose_factors

# Columns between two large updates: a product that runs at full speed, on a
# block that stays in the cache.
_BLOCK = 64


@dataclass(frozen=True)
class Quadratic:
    """The rounding problem of one layer, float64 on the CPU.

    The solutions that its methods take and return are Rounded: codes (float64
    here), shape (rows, K), and scales, shape (rows,).

    Attributes:
        weight: Shape (rows, K).
        hessian: H, symmetric, positive semidefinite, shape (K, K).
        qmax: Largest magnitude of a code.
        factors: Whole factors of the scale by weight, see :mod:`.groups`, shape
            (rows, K); None: all are 1.
    """

    weight: Tensor
    hessian: Tensor
    qmax: int
    factors: Tensor | None = None

    def rows(self, index: Tensor) -> Quadratic:
        """The problem of some rows, in the order of ``index``."""
        factors = None if self.factors is None else self.factors[index]
        return Quadratic(self.weight[index], self.hessian, self.qmax, factors)

    def steps(self, scale: Tensor) -> Tensor:
        """What a code counts, shape (rows, K) or (rows, 1)."""
        return scale[:, None] if self.factors is None else scale[:, None] * self.factors

    def round(self, values: Tensor) -> Tensor:
        """Nearest codes, saturated, of real numbers in steps."""
        return values.round().clamp_(-self.qmax, self.qmax)

    def nearest(self, scale: Tensor) -> Rounded:
        """Every weight to its nearest code."""
        return Rounded(self.round(self.weight / self.steps(scale)), scale)

    def error(self, solution: Rounded) -> Tensor:
        """``(w - s q)^T H (w - s q)``, shape (rows,)."""
        difference = self.weight - solution.codes * self.steps(solution.scale)
        return _dot(difference @ self.hessian, difference)

    def better(self, solution: Rounded, other: Rounded) -> Rounded:
        """By row, ``other`` where its error is smaller, or ``solution``."""
        wins = self.error(other) < self.error(solution)
        return Rounded(
            torch.where(wins[:, None], other.codes, solution.codes),
            torch.where(wins, other.scale, solution.scale),
        )

    def best_values(self, solution: Rounded) -> Tensor:
        """The best real value of each code, given all others.

        With g = H (w - s q) that is ``q_j + g_j / (s H_jj)``, or ``w_j / s`` for
        an input that is never there.
        """
        curvature = self.hessian.diagonal()
        columns = self.steps(solution.scale)
        gradient = (self.weight - solution.codes * columns) @ self.hessian
        return torch.where(
            curvature > 0,
            solution.codes + gradient / (columns * curvature),
            self.weight / columns,
        )

    def descend(self, solution: Rounded) -> Rounded:
        """One sweep of coordinate descent: no error grows.

        Column by column, each code becomes the best one given all others: the
        integer nearest to its :meth:`best_values`, as the error is a parabola.
        """
        codes = solution.codes.t().clone()
        steps = self.steps(solution.scale).t().expand_as(codes)
        gradient = self.hessian @ (self.weight.t() - codes * steps)
        curvature = self.hessian.diagonal()

        def step(j: int, g: Tensor) -> Tensor:
            if curvature[j] <= 0:  # an input that is never there
                return torch.zeros_like(g)
            old = codes[j].clone()
            codes[j] = self.round(old + g / (steps[j] * curvature[j]))
            return (codes[j] - old) * steps[j]

        in_order(gradient, self.hessian, step)
        return Rounded(codes.t(), solution.scale)

    def rescale(self, solution: Rounded) -> Rounded:
        """The best scale for given codes, ``s = w^T H q / q^T H q``."""
        codes = (
            solution.codes if self.factors is None else solution.codes * self.factors
        )
        weighted = codes @ self.hessian
        scale = _dot(weighted, self.weight) / _dot(weighted, codes)
        usable = scale.isfinite() & (scale > 0)  # not where all codes are 0
        return Rounded(
            solution.codes, torch.where(usable, as_plans_keep(scale), solution.scale)
        )

    def improve(self, solution: Rounded, sweeps: int) -> Rounded:
        """Sweeps of :meth:`descend` and :meth:`rescale`, while something changes."""
        for _ in range(sweeps):
            before = solution
            solution = self.better(solution, self.descend(solution))
            solution = self.better(solution, self.rescale(solution))
            if all(map(torch.equal, before, solution)):
                break
        return solution


class QuadraticRounding(Rounding):
    """A rounding that looks for a small quadratic error; subclasses solve.

    By row, the result is never worse than the nearest integers at the given
    scale.
    """

    needs_inputs: ClassVar[bool] = True

    @abstractmethod
    def solve(self, problem: Quadratic, scale: Tensor) -> Rounded:
        """Codes and scales.

        Args:
            problem: The weight and what its errors cost.
            scale: The given scales, float64, shape (rows,).
        """

    @torch.no_grad()
    def __call__(
        self,
        weight: Tensor,
        scale: Tensor,
        bits: int,
        inputs: Moments | None = None,
        centred: bool = False,
        group: int = 0,
    ) -> Rounded:
        """See :meth:`Rounding.__call__`."""
        check(weight, scale, bits, group)
        if inputs is None:
            raise ValueError(
                f'{type(self).__name__} needs the moments of the inputs of the layer: '
                "calibrate with images, or use the rounding 'nearest'"
            )
        rows = weight.flatten(1).double().cpu()
        if rows.shape[1] != inputs.features:
            raise ValueError(
                f'a weight of shape {tuple(weight.shape)} has {rows.shape[1]} inputs, '
                f'the moments are of {inputs.features}'
            )
        hessian = inputs.covariance if centred else inputs.second_moment
        scale, factors = scale.double().cpu(), None
        if group:
            scale, factors = choose_factors(rows, hessian.diagonal(), bits, group)
        problem = Quadratic(rows, hessian, most_code(bits), factors)
        solution = problem.better(problem.nearest(scale), self.solve(problem, scale))
        integers = solution.codes if factors is None else solution.codes * factors
        codes = integers.to(torch.int8).reshape(weight.shape)
        return Rounded(codes.to(weight.device), solution.scale.to(weight.device))


def in_order(
    values: Tensor, matrix: Tensor, decide: Callable[[int, Tensor], Tensor]
) -> None:
    """Decide about column after column, each moving those that follow.

    ``values[k] -= matrix[j, k] * decide(j, values[j])`` for all k > j. Updates
    within a block are made at once, those beyond it as one product.

    Args:
        values: By column, shape (K, rows); changed.
        matrix: Shape (K, K), used above the diagonal.
        decide: Takes a column's index and its values now, shape (rows,), and
            returns by how much to move, shape (rows,).
    """
    for start in range(0, len(values), _BLOCK):
        stop = min(start + _BLOCK, len(values))
        moves = torch.empty_like(values[start:stop])
        for j in range(start, stop):
            move = moves[j - start] = decide(j, values[j])
            values[j + 1 : stop].addr_(matrix[j, j + 1 : stop], move, alpha=-1)
        values[stop:].addmm_(matrix[start:stop, stop:].t(), moves, alpha=-1)


def as_plans_keep(scale: Tensor) -> Tensor:
    """``scale`` rounded to float32, so that a saved scale is the used one."""
    return scale.float().double()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b)
