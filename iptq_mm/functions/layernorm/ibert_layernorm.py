"""LayerNorm of I-BERT."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...intmath import isqrt
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, LayerNormFunction, OperationCount
from ..fixed_point import ceil_log2, check_input, ints
from .published import prepare_published, published_output
from .rows import normalize, prepare_normalize
from .statistics import Statistics, gamma_and_beta, rounded_mean

# Bits of the inputs that I-BERT's code feeds to its LayerNorm.
_INPUT_BITS = 22


@FUNCTIONS.register_module('ibert_layernorm')
class IBERTLayerNorm(LayerNormFunction):
    """LayerNorm with an integer mean and an integer square root.

    Source: I-BERT (arXiv 2101.01321), section 3.6, Algorithm 4. I-BERT has inputs of 22
    bits and rounds their mean to an integer. The sound form shifts an input of fewer
    bits to 22 bits, which keeps the fraction of its mean, and sums squares in 64 bits,
    which needs no shift against overflow. It adds epsilon.

    Args:
        literal: The arithmetic of the published code: the mean rounded at the scale of
            the input, no epsilon, beta divided by gamma, and squares shifted
            so that 32 bits hold any sum (the code learns that shift).
    """

    def __init__(self, literal: bool = False) -> None:
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits, gamma is missing, or
                there are more channels than 64 bits serve.
            OverflowError: If the output scale is far too small.
        """
        check_input(self, site)
        size = gamma_and_beta(site)[0].numel()
        span = site.x.qmax - site.x.qmin
        if self.literal:
            shift = max(0, ceil_log2(math.sqrt(size) * span) - 16)
            return {'square_shift': shift, **prepare_published(site)}
        shift = _INPUT_BITS - span.bit_length()
        step = site.x.scale / 2.0**shift
        statistics = Statistics(
            # Popoviciu: the variance is at most a quarter of the span squared;
            # the rounded mean adds a quarter of a step.
            variance=size * ((span * 2.0**shift) ** 2 + 1) / 4,
            epsilon=size * site.eps / step / step,
            peak=1.0,
            gain=math.sqrt(size),
        )
        return {'input_shift': shift, **prepare_normalize(site, statistics)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            (shift,) = ints(constants, 'square_shift')
            y = q.long() - rounded_mean(q)
            shifted = y >> shift
            std = isqrt((shifted * shifted).sum(-1, keepdim=True)) << shift
            return published_output(y, std, 1 << 31, constants)
        (shift,) = ints(constants, 'input_shift')
        y = q.to(torch.int64) << shift
        y -= rounded_mean(y)
        return normalize(y, (y * y).sum(-1, keepdim=True), constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; with 4 Newton steps a row."""
        return OperationCount(add=4 + 4 / row, mul=2, shift=2 + 4 / row, div=6 / row)
