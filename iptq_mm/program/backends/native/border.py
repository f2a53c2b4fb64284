"""The border of a program: tensors become its integers, and integers real tensors.

The same as torch does it, to the last bit, in one pass and on all threads: torch
makes several, in double precision. A native program is not much slower than these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....intmath import QParams
from ....native.commands import U8, Dequantize, Quantize
from ....native.conversions import (
    dequantize_command,
    quantize_command,
    restore_pixels,
    rounding_command,
)
from ....native.storage import Storage, storage_of
from ....pixels import CENTRE, PIXEL_QPARAMS
from ...ir.graph import Port, Value


def enter(
    port: Port, value: Value, dtype: torch.dtype, storage: Storage, address: int
) -> tuple[Quantize, list[Tensor]]:
    """How a tensor enters a program; ``x`` lacks its address.

    Args:
        port: Where it enters.
        value: What it becomes.
        dtype: Of the tensor: float32, the value's own, or uint8 for pixels.
        storage: How the integers are kept.
        address: Where.

    Returns:
        The command, and tensors of which it has addresses.
    """
    count = torch.Size(value.shape).numel()
    if dtype != torch.float32:
        made = quantize_command(storage, address, count)
        pixels = dtype == torch.uint8
        made.x_type = U8 if pixels else storage_of(dtype).type
        made.x_zero_point = CENTRE if pixels else 0
        return made, []
    if port.pixels is None:
        qparams = QParams(port.scale, value.low, value.high)
        return rounding_command(qparams, storage, address, count), []
    made = rounding_command(PIXEL_QPARAMS, storage, address, count)
    return made, restore_pixels(made, port.pixels, value.shape)


def leave(port: Port, value: Value, address: int) -> Dequantize:
    """How integers leave a program; ``out`` lacks the address of the result.

    Args:
        port: Where they leave.
        value: The integers.
        address: Where they are.
    """
    count = torch.Size(value.shape).numel()
    return dequantize_command(value.dtype, port.scale, address, count)
