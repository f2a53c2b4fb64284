"""Rounding to the nearest integer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath.qparams import storage_dtype
from ..moments import Moments
from ..registry import ROUNDINGS
from .base import Rounded, Rounding, check


@ROUNDINGS.register_module('nearest')
class NearestRounding(Rounding):
    """Nearest integer, halves to even, saturated; looks at no inputs."""

    @torch.no_grad()
    def __call__(
        self,
        weight: Tensor,
        scale: Tensor,
        bits: int,
        inputs: Moments | None = None,
        centred: bool = False,
    ) -> Rounded:
        """See :meth:`Rounding.__call__`; the scale stays."""
        check(weight, scale, bits, most=16)
        qmax = 2 ** (bits - 1) - 1
        # In float64, as QParams.quantize: a float32 quotient may round across
        # a half.
        scale = scale.double()
        columns = scale.reshape(-1, *[1] * (weight.ndim - 1))
        codes = (weight.double() / columns).round_().clamp_(-qmax, qmax)
        return Rounded(codes.to(storage_dtype(-qmax, qmax)), scale)
