"""The unified metric of IPTQ-ViT."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..registry import CRITERIA
from .base import Criterion, checked_unit
from .errors import CandidateErrors

#: Terms of the metric: quality, perturbation, cost.
TERMS = ('q', 'p', 'c')


@CRITERIA.register_module('unified_metric')
class UnifiedMetric(Criterion):
    """``Omega = 3 / (1/N(Q) + N(P) + N(C))`` with ``N(x) = ln(1 + e^x)``.

    IPTQ-ViT (arXiv 2511.15369): Q is the SQNR of the output in dB, P the
    squared perturbation ``||x - q||^2`` and C the number of operations. The
    paper does not say over what P and C are taken, and it matters: with a
    *mean* P the cheapest function wins unless Q is negative, and with *total*
    operations C decides alone. Only the defaults leave all terms alive.

    ``1/N(Q)`` is below 0.2 from 5 dB up, and grows as ``10^(-Q/2.3)`` below
    0 dB: there it vetoes. It is capped at ``veto`` (reached at -13.8 dB), so
    that Omega neither divides by zero nor loses the other two terms, which
    then rank the candidates that are all that bad.

    The terms may have weights, which make Omega the weighted harmonic mean
    ``(w_q + w_p + w_c) / (w_q/N(Q) + w_p N(P) + w_c N(C))``. Only their ratios count.

    Args:
        p_reduction: ``sum`` over the elements of an image (mean over images),
            or ``mean`` over all elements.
        c_unit: The cost of an ``element``, or in ``total`` of an image.
        veto: Largest ``1/N(Q)``.
        weights: Weights of the terms ``q``, ``p`` and ``c``; 1 where none is given.
        cost: What C counts: ``operations`` or ``nanoseconds``, see
            :class:`~iptq_mm.criteria.cost.Cost`.

    Raises:
        ValueError: If an option is none of these, a weight is negative or not finite,
            or all weights are 0.
    """

    def __init__(
        self,
        p_reduction: str = 'sum',
        c_unit: str = 'element',
        veto: float = 1e6,
        weights: Mapping[str, float] | None = None,
        cost: str = 'operations',
    ) -> None:
        if p_reduction not in ('sum', 'mean'):
            raise ValueError(f"p_reduction is 'sum' or 'mean', not {p_reduction!r}")
        if c_unit not in ('element', 'total'):
            raise ValueError(f"c_unit is 'element' or 'total', not {c_unit!r}")
        if not veto > 0:
            raise ValueError(f'veto is positive, not {veto}')
        self.p_reduction, self.c_unit, self.veto = p_reduction, c_unit, veto
        self.weights = _checked(weights or {})
        self.cost_unit = checked_unit(cost)

    def score(self, errors: CandidateErrors) -> float:
        """Omega."""
        in_sum, in_total = self.p_reduction == 'sum', self.c_unit == 'total'
        p = errors.perturbation if in_sum else errors.mean_perturbation
        unit = self.cost_unit
        c = errors.total_cost_in(unit) if in_total else errors.cost_in(unit)
        quality = softplus(errors.sqnr_db)
        penalty = self.veto if quality * self.veto <= 1 else 1 / quality
        terms = {'q': penalty, 'p': softplus(p), 'c': softplus(c)}
        # A term of weight 0 does not count, not even if it is infinite or NaN.
        counted = [self.weights[n] * x for n, x in terms.items() if self.weights[n]]
        # Not sum(): since Python 3.12 it rounds otherwise.
        total = 0.0
        for term in counted:
            total += term
        return sum(self.weights.values()) / total


def _checked(given: Mapping[str, float]) -> dict[str, float]:
    """The weights of all three terms."""
    weights = dict.fromkeys(TERMS, 1.0)
    for name, weight in given.items():
        if name not in weights:
            raise ValueError(f'weights has no term {name!r}; there are {[*TERMS]}')
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight < math.inf:
            raise ValueError(f'weights: {name} is 0 or more and finite, not {weight!r}')
        weights[name] = float(weight)
    if not any(weights.values()):
        raise ValueError('weights: one of the terms needs a weight above 0')
    return weights


def softplus(x: float) -> float:
    """``ln(1 + e^x)``, without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
