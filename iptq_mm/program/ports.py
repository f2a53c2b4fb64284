"""Where real tensors become the integers of a program, and the other way round."""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath import QParams
from ..modes.handover import hand_over, handed_over
from .graph import Port, Program
from .native import border
from .native.library import loaded


def integers_of(program: Program, port: Port, x: Tensor) -> Tensor:
    """What a real tensor is to the program.

    Args:
        program: The program.
        port: One of its inputs.
        x: Floats, or uint8 where the port takes pixels.
    """
    value = program.values[port.value]
    if port.pixels is not None:
        return port.pixels.integers(x)
    # Autocast before the region may have left half precision.
    x = x.float() if x.itemsize < 4 else x
    qparams = QParams(port.scale, value.low, value.high)
    handed = handed_over(x, qparams)
    if handed is not None:
        return handed
    return border.quantize(x, qparams) if loaded() else qparams.quantize(x)


def real_of(program: Program, port: Port, integers: Tensor) -> Tensor:
    """The real tensor of an output, contiguous; the next region finds its integers.

    Args:
        program: The program.
        port: One of its outputs.
        integers: What the program gave.
    """
    value = program.values[port.value]
    if loaded():
        real = border.dequantize(integers, port.scale)
    else:
        real = (integers.to(torch.float32) * port.scale).contiguous()
    if value.low < 0 < value.high:
        hand_over(real, integers, QParams(port.scale, value.low, value.high))
    return real
