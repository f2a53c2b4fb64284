"""Linear layers and convolutions: an int8 product and one requantization."""

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
    check_int64,
)

#: Rows from which on products are computed alike, whatever their number.
FEW = 16


class _LinearLayer(Operation):
    """``requantize(x @ weight.T + bias)`` with one rounding.

    The integers of channel c are, with the constants of :meth:`prepare`::

        (accumulator * multiplier[c] + offset[c]) >> shift[c]
    """

    roles = (ACTIVATION, WEIGHT, BIAS)
    product = True

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class.

        The accumulator of channel c has the scale ``S_x * S_w[c]``. The bias is
        added after the multiplication, at the scale ``S_out * 2**-shift``. There it
        has the most bits, and a channel whose weights are all 0 is no special case.
        """
        x, weight = site.qparams[0], site.qparams[1]
        integers = site.payloads[1]
        assert integers is not None
        magnitudes = integers.long().abs().flatten(1)
        narrow = x.bits <= 8 and int(magnitudes.max()) < 2**7
        magnitudes = magnitudes.sum(1)
        accumulator = int(magnitudes.max()) * x.bound
        bits = 32
        if narrow:  # kernels of bytes count on it
            check_int32(accumulator, 'the accumulator')
        else:
            bits = check_int64(accumulator, 'the accumulator')
        # On the CPU: a GPU divides by a number with another rounding.
        ratio = weight.scale.cpu().to(torch.float64) * x.scale / site.out.scale
        bias = site.real(2)
        if bias is None:
            bias = torch.zeros_like(ratio)
        # A bias beyond 2**30 output scales saturates the output, whatever is added.
        bias = (bias.cpu() / site.out.scale).clamp(-(2.0**30), 2.0**30)
        largest = int(bias.abs().max()).bit_length()
        multiplier, shift = dyadic(ratio, bits, max_shift=61 - largest)
        assert isinstance(shift, Tensor)
        offset = (bias * torch.pow(2.0, shift.double())).round().long()
        half = torch.ones_like(shift) << (shift - 1)
        # An asymmetric 8-bit input minus the middle of its range fits int8, as the
        # instructions of CPUs and GPUs want it.
        fits = x.qmin >= -128 and x.qmax <= 127
        middle = x.qmin + 128 if x.qmax - x.qmin <= 255 and not fits else 0
        return {
            'bound': accumulator,
            'middle': middle,
            'multiplier': multiplier,
            'shift': shift,
            'offset': offset + half,
        }


class Linear(_LinearLayer):
    """``F.linear`` on the last dimension."""

    kind = 'linear'

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        x, weight = shapes[0], shapes[1]
        assert x is not None and weight is not None
        return (*x[:-1], weight[0])

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class.

        Libraries have other kernels for few rows, with other last bits. Rows are added,
        so that those of an image do not depend on the size of its batch.
        """
        x, *parameters = inputs
        missing = FEW - x[..., 0].numel() if x.numel() else 0
        if missing <= 0 or x.device.type != 'cpu':
            return F.linear(x, *parameters)
        rows = x.reshape(-1, x.shape[-1])
        more = torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
        made = F.linear(more, *parameters)[: len(rows)]
        return made.reshape(*x.shape[:-1], made.shape[-1])

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        accumulator = integer_linear(
            inputs[0], inputs[1], constants['bound'], constants['middle']
        )
        wide = accumulator.long() * constants['multiplier']
        return wide.add_(constants['offset']) >> constants['shift']

    def gradients(
        self,
        inputs: Sequence[Any],
        attributes: dict[str, Any],
        grad: Tensor,
        wanted: Sequence[int],
    ) -> Sequence[Tensor]:
        """See the base class; without the float product itself."""
        rows = grad.reshape(-1, grad.shape[-1])

        def gradient(position: int) -> Tensor:
            if position == 0:
                return (rows @ inputs[1]).view(inputs[0].shape)
            if position == 1:
                return rows.t() @ inputs[0].reshape(len(rows), -1)
            return rows.sum(0)

        return [gradient(i) for i in wanted]


class Conv2d(_LinearLayer):
    """``F.conv2d``."""

    kind = 'conv2d'
    channels = 1

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
    """The 1x1 convolution within a transposed convolution whose stride is its kernel.

    It makes ``kh * kw`` outputs for each pixel and channel, which then move to their
    places: see :func:`iptq_mm.qtensor.rules.products.conv_transpose2d`. The weight
    arrives as rows; the parameter has another layout and hence another role.
    """

    roles = (ACTIVATION, TRANSPOSED, BIAS)
