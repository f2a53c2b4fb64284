"""Commands that convert a program's inputs and outputs.

They give the same bits as torch. Torch makes several passes in double precision, which
take about as long as a native program; these commands make one, on all threads.
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
    """The command that converts an input; the caller sets its ``x``.

    Args:
        port: The input.
        value: The integers that it becomes.
        dtype: Type of the tensor: float32, that of the value, or uint8 for pixels.
        storage: Storage of the integers.
        address: Address of the integers.

    Returns:
        The command, and tensors whose addresses it holds.
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
    """The command that converts an output; the caller sets its ``out``.

    Args:
        port: The output.
        value: The integers.
        address: Address of the integers.
    """
    count = torch.Size(value.shape).numel()
    return dequantize_command(value.dtype, port.scale, address, count)
