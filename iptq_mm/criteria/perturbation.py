"""The squared perturbation of the output."""

from __future__ import annotations

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


@CRITERIA.register_module('perturbation')
class Perturbation(Criterion):
    """The P of IPTQ-ViT's unified metric alone: the least absolute error."""

    def score(self, errors: CandidateErrors) -> float:
        """Minus ``||x - q||^2`` of an image."""
        return -errors.perturbation
