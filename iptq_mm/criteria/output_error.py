"""The error that a candidate causes at the region's outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from ..registry import CRITERIA
from .base import Criterion, checked_unit
from .errors import CandidateErrors

_KINDS = ('larger', 'systematic', 'uncorrelated')
#: So many standard deviations of a difference are taken to be chance.
_CHANCE = 2.0


@CRITERIA.register_module('output_error')
class OutputError(Criterion):
    """The least relative squared error of the region's outputs, to first order.

    What an error ``e`` at a site does to the outputs is ``J e``. The analysis
    estimates its square from gradients ``g = J^T v``:

    - ``systematic``: the mean of ``(g . e)^2``, which is ``||J e||^2`` in the
      mean over ``v``. Errors that add up or cancel do so here, too; but few
      draws of ``v`` make it noisy, most of all downwards;
    - ``uncorrelated``: the mean of ``g^2 . e^2``, the same if errors of
      different elements had nothing to do with each other. Hardly noisy, but
      it misses what a bias does, and so does any squared error at the site;
    - ``larger``: of these two. Roundings, which are in every candidate, do not
      cancel, so that less than ``uncorrelated`` is mostly luck.

    Among candidates that are as good as the best, the cheapest wins. With ``larger``, a
    candidate whose ``uncorrelated`` error is small enough is as good, too, unless its
    ``systematic`` error is larger than chance explains: over ``n`` draws, that has a
    relative standard deviation of ``sqrt(2 / n)`` at least. With 32 images, a costlier
    LayerNorm seemed better at a fifth of the sites of DeiT-Tiny, with 256 at none.

    Args:
        kind: One of the three.
        tolerance: A candidate is as good as the best if its error is larger by
            at most this share (a quarter is 1 dB, which few draws do not tell).
        floor_db: ... or if it leaves an SQNR of at least so many dB at the
            outputs, too. None: no such floor.
        draws: Passes backward for a batch.
        cost: What makes a candidate the cheapest: ``operations`` or ``nanoseconds``,
            see :class:`~iptq_mm.criteria.cost.Cost`.

    Raises:
        ValueError: If an option is none of these.
    """

    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        kind: str = 'larger',
        tolerance: float = 0.25,
        floor_db: float | None = None,
        draws: int = 1,
        cost: str = 'operations',
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f'kind is one of {", ".join(_KINDS)}, not {kind!r}')
        if not tolerance >= 0:
            raise ValueError(f'tolerance is not negative, not {tolerance}')
        if draws < 1:
            raise ValueError(f'draws is at least 1, not {draws}')
        self.kind, self.tolerance, self.draws = kind, tolerance, draws
        self.cost_unit = checked_unit(cost)
        self.floor = 0.0 if floor_db is None else 10 ** (-floor_db / 10)

    def error(self, errors: CandidateErrors) -> float:
        """Relative squared error of the outputs; NaN without gradients."""
        systematic = errors.relative_output_error
        uncorrelated = errors.relative_weighted_error
        if self.kind == 'larger':
            return max(systematic, uncorrelated)
        return systematic if self.kind == 'systematic' else uncorrelated

    def score(self, errors: CandidateErrors) -> float:
        """Minus the relative squared error of the outputs."""
        return -self.error(errors)

    def choose(self, kind: str, candidates: Mapping[str, CandidateErrors]) -> str:
        """The cheapest of those that are as good as the best.

        Raises:
            ValueError: See the base class; also if the record was made without
                gradients.
        """
        best = candidates[super().choose(kind, candidates)]
        enough = [n for n, errors in candidates.items() if self._as_good(errors, best)]
        unit = self.cost_unit
        return min(enough, key=lambda name: (candidates[name].cost_in(unit), name))

    def _as_good(self, errors: CandidateErrors, best: CandidateErrors) -> bool:
        """Whether a candidate is as good as the best, as far as can be told."""
        more = 1 + self.tolerance
        if _at_most(self.error(errors), max(self.error(best) * more, self.floor)):
            return True
        if self.kind != 'larger' or not best.draws:
            return False
        luck = 1 + _CHANCE * math.sqrt(2) * math.sqrt(2 / best.draws)
        return _at_most(
            errors.relative_weighted_error, best.relative_weighted_error * more
        ) and _at_most(errors.relative_output_error, self.error(best) * luck)


def _at_most(value: float, limit: float) -> bool:
    return value <= limit or math.isclose(value, limit)
