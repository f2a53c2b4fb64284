"""LayerNorm of I-ViT."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, LayerNormFunction, OperationCount
from ..fixed_point import check_input
from .published import prepare_published, published_output
from .rows import normalize, prepare_normalize
from .statistics import exact_statistics, moments, rounded_mean

_NEWTON_STEPS, _NEWTON_SEED = 10, 1 << 16


@FUNCTIONS.register_module('ivit_layernorm')
class IViTLayerNorm(LayerNormFunction):
    """LayerNorm with an integer square root and an exact mean.

    Source: I-ViT (arXiv 2207.01405), I-LayerNorm. The published square root,
    10 Newton steps from ``2**16``, is wrong for sums of squares below 31652, as
    8-bit inputs have them. The sound form computes the exact root, works on
    ``C*q - sum(q)`` instead of on differences to a rounded mean, and adds
    epsilon.

    Args:
        literal: The arithmetic of the published code: the mean rounded at the scale
            of the input, 10 Newton steps, no epsilon, beta divided by gamma.
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
        if self.literal:
            return prepare_published(site)
        return prepare_normalize(site, exact_statistics(site))

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            y = q.long() - rounded_mean(q)
            std = self._newton((y * y).sum(-1, keepdim=True))
            return published_output(y, std, (1 << 31) - 1, constants)
        total, v = moments(q)
        y = q.to(torch.int32) * q.shape[-1]
        y -= total.to(torch.int32)
        return normalize(y, v, constants)

    @staticmethod
    def _newton(v: Tensor) -> Tensor:
        k = torch.full_like(v, _NEWTON_SEED)
        for _ in range(_NEWTON_STEPS):
            k = (k + v // k.clamp_min(1)) >> 1
        return k

    def operations(self, row: int) -> OperationCount:
        """See the base class; with the published 10 Newton steps a row."""
        return OperationCount(add=4 + 10 / row, mul=2, shift=1 + 10 / row, div=12 / row)
