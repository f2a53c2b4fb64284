"""The signal-to-quantization-noise ratio of the output."""

from __future__ import annotations

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


@CRITERIA.register_module('sqnr')
class SQNR(Criterion):
    """The least relative error, whatever it costs."""

    def score(self, errors: CandidateErrors) -> float:
        """SQNR of the output in dB of power."""
        return errors.sqnr_db
