"""The border of a program: floats become integers, and integers floats.

The same as torch does it, to the last bit, in one pass and on all threads: torch
makes several, in double precision. A native program is not much slower than these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import QParams, storage_dtype
from .commands import I8, I16, I32, Dequantize, Quantize
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
    command = Quantize(
        count=x.numel(),
        x=x.data_ptr(),
        scale=qparams.scale,
        low=qparams.qmin,
        high=qparams.qmax,
        out=out.data_ptr(),
        out_type=_TYPES[dtype],
    )
    run([command])
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
    command = Dequantize(
        count=q.numel(),
        x=q.data_ptr(),
        x_type=_TYPES[q.dtype],
        scale=scale,
        out=out.data_ptr(),
    )
    run([command])
    return out
