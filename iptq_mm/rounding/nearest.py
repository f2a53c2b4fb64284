"""Rounding to the nearest integer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath.qparams import storage_dtype
from ..intmath.weight_codes import most_code
from ..moments import Moments
from ..registry import ROUNDINGS
from .base import Rounded, Rounding, check
from .groups import choose_factors


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
        group: int = 0,
    ) -> Rounded:
        """See :meth:`Rounding.__call__`; without groups, the scale stays."""
        check(weight, scale, bits, group, most=16)
        qmax = most_code(bits)
        if group:
            rows = weight.double().flatten(1)
            alike = torch.ones(rows.shape[1], dtype=rows.dtype, device=rows.device)
            scale, factors = choose_factors(rows, alike, bits, group)
            codes = (rows / (scale[:, None] * factors)).round_().clamp_(-qmax, qmax)
            return Rounded((codes * factors).to(torch.int8).view(weight.shape), scale)
        # In float64, as QParams.quantize: a float32 quotient may round across
        # a half.
        scale = scale.to(weight.device, torch.float64)
        columns = scale.reshape(-1, *[1] * (weight.ndim - 1))
        codes = (weight.double() / columns).round_().clamp_(-qmax, qmax)
        return Rounded(codes.to(storage_dtype(-qmax, qmax)), scale)
