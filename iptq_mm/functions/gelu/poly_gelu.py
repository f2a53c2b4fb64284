"""Poly-GELU of IPTQ-ViT."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fit_range import fit_range
from ..fixed_point import check_input, ints
from .erf import (
    SQRT2,
    from_vertex,
    magnitude_of,
    output,
    prepare_output,
    prepare_vertex,
)

#: The pair (a, b) of the paper.
PUBLISHED = (-0.019913, -2.698088)

_OBJECTIVES = ('erf', 'gelu')
_FITS = ('density', 'range')
# Points of the range unless told otherwise. With many, their number does not matter.
_POINTS = 1000
# The best b of every distribution of samples lies well inside.
_B_RANGE = (-4.0, -1.5)
_BINS, _BIN_WIDTH = 1024, 4.0 / 1024
_LEAST_BINS = 8
_LEVELS, _CANDIDATES = 4, 33


def fit_pair(
    x: Tensor, weights: Tensor | None = None, objective: str = 'erf'
) -> tuple[float, float] | None:
    """The least-squares (a, b) of ``a*(min(u, -b) + b)**4 + 1``, u = |x|/sqrt(2).

    For a given b the best a is a quotient of sums; b is searched on a grid that
    is refined around the best value. The samples are binned by u first, so that
    the time does not depend on their number.

    Args:
        x: Real samples, shape (n,).
        weights: Their weights, shape (n,); 1 each if None.
        objective: ``'erf'``: the error is ``erf - L``, as in the paper;
            ``'gelu'``: it is that of GELU, which weights samples with x squared.

    Returns:
        (a, b), or None if the samples do not determine them: too few, all 0, or all
        beyond the range where the two curves differ.
    """
    u = x.detach().double().flatten().abs() / SQRT2
    w = torch.ones_like(u) if weights is None else weights.double().flatten()
    bins = (u / _BIN_WIDTH).long().clamp_max_(_BINS)
    weight = torch.bincount(bins, w, _BINS + 1)[:_BINS]
    kept = weight > 0
    if int(kept.sum()) < _LEAST_BINS:
        return None
    centre = torch.bincount(bins, w * u, _BINS + 1)[:_BINS][kept] / weight[kept]
    weight = weight[kept] * (centre * centre if objective == 'gelu' else 1.0)
    target = torch.erf(centre) - 1

    low, high = _B_RANGE
    a, b = torch.zeros(1), torch.zeros(1)
    for _ in range(_LEVELS):
        b = torch.linspace(low, high, _CANDIDATES, dtype=torch.float64)
        h = (torch.minimum(centre, -b[:, None]) + b[:, None]) ** 4
        square = (h * h) @ weight
        a = (h @ (weight * target)) / square.clamp_min(1e-30)
        error = ((target - a[:, None] * h) ** 2) @ weight
        best = int(error.argmin())
        step = (high - low) / (_CANDIDATES - 1)
        low = max(_B_RANGE[0], float(b[best]) - step)
        high = min(_B_RANGE[1], float(b[best]) + step)
    pair = float(a[best]), float(b[best])
    # L(0) = 1 + a*b**4 is about 0 and b inside, unless there are too few samples.
    sound = 0.75 < -pair[0] * pair[1] ** 4 < 1.25 and pair[1] not in _B_RANGE
    return pair if sound else None


def range_points(samples: Tensor, weights: Tensor | None, points: int) -> Tensor:
    """Evenly spaced points from the least to the largest sample that has a weight.

    Args:
        samples: Real samples, shape (n,).
        weights: Their weights, shape (n,); 1 each if None.
        points: How many points.

    Returns:
        Float64, shape (points,); shape (0,) if there is no sample.
    """
    x = samples.detach().double().flatten()
    if weights is not None:
        x = x[weights.flatten() > 0]
    if not x.numel():
        return x
    low, high = (float(v) for v in x.aminmax())
    return torch.linspace(low, high, points, dtype=torch.float64)


@FUNCTIONS.register_module('poly_gelu')
class PolyGELU(GELUFunction):
    """GELU with a fourth-order polynomial for the error function.

    ``L(u) = sgn(u) * (a*(min(|u|, -b) + b)**4 + 1)``, u = x/sqrt(2), with (a, b)
    fitted to the site's samples.

    Source: IPTQ-ViT (arXiv 2511.15369), data-aware Poly-GELU; the integer
    arithmetic is this project's.

    Args:
        objective: ``'erf'``, the paper's, or ``'gelu'``, which fits with less than
            half the error at the same cost.
        fit: What (a, b) is fitted to. ``'density'``: the samples of the site, each as
            often as it occurred. ``'range'``, the paper's: points evenly spaced between
            the least and the largest of them. True is ``'density'``. False: to nothing,
            it is the published pair; so it is where there are no samples, or where they
            do not determine a pair.
        points: Number of points of ``'range'``, at least 16; None: 1000. The published
            pair is that of about 24 points of ``x/sqrt(2)`` between -3 and 3.

    Raises:
        ValueError: If an option has another value, or ``points`` comes with another
            ``fit``.
    """

    def __init__(
        self,
        objective: str = 'erf',
        fit: str | bool = 'density',
        points: int | None = None,
    ) -> None:
        if objective not in _OBJECTIVES:
            raise ValueError(f'objective is one of {_OBJECTIVES}, not {objective!r}')
        if not isinstance(fit, bool) and fit not in _FITS:
            raise ValueError(f'fit is one of {_FITS}, True or False, not {fit!r}')
        if points is not None and fit != 'range':
            raise ValueError(f"points={points} are those of fit='range', not {fit!r}")
        if points is not None and not (isinstance(points, int) and points >= 16):
            raise ValueError(f'points is an integer of 16 or more, not {points!r}')
        self.objective = objective
        self.fit = 'density' if fit is True else fit
        self.points = points or _POINTS

    def pair(self, site: FunctionSite) -> tuple[float, float]:
        """The pair (a, b) for a site."""
        samples, weights = site.samples, site.weights
        if not self.fit or samples is None:
            return PUBLISHED
        if self.fit == 'range':
            samples, weights = range_points(samples, weights, self.points), None
        return fit_pair(samples, weights, self.objective) or PUBLISHED

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits.
            OverflowError: If the output scale is far too small for the input.
        """
        check_input(self, site)
        a, b = self.pair(site)
        constants = prepare_vertex(site, -b * SQRT2)
        (vertex,) = ints(constants, 'vertex')
        # 15 bits of the square, so that its square fits 32 bits again.
        shift = max(0, (vertex * vertex).bit_length() - 15)
        one = max(1, round((vertex * vertex / 2.0**shift) ** 2 / (-a * b**4)))
        return {
            **constants,
            'square_shift': shift,
            'one': one,
            **prepare_output(site, one),
            **(fit_range(site) if (a, b) != PUBLISHED else {}),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        shift, one = ints(constants, 'square_shift', 'one')
        q, magnitude = magnitude_of(q)
        erf = from_vertex(magnitude, constants)
        erf *= erf
        erf >>= shift
        erf *= erf
        erf.neg_()
        erf += one
        return output(q, magnitude, erf, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=6, mul=3, shift=2)
