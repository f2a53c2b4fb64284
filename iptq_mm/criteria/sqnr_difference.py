"""The SQNR difference of Mixed Non-linear Quantization."""

from __future__ import annotations

from ..registry import CRITERIA
from .base import Criterion
from .errors import CandidateErrors


@CRITERIA.register_module('sqnr_difference')
class SQNRDifference(Criterion):
    """How much of the input's SQNR is left at the output.

    "Mixed Non-linear Quantization for Vision Transformers" defines the
    difference ``beta - gamma`` of the ASQNR of output and input, and chooses
    the *lowest*. The output is normally the worse of the two, so that the
    lowest difference is the function that destroys most; the figures of the
    paper praise the best preservation. The input's is taken before a function
    narrows it, so that what narrowing loses counts against the function; it is
    the same for all candidates of a site, of which ``degradation`` therefore
    takes the one of the best ASQNR. Hence three readings, each minimized:

    - ``degradation``: ``gamma - beta``, what must have been meant;
    - ``literal``: ``beta - gamma``, what is written;
    - ``absolute``: ``|beta - gamma|``.

    Args:
        reading: One of the three.

    Raises:
        ValueError: If it is none of the three.
    """

    def __init__(self, reading: str = 'degradation') -> None:
        if reading not in ('degradation', 'literal', 'absolute'):
            raise ValueError(
                f"reading is 'degradation', 'literal' or 'absolute', not {reading!r}"
            )
        self.reading = reading

    def score(self, errors: CandidateErrors) -> float:
        """Minus the reading of the difference (in the units of ASQNR)."""
        difference = errors.asqnr - errors.input_asqnr
        if self.reading == 'degradation':
            return difference
        return -difference if self.reading == 'literal' else -abs(difference)
