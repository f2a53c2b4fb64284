"""Where real tensors become the integers of a program, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from ...intmath import QParams
from ...modes.shared_integers import integers_for_consumer, share_integers
from ...native import conversions
from ...native.library import loaded
from ..backends.base import Runner
from ..ir.graph import Port, Program


class RealRunner(Protocol):
    """A runner that makes integers of real tensors, and real tensors of integers.

    To the last bit what :func:`integers_of` and :func:`real_of` make; whatever
    autocast and gradients are set to.
    """

    def real(self, inputs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Run it.

        Args:
            inputs: Each in float32 on the CPU, or the integers that it stands for, or
                in uint8 for pixels.

        Returns:
            The outputs, each in float32 and as the integers that it stands for.
        """


def run_real(program: Program, run: Runner, reals: Sequence[Tensor]) -> list[Tensor]:
    """Run a program between real tensors.

    Args:
        program: The program.
        run: What runs it.
        reals: Its inputs, floats, or uint8 where it takes pixels.

    Returns:
        The outputs in float32, contiguous; the next region finds their integers.
    """
    real = getattr(run, 'real', None)  # of a RealRunner
    if real is not None:
        given = [
            _given(program, port, x)
            for port, x in zip(program.inputs, reals, strict=True)
        ]
        return [
            _left(program, port, *pair)
            for port, pair in zip(program.outputs, real(given), strict=True)
        ]
    device = reals[0].device.type if reals else 'cpu'
    with torch.no_grad(), torch.autocast(device, enabled=False):
        integers = [
            integers_of(program, port, x)
            for port, x in zip(program.inputs, reals, strict=True)
        ]
        return [
            real_of(program, port, q)
            for port, q in zip(program.outputs, run(integers), strict=True)
        ]


def _given(program: Program, port: Port, x: Tensor) -> Tensor:
    """What a real runner takes of an input."""
    value = program.values[port.value]
    if port.pixels is None:
        handed = integers_for_consumer(x, _qparams(port.scale, value.low, value.high))
        if handed is not None:
            return handed
    elif port.pixels.marked:
        return integers_of(program, port, x)
    elif x.dtype == torch.uint8:
        return x
    if x.device.type != 'cpu' or x.dtype == torch.float64:
        return integers_of(program, port, x)
    x = x.detach() if x.requires_grad else x
    return x.float() if x.dtype != torch.float32 else x


def _left(program: Program, port: Port, real: Tensor, integers: Tensor) -> Tensor:
    """An output, with its integers for the next region."""
    value = program.values[port.value]
    if value.low < 0 < value.high:
        share_integers(real, integers, _qparams(port.scale, value.low, value.high))
    return real


@lru_cache(maxsize=1024)
def _qparams(scale: float, low: int, high: int) -> QParams:
    """Made and checked once."""
    return QParams(scale, low, high)


def integers_of(program: Program, port: Port, x: Tensor) -> Tensor:
    """What a real tensor is to the program.

    Args:
        program: The program.
        port: One of its inputs.
        x: Floats, or uint8 where the port takes pixels.
    """
    value = program.values[port.value]
    if port.pixels is not None:
        if loaded():
            return conversions.pixel_integers(x, port.pixels)
        return port.pixels.integers(x)
    # Autocast before the region may have left half precision.
    x = x.float() if x.itemsize < 4 else x
    qparams = _qparams(port.scale, value.low, value.high)
    handed = integers_for_consumer(x, qparams)
    if handed is not None:
        return handed
    return conversions.quantize(x, qparams) if loaded() else qparams.quantize(x)


def real_of(program: Program, port: Port, integers: Tensor) -> Tensor:
    """The real tensor of an output, contiguous; the next region finds its integers.

    Args:
        program: The program.
        port: One of its outputs.
        integers: What the program gave.
    """
    if loaded():
        real = conversions.dequantize(integers, port.scale)
    else:
        real = (integers.to(torch.float32) * port.scale).contiguous()
    return _left(program, port, real, integers)
