"""The integers of a parameter in as few bits as its plan says, for files.

A weight of b bits takes b bits. A weight with groups takes b bits a code, and for each
group the bits of a factor, 4 at most. Both streams (:mod:`iptq_mm.intmath.packing`) are
one after the other in a tensor of bytes, whose first byte says whether what follows is
deflated: codes of trained weights are not equally frequent.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from ..intmath.packing import pack, packed_size, unpack
from ..intmath.weight_codes import factor_bits, most_code, most_factor
from .parameter import ParameterPlan

#: Increased when the layout of the bytes changes.
PACKING_VERSION = 1
_RAW, _DEFLATED = 0, 1


def is_packed(plan: ParameterPlan) -> bool:
    """Whether files hold the integers of a parameter packed."""
    return len(plan.shape) > 1 and 2 <= plan.bits <= 7


def pack_parameter(plan: ParameterPlan, integers: Tensor) -> Tensor | None:
    """Pack the integers of a parameter.

    Args:
        plan: Its plan, for which :func:`is_packed` holds.
        integers: Its integers, any integer type; groups lie
            in ``flatten(1)`` of it.

    Returns:
        uint8, one dimension. None if the integers are not what the plan says, so that
        they have to be kept as they are.
    """
    rows, most = integers.detach().cpu().flatten(1), most_code(plan.bits)
    streams = []
    if plan.group:
        factors = _factors(rows, plan)
        rows = rows // _by_input(factors, plan.group, rows.shape[1])
        streams.append(pack(factors - 1 - _half(plan), factor_bits(plan.bits)))
    if rows.numel() and int(rows.abs().max()) > most:
        return None
    streams.insert(0, pack(rows, plan.bits))
    raw = torch.cat(streams).numpy().tobytes()
    # Without searching for repetitions: there are none.
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    deflated = deflate.compress(raw) + deflate.flush()
    kind, data = min((_RAW, raw), (_DEFLATED, deflated), key=lambda made: len(made[1]))
    return torch.frombuffer(bytearray([kind]) + data, dtype=torch.uint8)


def inflated(packed: Tensor) -> Tensor:
    """What :func:`pack_parameter` made, not deflated: for memory, quick to unpack.

    Raises:
        ValueError: If the bytes are damaged.
    """
    raw = bytes([_RAW]) + _content(packed.numpy().tobytes())
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8)


def unpack_parameter(plan: ParameterPlan, packed: Tensor) -> Tensor:
    """Inverse of :func:`pack_parameter`.

    Returns:
        int8, the shape of the plan, on the CPU.

    Raises:
        ValueError: If the bytes are not those of such a parameter.
    """
    rows, columns = plan.shape[0], math.prod(plan.shape[1:])
    groups = rows * -(-columns // plan.group) if plan.group else 0
    size = packed_size(rows * columns, plan.bits)
    raw = _content(packed.cpu().numpy().tobytes())
    data = torch.from_numpy(np.frombuffer(bytearray(raw), np.uint8))
    codes = unpack(data[:size], plan.bits, rows * columns).view(rows, columns)
    if plan.group:
        found = unpack(data[size:], factor_bits(plan.bits), groups) + 1 + _half(plan)
        codes = codes * _by_input(found.view(rows, -1), plan.group, columns)
    elif len(data) != size:
        raise ValueError(f'{len(data)} bytes in the place of {size}')
    return codes.reshape(plan.shape)


def _content(data: bytes) -> bytes:
    """What follows the first byte, inflated if that says so."""
    if data[:1] == bytes([_RAW]):
        return data[1:]
    if data[:1] != bytes([_DEFLATED]):
        raise ValueError('no packed integers')
    try:
        return zlib.decompress(data[1:], -15)
    except zlib.error as error:
        raise ValueError(f'no packed integers: {error}') from error


def _half(plan: ParameterPlan) -> int:
    """What is taken off a factor, less one, for a number with a sign."""
    return 1 << (factor_bits(plan.bits) - 1)


def _factors(rows: Tensor, plan: ParameterPlan) -> Tensor:
    """A factor of each group, shape (rows, groups).

    The largest one allowed that divides the group: that leaves the smallest codes.
    """
    rest = -rows.shape[1] % plan.group
    grouped = torch.nn.functional.pad(rows, (0, rest)).unflatten(1, (-1, plan.group))
    factors = grouped.new_ones(grouped.shape[:2])
    for factor in range(2, most_factor(plan.bits) + 1):
        factors[(grouped % factor == 0).all(2) & grouped.any(2)] = factor
    return factors


def _by_input(factors: Tensor, group: int, columns: int) -> Tensor:
    return factors.repeat_interleave(group, 1)[:, :columns]
