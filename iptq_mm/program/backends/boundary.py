"""Conversion at the boundary of a program: real tensors to integers, and back.

All conversions give the same bits; they differ in speed. Torch's make several passes in
double precision; the library's (:mod:`iptq_mm.native.conversions`) make one pass, on
all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from ...intmath import QParams
from ...modes.inputs.given import check_given
from ...modes.shared_integers import integers_for_consumer, share_integers
from ...native import conversions as native_conversions
from ...native.library import available
from ...pixels import Pixels
from ..ir.graph import Port, Program, Value


class Conversions(Protocol):
    """Functions that convert real tensors to integers, and integers to real ones."""

    def quantize(self, x: Tensor, qparams: QParams) -> Tensor:
        """``qparams.quantize(x)``, of floats of at least 32 bits."""

    def pixel_integers(self, x: Tensor, pixels: Pixels) -> Tensor:
        """``pixels.integers(x)``, of images in floats or uint8."""

    def dequantize(self, q: Tensor, scale: float) -> Tensor:
        """``q * scale`` in float32, contiguous."""


class TorchConversions:
    """Conversions by torch, on any device."""

    def quantize(self, x: Tensor, qparams: QParams) -> Tensor:
        """See :class:`Conversions`."""
        return qparams.quantize(x)

    def pixel_integers(self, x: Tensor, pixels: Pixels) -> Tensor:
        """See :class:`Conversions`."""
        return pixels.integers(x)

    def dequantize(self, q: Tensor, scale: float) -> Tensor:
        """See :class:`Conversions`."""
        return (q.to(torch.float32) * scale).contiguous()


TORCH = TorchConversions()


def fastest_conversions() -> Conversions:
    """Those of the library, compiled now if need be; torch's if that is impossible."""
    return native_conversions if available() else TORCH


def quantized_inputs(
    program: Program, reals: Sequence[Tensor], conversions: Conversions
) -> list[Tensor]:
    """The integers of a program's inputs.

    Args:
        program: The program.
        reals: Its inputs in order: floats, or uint8 where it takes pixels.
        conversions: How floats become integers. A float tensor that another region has
            left keeps its integers, and is not converted.
    """
    return [
        _quantized(program, port, x, conversions)
        for port, x in zip(program.inputs, reals, strict=True)
    ]


def readable_inputs(
    program: Program, reals: Sequence[Tensor], conversions: Conversions
) -> list[Tensor]:
    """The inputs of a program, for a back end that quantizes float32 by itself.

    Args:
        program: The program.
        reals: Its inputs in order: floats, or uint8 where it takes pixels.
        conversions: How other inputs become integers.

    Returns:
        Each input in float32 on the CPU, as its integers, or in uint8 for pixels.
    """
    return [
        _readable(program, port, x, conversions)
        for port, x in zip(program.inputs, reals, strict=True)
    ]


def share_output(
    program: Program, port: Port, real: Tensor, integers: Tensor
) -> Tensor:
    """``real``, an output; a region that it enters will find its integers."""
    value = program.values[port.value]
    if value.low < 0 < value.high:
        share_integers(real, integers, _qparams(port.scale, value.low, value.high))
    return real


def _quantized(
    program: Program, port: Port, x: Tensor, conversions: Conversions
) -> Tensor:
    if port.pixels is not None:
        return conversions.pixel_integers(x, port.pixels)
    value = program.values[port.value]
    if port.given:
        return given_integers(x, value)
    # Autocast before the region may have left half precision.
    x = x.float() if x.itemsize < 4 else x
    qparams = _qparams(port.scale, value.low, value.high)
    shared = integers_for_consumer(x, qparams)
    return conversions.quantize(x, qparams) if shared is None else shared


def _readable(
    program: Program, port: Port, x: Tensor, conversions: Conversions
) -> Tensor:
    if port.given:
        return given_integers(x, program.values[port.value])
    if port.pixels is None:
        value = program.values[port.value]
        shared = integers_for_consumer(x, _qparams(port.scale, value.low, value.high))
        if shared is not None:
            return shared
    elif port.pixels.marked:
        return _quantized(program, port, x, conversions)
    elif x.dtype == torch.uint8:
        return x
    if x.device.type != 'cpu' or x.dtype == torch.float64:
        return _quantized(program, port, x, conversions)
    x = x.detach() if x.requires_grad else x
    return x.float() if x.dtype != torch.float32 else x


def given_integers(x: Tensor, value: Value) -> Tensor:
    """Integers or booleans that enter a program as they are.

    Raises:
        ValueError: If one is not within the bounds of the value.
    """
    check_given('of integers', x, value.low, value.high)
    return x.to(value.dtype)


@lru_cache(maxsize=1024)
def _qparams(scale: float, low: int, high: int) -> QParams:
    """Made and checked once: this is on the way of every call."""
    return QParams(scale, low, high)
