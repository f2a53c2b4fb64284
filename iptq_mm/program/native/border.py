"""The border of a program: tensors become its integers, and integers real tensors.

The same as torch does it, to the last bit, in one pass and on all threads: torch
makes several, in double precision. A native program is not much slower than these.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...intmath import QParams, storage_dtype
from ...pixels import CENTRE, MARK, PIXEL_QPARAMS, Pixels, padded
from ..graph import Port, Value
from .commands import F32, I8, I16, I32, U8, Command, Dequantize, Quantize
from .layout import Storage, storage_of
from .library import run

_TYPES = {torch.int8: I8, torch.int16: I16, torch.int32: I32}


def quantize(x: Tensor, qparams: QParams) -> Tensor:
    """``qparams.quantize(x)``.

    Args:
        x: Real values, any shape. What is no float32 on the CPU, torch quantizes.
        qparams: Scale and range.

    Returns:
        Integers, contiguous.
    """
    dtype = storage_dtype(qparams.qmin, qparams.qmax)
    if x.dtype != torch.float32 or x.device.type != 'cpu' or dtype not in _TYPES:
        return qparams.quantize(x).contiguous()
    x = x.detach().contiguous()
    out = torch.empty(x.shape, dtype=dtype)
    command = _rounded(qparams, storage_of(dtype), out.data_ptr(), x.numel())
    command.x = x.data_ptr()
    run([command])
    return out


def pixel_integers(x: Tensor, pixels: Pixels) -> Tensor:
    """``pixels.integers(x)``.

    Args:
        x: Normalized images, shape (B, C, H, W). What is no float32 on the CPU, torch
            turns back.
        pixels: How they were normalized.

    Returns:
        int8, contiguous; with marks where ``pixels`` has them.
    """
    if x.dtype != torch.float32 or x.device.type != 'cpu':
        return pixels.integers(x)
    x = x.detach().contiguous()
    images, channels, *size = x.shape
    out = torch.empty((images, channels + pixels.marked, *size), dtype=torch.int8)
    # Marks lie between the images.
    parts = [(x[i], out[i]) for i in range(images)] if pixels.marked else [(x, out)]
    commands: list[Command] = []
    kept, storage = [], storage_of(out.dtype)
    for given, made in parts:
        address, count = made.data_ptr(), given.numel()
        command = _rounded(PIXEL_QPARAMS, storage, address, count)
        command.x = given.data_ptr()
        kept += _restoring(command, pixels, x.shape)
        commands.append(command)
    run(commands)
    del kept
    if pixels.marked:
        marks = out[:, channels:]
        padded(x, marks.view(torch.bool))
        marks.mul_(MARK)
    return out


def dequantize(q: Tensor, scale: float) -> Tensor:
    """``q.to(torch.float32) * scale``.

    Args:
        q: Integers, any shape. What is not on the CPU, torch computes.
        scale: Real value of one step.

    Returns:
        float32, contiguous.
    """
    if q.dtype not in _TYPES or q.device.type != 'cpu':
        return (q.to(torch.float32) * scale).contiguous()
    q = q.contiguous()
    out = torch.empty(q.shape, dtype=torch.float32)
    command = _dequantize(q.dtype, scale, q.data_ptr(), q.numel())
    command.out = out.data_ptr()
    run([command])
    return out


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
        made = _quantize(storage, address, count)
        pixels = dtype == torch.uint8
        made.x_type = U8 if pixels else storage_of(dtype).type
        made.x_base = -CENTRE if pixels else 0
        return made, []
    if port.pixels is None:
        qparams = QParams(port.scale, value.low, value.high)
        return _rounded(qparams, storage, address, count), []
    made = _rounded(PIXEL_QPARAMS, storage, address, count)
    return made, _restoring(made, port.pixels, value.shape)


def leave(port: Port, value: Value, address: int) -> Dequantize:
    """How integers leave a program; ``out`` lacks the address of the result.

    Args:
        port: Where they leave.
        value: The integers.
        address: Where they are.
    """
    count = torch.Size(value.shape).numel()
    return _dequantize(value.dtype, port.scale, address, count)


def _restoring(command: Quantize, pixels: Pixels, shape: Sequence[int]) -> list[Tensor]:
    """Let a command turn normalization back; tensors of which it has addresses."""
    factor, shift = pixels.restoring()
    command.factor, command.shift = factor.data_ptr(), shift.data_ptr()
    command.channels, command.plane = shape[1], shape[2] * shape[3]
    return [factor, shift]


def _quantize(storage: Storage, address: int, count: int) -> Quantize:
    kept = {'out_type': storage.type, 'out_base': storage.base}
    return Quantize(count=count, out=address, **kept)


def _rounded(qparams: QParams, storage: Storage, address: int, count: int) -> Quantize:
    made = _quantize(storage, address, count)
    made.x_type, made.scale = F32, qparams.scale
    made.low, made.high = qparams.qmin, qparams.qmax
    return made


def _dequantize(
    dtype: torch.dtype, scale: float, address: int, count: int
) -> Dequantize:
    return Dequantize(x=address, count=count, x_type=_TYPES[dtype], scale=scale)
