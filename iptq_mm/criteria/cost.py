"""The cost of a function, in operations or in nanoseconds."""

from __future__ import annotations

from ..registry import CRITERIA
from .base import Criterion, checked_unit
from .errors import CandidateErrors


@CRITERIA.register_module('cost')
class Cost(Criterion):
    """The C of IPTQ-ViT's unified metric alone: the cheapest function.

    Args:
        cost: ``operations``, each kind times its weight in ``cost_weights`` of the
            quantization config; or ``nanoseconds``, the measured time of the native
            kernel.

    Raises:
        ValueError: If it is neither.
    """

    def __init__(self, cost: str = 'operations') -> None:
        self.cost_unit = checked_unit(cost)

    def score(self, errors: CandidateErrors) -> float:
        """Minus the cost of an element."""
        return -errors.cost_in(self.cost_unit)
