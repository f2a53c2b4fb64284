"""Rounding to the nearest integer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..registry import ROUNDINGS
from .base import Rounding, check


@ROUNDINGS.register_module('nearest')
class NearestRounding(Rounding):
    """Nearest integer, halves to even, saturated; looks at no inputs."""

    @torch.no_grad()
    def __call__(
        self, weight: Tensor, scale: Tensor, bits: int, inputs: Any = None
    ) -> Tensor:
        """See :meth:`Rounding.__call__`."""
        check(weight, scale, bits)
        qmax = 2 ** (bits - 1) - 1
        # In float64, as QParams.quantize: a float32 quotient may round across
        # a half.
        columns = scale.double().reshape(-1, *[1] * (weight.ndim - 1))
        return (weight.double() / columns).round_().clamp_(-qmax, qmax).to(torch.int8)
