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
    paper praise the best preservation. Hence three readings, each minimized:

    - ``degradation``: ``gamma - beta``, what must have been meant;
    - ``literal``: ``beta - gamma``, what is written;
    - ``absolute``: ``|beta - gamma|``.

    In the paper, both come from whole models, each quantized with the functions of one
    method (``analysis='whole-model'`` of the quantization config). With
    ``analysis='site'``, every candidate of a site gets the same float input, quantized:
    gamma is the same for all, and ``degradation`` takes the one of the best output.
    Either way, the input's SQNR is taken before a function narrows it, so that what
    narrowing loses counts against the function.

    Args:
        reading: One of the three.
        measure: Of what the difference is taken: ``asqnr``, literally that of the paper
            (see :attr:`~iptq_mm.criteria.errors.CandidateErrors.asqnr`), or ``sqnr``,
            ``10 log10`` of the power of all signals over that of all errors.

    Raises:
        ValueError: If an option is none of these.
    """

    def __init__(self, reading: str = 'degradation', measure: str = 'asqnr') -> None:
        if reading not in ('degradation', 'literal', 'absolute'):
            raise ValueError(
                f"reading is 'degradation', 'literal' or 'absolute', not {reading!r}"
            )
        if measure not in ('asqnr', 'sqnr'):
            raise ValueError(f"measure is 'asqnr' or 'sqnr', not {measure!r}")
        self.reading, self.measure = reading, measure

    def score(self, errors: CandidateErrors) -> float:
        """Minus the reading of the difference (in the units of the measure)."""
        if self.measure == 'asqnr':
            difference = errors.asqnr - errors.input_asqnr
        else:
            difference = errors.sqnr_db - errors.input_sqnr_db
        if self.reading == 'degradation':
            return difference
        return -difference if self.reading == 'literal' else -abs(difference)
