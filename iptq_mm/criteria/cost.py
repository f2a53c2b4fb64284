"""The number of operations."""

from __future__ import annotations

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


@CRITERIA.register_module('cost')
class Cost(Criterion):
    """The C of IPTQ-ViT's unified metric alone: the cheapest function."""

    def score(self, errors: CandidateErrors) -> float:
        """Minus the weighted operations for an element."""
        return -errors.cost
