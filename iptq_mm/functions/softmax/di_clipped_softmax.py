"""DI-ClippedSoftmax of I-LLM."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...intmath import QParams, requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponential import chord_exp
from ..exponents import SHIFT_LOG2E, differences, prepare_exponent, to_exponent_
from ..fixed_point import dyadic_of, ints, prepare_dyadic
from .rows import prepare_quotient, quotient

#: Scores that lie so far below the largest are hidden by a mask.
_HIDDEN = 32.0


@FUNCTIONS.register_module('di_clipped_softmax')
class DIClippedSoftmax(SoftmaxFunction):
    """Softmax of scores that are clipped below the largest, and have 8 bits there.

    Source: I-LLM (arXiv 2405.17849), DI-ClippedSoftmax and DI-Exp. Scores that lie by
    ``clip`` or more below the largest of their row are all alike, and the rest is
    quantized anew: so 8 bits serve, however far the scores of a row reach. The
    exponential is I-ViT's ShiftExp, as in the paper. Scales are calibrated here and not
    found at run time. A score that a mask hides has the probability 0, and not that of
    a clipped one; so has any that lies by 32 or more below the largest.

    Args:
        clip: Distance from the largest score, the paper's 15.
        bits: Of the clipped scores.
    """

    def __init__(self, clip: float = 15.0, bits: int = 8) -> None:
        if not 0 < clip <= 20:
            raise ValueError(f'clip is a number above 0 and of at most 20, not {clip}')
        if not 4 <= bits <= 16:
            raise ValueError(f'bits are from 4 to 16, not {bits}')
        self.clip, self.levels = clip, 2**bits - 1

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        x = site.x
        levels = QParams(self.clip / self.levels, 0, self.levels)
        exponent = prepare_exponent(levels, SHIFT_LOG2E, 30)
        wide = prepare_exponent(x)['split_wide']  # refuses what spans too much
        most = min(x.qmax - x.qmin, math.ceil(self.clip / x.scale), 2**31 - 1)
        # Where one step is more than the clip, every difference is clipped.
        ratio = min(x.scale / levels.scale, float(self.levels))
        return {
            **exponent,
            'split_wide': wide,
            'clip_most': most,
            'clip_last': self.levels,
            'clip_hidden': min(math.ceil(_HIDDEN / x.scale), 2**32),  # above any
            **prepare_dyadic('clip', ratio),
            **prepare_quotient(site.out),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        wide, most, last, hidden = ints(
            constants, 'split_wide', 'clip_most', 'clip_last', 'clip_hidden'
        )
        d = differences(q, wide)
        seen = (-d.long() + hidden).clamp(0, 1)
        levels = requantize(d.clamp(max=most), dyadic_of(constants, 'clip'))
        levels = levels.clamp(max=last).to(torch.int32)
        e = chord_exp(to_exponent_(levels, constants))
        return quotient(e * seen, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; the published form's, without hidden scores."""
        return OperationCount(add=12 + 1 / row, mul=3, shift=6, div=1 + 1 / row)
