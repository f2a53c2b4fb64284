"""The interface of criteria: how the function of a site is chosen."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

from .errors import CandidateErrors

#: Weighted operations, or measured time of the native kernel.
COST_UNITS = ('operations', 'nanoseconds')


class Criterion(ABC):
    """A figure of merit for candidates; subclasses register in ``CRITERIA``.

    Attributes:
        needs_gradients: Whether it uses the effect of errors on the region's outputs:
            the analysis then runs a backward pass, too.
        draws: How often for a batch, see
            :class:`~iptq_mm.calibration.backward.Differentiating`.
        cost_unit: What costs are counted in, one of :data:`COST_UNITS`. The time of
            kernels is measured for criteria that count nanoseconds.
    """

    needs_gradients: ClassVar[bool] = False
    draws: int = 1
    cost_unit: str = 'operations'

    def check(self, candidates: Mapping[str, Collection[str]]) -> None:  # noqa: B027
        """Find out, before calibration, whether it can choose among these.

        Args:
            candidates: Their names, by kind.

        Raises:
            ValueError: If it cannot.
        """

    @abstractmethod
    def score(self, errors: CandidateErrors) -> float:
        """How good a candidate is: higher is better, NaN never wins."""

    def choose(self, kind: str, candidates: Mapping[str, CandidateErrors]) -> str:
        """Name of the best candidate of a site.

        Sums over batches differ in their last bits with the order of addition,
        so that scores within a billionth of each other are a tie: the cheaper
        candidate wins, then the first name in the alphabet.

        Args:
            kind: ``gelu``, ``softmax`` or ``layer_norm``.
            candidates: What is known of each candidate, by name.

        Returns:
            A key of ``candidates``.

        Raises:
            ValueError: If there is no candidate, or none has a score.
        """
        if not candidates:
            raise ValueError(f'a {kind} without candidates has nothing to choose from')
        scores = {name: self.score(errors) for name, errors in candidates.items()}
        valid = {n: s for n, s in scores.items() if not math.isnan(s)}
        if not valid:
            raise ValueError(
                f'no candidate of a {kind} has a score ({", ".join(sorted(scores))}): '
                'did analysis see any image, without NaN'
                + (', and measure times?' if self.cost_unit == 'nanoseconds' else '?')
            )
        best = max(valid.values())
        tied = [n for n, s in valid.items() if math.isclose(s, best, rel_tol=1e-9)]
        unit = self.cost_unit
        return min(tied, key=lambda name: (candidates[name].cost_in(unit), name))


def checked_unit(cost: str) -> str:
    """A unit of costs, if it is one.

    Raises:
        ValueError: If it is none of :data:`COST_UNITS`.
    """
    if cost not in COST_UNITS:
        raise ValueError(f'cost is {" or ".join(map(repr, COST_UNITS))}, not {cost!r}')
    return cost
