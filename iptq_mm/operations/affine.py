"""Linear layers and convolutions: int8 products and one requantization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..intmath import dyadic
from ..intmath.product import integer_conv2d, integer_linear
from .base import (
    ACTIVATION,
    BIAS,
    TRANSPOSED,
    WEIGHT,
    Constants,
    Operation,
    SiteInputs,
    check_int32,
)


class _Affine(Operation):
    """``requantize(x * weight) + bias``, the bias inside the rounding."""

    roles = (ACTIVATION, WEIGHT, BIAS)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class.

        The accumulator of channel c has the scale ``S_x * S_w[c]``. The bias is
        added to the 64-bit product, at ``2**-shift`` of an output step, where
        it is as fine as can be and a channel without weights needs no care.
        """
        x, weight = site.qparams[0], site.qparams[1]
        integers = site.payloads[1]
        assert integers is not None
        magnitudes = integers.abs().flatten(1).sum(1, dtype=torch.int64)
        accumulator = int(magnitudes.max()) * x.bound
        check_int32(accumulator, 'the accumulator')
        ratio = weight.scale.to(torch.float64) * x.scale / site.out.scale
        bias = site.real(2)
        if bias is None:
            bias = torch.zeros_like(ratio)
        # Beyond 2**30 output steps a bias is saturation, whatever is added.
        bias = (bias.cpu() / site.out.scale).clamp(-(2.0**30), 2.0**30)
        largest = int(bias.abs().max()).bit_length()
        multiplier, shift = dyadic(ratio.cpu(), 32, max_shift=61 - largest)
        assert isinstance(shift, Tensor)
        offset = (bias * torch.pow(2.0, shift.double())).round().long()
        half = torch.ones_like(shift) << (shift - 1)
        # The value at the middle of the codes brings an asymmetric 8-bit input
        # into int8, for the CPU's and GPU's instructions.
        fits = x.qmin >= -128 and x.qmax <= 127
        middle = x.qmin + 128 if x.qmax - x.qmin <= 255 and not fits else 0
        return {
            'bound': accumulator,
            'middle': middle,
            'multiplier': multiplier,
            'shift': shift,
            'offset': offset + half,
        }


class Linear(_Affine):
    """``F.linear`` on the last dimension."""

    kind = 'linear'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return F.linear(*inputs)

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        accumulator = integer_linear(
            inputs[0], inputs[1], constants['bound'], constants['middle']
        )
        wide = accumulator.long() * constants['multiplier']
        return wide.add_(constants['offset']) >> constants['shift']


class Conv2d(_Affine):
    """``F.conv2d``."""

    kind = 'conv2d'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return F.conv2d(*inputs, **attributes)

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        x, weight = inputs[0], inputs[1]
        accumulator = integer_conv2d(x, weight, constants['bound'], **attributes)
        multiplier, offset, shift = (
            constants[name].view(-1, 1, 1) for name in ('multiplier', 'offset', 'shift')
        )
        return (accumulator.long() * multiplier).add_(offset) >> shift


class TransposedConv2d(Conv2d):
    """The convolution of 1x1 in a transposed one whose stride is its kernel.

    It makes ``kh * kw`` outputs of each pixel and channel, which then move to where
    they belong: see :func:`iptq_mm.qtensor.rules.products.conv_transpose2d`. The weight
    arrives as such rows; the parameter has another layout, hence another role.
    """

    roles = (ACTIVATION, TRANSPOSED, BIAS)
