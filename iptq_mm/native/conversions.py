"""Real tensors become integers and integers real tensors, by the library."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..intmath import QParams, storage_dtype
from ..pixels import MARK, PIXEL_QPARAMS, Pixels, padded
from .commands import F32, I8, I16, I32, Command, Dequantize, Quantize
from .library import run
from .storage import Storage, storage_of

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
    command = rounding_command(qparams, storage_of(dtype), out.data_ptr(), x.numel())
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
        command = rounding_command(PIXEL_QPARAMS, storage, address, count)
        command.x = given.data_ptr()
        kept += restore_pixels(command, pixels, x.shape)
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
    command = dequantize_command(q.dtype, scale, q.data_ptr(), q.numel())
    command.out = out.data_ptr()
    run([command])
    return out


def restore_pixels(
    command: Quantize, pixels: Pixels, shape: Sequence[int]
) -> list[Tensor]:
    """Let a command turn normalization back; tensors of which it has addresses."""
    factor, shift = pixels.restoring()
    command.factor, command.shift = factor.data_ptr(), shift.data_ptr()
    command.channels, command.plane = shape[1], shape[2] * shape[3]
    return [factor, shift]


def quantize_command(storage: Storage, address: int, count: int) -> Quantize:
    """A command that stores so many integers; what it reads is still to be said."""
    kept = {'out_type': storage.type, 'out_zero_point': storage.zero_point}
    return Quantize(count=count, out=address, **kept)


def rounding_command(
    qparams: QParams, storage: Storage, address: int, count: int
) -> Quantize:
    """A command that rounds floats; ``x`` lacks its address."""
    made = quantize_command(storage, address, count)
    made.x_type, made.scale = F32, qparams.scale
    made.low, made.high = qparams.qmin, qparams.qmax
    return made


def dequantize_command(
    dtype: torch.dtype, scale: float, address: int, count: int
) -> Dequantize:
    """A command that makes floats of integers; ``out`` lacks its address."""
    return Dequantize(x=address, count=count, x_type=_TYPES[dtype], scale=scale)
