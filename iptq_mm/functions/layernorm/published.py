"""The last step of I-BERT's and I-ViT's published LayerNorm.

Beta is divided by gamma and added first. Gamma is part of the output's scale, of which
there is one per channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...intmath import Dyadic, dyadic, requantize
from ..base import Constants, FunctionSite
from ..fixed_point import tensor
from .statistics import gamma_and_beta

# The published code divides by gamma as it is. Here it is kept this far from 0,
# relative to the largest one.
_LEAST_GAMMA = 2.0**-20
_BIAS_BITS = 31


def prepare_published(site: FunctionSite) -> Constants:
    """Constants of :func:`published_output`."""
    gamma, beta = gamma_and_beta(site)
    least = max(float(gamma.abs().max()) * _LEAST_GAMMA, 1e-30)
    gamma = torch.where(gamma.abs() < least, least, gamma)
    scale = math.sqrt(gamma.numel()) / 2.0**30
    bias = torch.floor(beta / gamma / scale)
    bound = 2.0**_BIAS_BITS - 1
    factor = dyadic(gamma * (scale / site.out.scale), input_bits=34)
    assert isinstance(factor.multiplier, Tensor) and isinstance(factor.shift, Tensor)
    return {
        'bias': bias.clamp_(-bound, bound).long(),
        'out_multiplier': factor.multiplier,
        'out_shift': factor.shift,
    }


def published_output(
    y: Tensor, std: Tensor, dividend: int, constants: Constants
) -> Tensor:
    """``floor(y * floor(dividend/std) / 2) + bias``, requantized; int64.

    Args:
        y: Centred values, int64, shape (..., C).
        std: Root of their sum of squares, int64, shape (..., 1).
        dividend: ``2**31`` (I-BERT) or ``2**31 - 1`` (I-ViT).
        constants: From :func:`prepare_published`.
    """
    z = (y * (dividend // std.clamp_min(1))) >> 1
    # A std that is too small (no epsilon, too few iterations) makes huge quotients.
    z.clamp_(-(2**31), 2**31)
    z += tensor(constants, 'bias')
    return requantize(
        z, Dyadic(tensor(constants, 'out_multiplier'), tensor(constants, 'out_shift'))
    )
