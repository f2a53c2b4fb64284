"""The unified metric of IPTQ-ViT."""

from __future__ import annotations

import math

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


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

    Args:
        p_reduction: ``sum`` over the elements of an image (mean over images),
            or ``mean`` over all elements.
        c_unit: Operations for an ``element``, or in ``total`` for an image.
        veto: Largest ``1/N(Q)``.

    Raises:
        ValueError: If an option is none of these.
    """

    def __init__(
        self, p_reduction: str = 'sum', c_unit: str = 'element', veto: float = 1e6
    ) -> None:
        if p_reduction not in ('sum', 'mean'):
            raise ValueError(f"p_reduction is 'sum' or 'mean', not {p_reduction!r}")
        if c_unit not in ('element', 'total'):
            raise ValueError(f"c_unit is 'element' or 'total', not {c_unit!r}")
        if not veto > 0:
            raise ValueError(f'veto is positive, not {veto}')
        self.p_reduction, self.c_unit, self.veto = p_reduction, c_unit, veto

    def score(self, errors: CandidateErrors) -> float:
        """Omega."""
        in_sum, in_total = self.p_reduction == 'sum', self.c_unit == 'total'
        p = errors.perturbation if in_sum else errors.mean_perturbation
        c = errors.total_cost if in_total else errors.cost
        quality = softplus(errors.sqnr_db)
        penalty = self.veto if quality * self.veto <= 1 else 1 / quality
        return 3 / (penalty + softplus(p) + softplus(c))


def softplus(x: float) -> float:
    """``ln(1 + e^x)``, without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
