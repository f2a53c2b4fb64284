"""Real tensors to integers and back, by the library: one pass on all threads.

Each function gives the same bits as the expression in its first line, which torch would
compute in several passes, in double precision. Tensors that the library does not take
are left to torch.
"""

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
    """Returns ``qparams.quantize(x)``.

    Args:
        x: Real values, any shape; torch quantizes them unless they are float32 on the
            CPU.
        qparams: Scale and range of the integers.

    Returns:
        Integers of the smallest type that holds the range, contiguous.
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
    """Returns ``pixels.integers(x)``, the pixels of normalized images.

    Args:
        x: Normalized images, shape (B, C, H, W); torch restores the pixels unless they
            are float32 on the CPU.
        pixels: How they were normalized.

    Returns:
        int8, contiguous, shape (B, C, H, W), or (B, C + 1, H, W) if ``pixels`` marks
        padding.
    """
    if x.dtype != torch.float32 or x.device.type != 'cpu':
        return pixels.integers(x)
    x = x.detach().contiguous()
    images, channels, *size = x.shape
    out = torch.empty((images, channels + pixels.marked, *size), dtype=torch.int8)
    # The channel of marks separates the images: each has a command of its own.
    parts = [(x[i], out[i]) for i in range(images)] if pixels.marked else [(x, out)]
    commands: list[Command] = []
    kept, storage = [], storage_of(out.dtype)
    for image, integers in parts:
        address, count = integers.data_ptr(), image.numel()
        command = rounding_command(PIXEL_QPARAMS, storage, address, count)
        command.x = image.data_ptr()
        kept += restore_pixels(command, pixels, x.shape)
        commands.append(command)
    run(commands)
    del kept  # the commands have their addresses
    if pixels.marked:
        marks = out[:, channels:]
        padded(x, marks.view(torch.bool))
        marks.mul_(MARK)
    return out


def dequantize(q: Tensor, scale: float) -> Tensor:
    """Returns ``q.to(torch.float32) * scale``.

    Args:
        q: Integers, any shape; torch dequantizes them unless they are on the CPU and
            have at most 32 bits.
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
    """Lets a command undo the normalization of images before it rounds.

    Args:
        command: From :func:`rounding_command`; changed.
        pixels: How the images were normalized.
        shape: Of the images, (B, C, H, W).

    Returns:
        Tensors that the caller keeps alive: the command has their addresses.
    """
    factor, shift = pixels.restoring()
    command.factor, command.shift = factor.data_ptr(), shift.data_ptr()
    command.channels, command.plane = shape[1], shape[2] * shape[3]
    return [factor, shift]


def quantize_command(storage: Storage, address: int, count: int) -> Quantize:
    """Returns a command that stores integers; the fields of its input are not set.

    Args:
        storage: How the integers are stored.
        address: Where.
        count: How many.
    """
    return Quantize(
        count=count,
        out=address,
        out_type=storage.type,
        out_zero_point=storage.zero_point,
    )


def rounding_command(
    qparams: QParams, storage: Storage, address: int, count: int
) -> Quantize:
    """Returns a command that quantizes float32; the address of its input is not set.

    Args:
        qparams: Scale and range of the integers.
        storage: How they are stored.
        address: Where.
        count: How many.
    """
    made = quantize_command(storage, address, count)
    made.x_type, made.scale = F32, qparams.scale
    made.low, made.high = qparams.qmin, qparams.qmax
    return made


def dequantize_command(
    dtype: torch.dtype, scale: float, address: int, count: int
) -> Dequantize:
    """Returns a command that dequantizes; the address of its result is not set.

    Args:
        dtype: Of the integers: int8, int16 or int32.
        scale: Real value of one step.
        address: Where the integers are.
        count: How many.
    """
    return Dequantize(x=address, count=count, x_type=_TYPES[dtype], scale=scale)
