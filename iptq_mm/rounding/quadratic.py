"""The squared error that a rounded weight makes in a layer's output.

For inputs x with the moments H, ``E[((w - s q)^T x)^2] = (w - s q)^T H (w - s q)``
for each row w of the weight: a quadratic form over integers q. Rows do not
depend on one another and are treated together.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..intmath.weight_codes import most_code
from ..moments import Moments
from .base import Rounded, Rounding, check
from .descent import coordinate_descent
from .groups import choose_factors


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

    @cached_property
    def weighted(self) -> Tensor:
        """``H w`` of each row, shape (rows, K)."""
        return self.weight @ self.hessian

    def rows(self, index: Tensor) -> Quadratic:
        """The problem of some rows, in the order of ``index``."""
        factors = None if self.factors is None else self.factors[index]
        made = Quadratic(self.weight[index], self.hessian, self.qmax, factors)
        if 'weighted' in vars(self):
            vars(made)['weighted'] = self.weighted[index]
        return made

    def product(self, codes: Tensor) -> Tensor:
        """``H q`` of each row, factors included, shape (rows, K)."""
        return self._integers(codes) @ self.hessian

    def _integers(self, codes: Tensor) -> Tensor:
        return codes if self.factors is None else codes * self.factors

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
        """One sweep of :func:`~.descent.coordinate_descent`: no error grows."""
        return self._descend(solution, self.product(solution.codes))[0]

    def rescale(self, solution: Rounded) -> Rounded:
        """The best scale for given codes, ``s = w^T H q / q^T H q``."""
        return self._rescale(solution, self.product(solution.codes))[0]

    def improve(self, solution: Rounded, sweeps: int) -> Rounded:
        """Sweeps of :meth:`descend` and :meth:`rescale`, while something changes.

        Rows do not depend on one another: those that are finished are left out, and
        ``H q`` is computed for the rows whose codes changed.
        """
        codes, scale = solution.codes.clone(), solution.scale.clone()
        index, product = torch.arange(len(codes)), None
        for _ in range(sweeps):
            now = Rounded(codes[index], scale[index])
            part = self if len(index) == len(codes) else self.rows(index)
            product = part.product(now.codes) if product is None else product
            now, moved = part._descend(now, product)
            if moved.any():
                changed = moved.nonzero().flatten()
                product[changed] = part.rows(changed).product(now.codes[changed])
            now, rescaled = part._rescale(now, product)
            codes[index], scale[index] = now
            going = moved | rescaled
            index, product = index[going], product[going]
            if not len(index):
                break
        return Rounded(codes, scale)

    def _descend(self, solution: Rounded, product: Tensor) -> tuple[Rounded, Tensor]:
        """See :meth:`descend`; and which rows have a smaller error now.

        Args:
            solution: Codes and scales.
            product: Their :meth:`product`.
        """
        codes, scale = solution
        gradient = self.weighted - product * scale[:, None]
        found, change = coordinate_descent(
            codes, self.steps(scale), gradient, self.hessian, self.qmax
        )
        wins = change < 0
        return Rounded(torch.where(wins[:, None], found, codes), scale), wins

    def _rescale(self, solution: Rounded, product: Tensor) -> tuple[Rounded, Tensor]:
        """See :meth:`rescale`; and which rows have a smaller error now."""
        codes, scale = solution
        best = _dot(product, self.weight) / _dot(product, self._integers(codes))
        found = as_plans_keep(best)
        usable = best.isfinite() & (found > 0)  # not where all codes are 0
        # The error is a parabola of the scale.
        wins = usable & ((found - best).abs() < (scale - best).abs())
        return Rounded(codes, torch.where(wins, found, scale)), wins


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


def as_plans_keep(scale: Tensor) -> Tensor:
    """``scale`` rounded to float32, so that a saved scale is the used one."""
    return scale.float().double()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b)
