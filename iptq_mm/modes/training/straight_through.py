"""Integer results with the gradients of what they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...intmath import QParams, storage_dtype
from ...operations import Operation
from ...qtensor import QTensor, WeightQParams
from ...qtensor.carried import carrier

#: Integers of so few bits are computed with one more step at each end of their range,
#: which says exactly what saturated.
FEW_BITS = 8


@dataclass(frozen=True)
class Call:
    """One call of a site, as :class:`SiteCall` runs it.

    Attributes:
        operation: The operation.
        operands: Its operands with integer payloads; None where one is missing.
        attributes: Its other arguments.
        out: Quantizer of the output.
        integers: Computes the saturated integers of the output, and where they
            saturated (None: nowhere).
    """

    operation: Operation
    operands: Sequence[QTensor | None]
    attributes: dict[str, Any]
    out: QParams
    integers: Callable[[], tuple[Tensor, Tensor | None]]


class SiteCall(torch.autograd.Function):
    """The integers of a site forward, straight-through gradients backward.

    An integer ``q`` stands for the real value ``S q``. With the float operation ``f``,
    the output stands for ``f(S_1 q_1, S_2 q_2, ...)``, and the gradient is that of
    ``f`` at these values; it is 0 where the output saturated. Rounding and the error of
    an integer function count as the identity (straight-through estimator, Bengio et
    al., arXiv 1308.3432).
    """

    @staticmethod
    def forward(
        ctx: Any, call: Call, factor: Tensor | None, *carried: Tensor
    ) -> Tensor:
        """Integers of the output, in a float type that holds them.

        Args:
            ctx: Of autograd.
            call: The call.
            factor: Binary logarithm of the factor of the output's scale, if it is
                learned; for autograd only.
            *carried: Floats of the operands that are there, for autograd only.
        """
        integers, outside = call.integers()
        ctx.call, ctx.outside = call, outside
        return integers.to(carrier(call.out))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        """Gradients of the operands, in units of their integers."""
        call, (grad,) = ctx.call, grads
        learned = ctx.needs_input_grad[1]
        factor = _of_scale(call, grad, ctx.outside) if learned else None
        if ctx.outside is not None:
            grad = grad.masked_fill(ctx.outside, 0.0)
        there = [i for i, x in enumerate(call.operands) if x is not None]
        wanted = [i for i, w in zip(there, ctx.needs_input_grad[2:], strict=True) if w]
        of = _of_product if call.operation.product else _of_others
        found = of(call, grad.float(), wanted)
        return None, factor, *[found.get(i) for i in there]


def _of_scale(call: Call, grad: Tensor, outside: Tensor | None) -> Tensor:
    """Gradient of the binary logarithm of the output's scale.

    With a scale ``S``, a value ``v`` stands for ``S round(v / S)``. Its derivative by
    ``ln S`` is ``S (q - v / S)`` for the integer ``q``, and ``S q`` where it saturates
    (learned step size quantization, Esser et al., arXiv 1902.08153, equation 3). The
    error of an integer function is no rounding, so that the difference counts by half
    a step at most.
    """
    real = [None if x is None else x.real_values() for x in call.operands]
    steps = call.operation.real(real, call.attributes) / call.out.scale
    low, high = call.out.qmin, call.out.qmax
    integers = steps.round().clamp(low, high)
    by_scale = (integers - steps).clamp_(-0.5, 0.5)
    if call.out.levels is not None:  # a second rounding, whose steps differ
        levels = call.out.to_levels(integers)
        by_scale, integers = by_scale + (levels - integers), levels
    if outside is not None:
        by_scale = torch.where(outside, integers, by_scale)
    return (grad * by_scale).sum().float() * math.log(2)


def _of_others(call: Call, grad: Tensor, wanted: Sequence[int]) -> dict[int, Tensor]:
    """Gradients of operands by position, through the float operation."""
    real = [None if x is None else x.real_values() for x in call.operands]
    grad = grad * (1 / call.out.scale)
    found = call.operation.gradients(real, call.attributes, grad, wanted)
    return {
        i: g * scale_of(call.operands[i], g) for i, g in zip(wanted, found, strict=True)
    }


def _of_product(call: Call, grad: Tensor, wanted: Sequence[int]) -> dict[int, Tensor]:
    """The same, of an operation that is linear in each factor.

    The scales are factors, too: they are multiplied to the gradient of the output,
    once, and the integers take the place of real values.
    """
    operation, (a, b) = call.operation, call.operands[:2]
    assert a is not None and b is not None
    where = [1] * grad.dim()
    where[operation.channels] = -1
    right = scale_of(b, b.payload)
    if isinstance(right, Tensor):
        right = right.reshape(where)
    scaled = grad * (right * (scale_of(a, a.payload) / call.out.scale))
    factors = [i for i in wanted if i < 2]
    numbers = [a.payload.float(), b.payload.float()]
    products = operation.gradients(numbers, call.attributes, scaled, factors)
    found = dict(zip(factors, products, strict=True))
    if 2 in wanted:
        kept = operation.channels % grad.dim()
        total = grad.sum([d for d in range(grad.dim()) if d != kept])
        found[2] = total * (scale_of(call.operands[2], total) / call.out.scale)
    return found


def scale_of(x: QTensor | None, like: Tensor) -> float | Tensor:
    """The scale of an operand, or of each channel of a weight."""
    assert x is not None and x.qparams is not None
    if isinstance(x.qparams, WeightQParams):
        return x.qparams.grid(like).float()
    return x.qparams.scale


class Quantized(torch.autograd.Function):
    """The integers of real values; the gradient is 0 where they saturate."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        """``round(real / scale)``, saturated, in float32.

        Args:
            ctx: Of autograd.
            real: Real values.
            scale: float64, broadcasts to them.
            low: Smallest integer.
            high: Largest integer.
        """
        steps = (real.double() / scale).round_()
        ctx.scale = scale
        beyond = (steps < low) | (steps > high)
        ctx.outside = beyond if bool(beyond.any()) else None
        return steps.clamp_(low, high).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        """The gradient over the scale."""
        (grad,) = grads
        if ctx.outside is not None:
            grad = grad.masked_fill(ctx.outside, 0.0)
        return (grad / ctx.scale).float(), None, None, None


class Requantized(torch.autograd.Function):
    """The integers of an operand at another scale."""

    @staticmethod
    def forward(
        ctx: Any, carried: Tensor, wide: Tensor, ratio: float, out: QParams
    ) -> Tensor:
        """``wide`` saturated.

        Args:
            ctx: Of autograd.
            carried: The integers before, for autograd only.
            wide: The integers at the other scale, not saturated.
            ratio: Old scale over new scale.
            out: Quantizer afterwards.
        """
        ctx.ratio, ctx.dtype = ratio, carried.dtype
        integers, ctx.outside = saturated(wide, out)
        return integers.to(carrier(out))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        """The gradient times the ratio."""
        (grad,) = grads
        if ctx.outside is not None:
            grad = grad.masked_fill(ctx.outside, 0.0)
        return (grad * ctx.ratio).to(ctx.dtype), None, None, None


def saturated(wide: Tensor, out: QParams) -> tuple[Tensor, Tensor | None]:
    """Integers as :meth:`QParams.saturate` makes them, and where they saturated.

    Of more than ``FEW_BITS`` bits, an integer at a bound counts as saturated, because a
    kernel does not say whether it was beyond; one of so many makes no difference.

    Returns:
        The integers; a tensor of booleans, or None if none saturated.
    """
    if not wide.numel():
        return out.saturate(wide), None
    inner = 0 if out.bits <= FEW_BITS else 1
    least, most = out.qmin + (inner if out.qmin else 0), out.qmax - inner
    low, high = torch.aminmax(wide)
    if least <= int(low) and int(high) <= most:
        return out.to_levels(wide.to(storage_dtype(out.qmin, out.qmax))), None
    outside = (wide < least) | (wide > most)
    return out.saturate(wide), outside


def joined(
    parts: Sequence[tuple[torch.Size, Tensor | None]], like: Tensor
) -> Tensor | None:
    """Where the elements of a tensor that was computed in blocks were outside.

    Args:
        parts: Shape of each block, in order, and where its elements were outside.
        like: The tensor.
    """
    if all(mask is None for _, mask in parts):
        return None
    masks = [
        torch.zeros(shape, dtype=torch.bool, device=like.device) if m is None else m
        for shape, m in parts
    ]
    return torch.cat([m.flatten() for m in masks]).view(like.shape)
