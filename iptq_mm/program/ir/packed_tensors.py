"""Weights of few bits in program files: packed as in checkpoints.

A program does not say how many bits its weights have, nor their groups. Both are found
from the integers, so that what is read is what was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...intmath.weight_codes import most_code, most_factor
from ...plan import ParameterPlan
from ...plan.packing import inflated, pack_parameter, unpack_parameter

#: Elements below which nothing is gained: a file has 200 bytes for each tensor.
_FEW = 256
#: Largest group that is looked for; they are powers of two.
_LARGEST_GROUP = 128


def packed_tensor(tensor: Tensor) -> Tensor | dict[str, Any]:
    """A tensor of a program for a file, as it is or in plain types and fewer bits."""
    if tensor.dtype != torch.int8 or tensor.dim() < 2 or tensor.numel() < _FEW:
        return tensor
    bits, group = _fewest_bits(tensor)
    if bits > 7:
        return tensor
    packed = pack_parameter(_plan(bits, tensor.shape, group), tensor)
    if packed is None:
        return tensor
    return {
        'bits': bits,
        'shape': list(tensor.shape),
        'group': group,
        'packed': packed,
    }


class PackedTensors(Mapping[str, Tensor]):
    """The tensors of a program that was read from a file, by name.

    In memory, too, weights of few bits stay packed: each look-up unpacks them. A back
    end that has made its own form of a weight then holds that form only.

    Args:
        data: Tensors, or what :func:`packed_tensor` made of them.

    Raises:
        KeyError: If something is missing.
        ValueError: If bytes are damaged.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = {
            name: {**x, 'packed': inflated(x['packed'])} if isinstance(x, dict) else x
            for name, x in data.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        """The tensor, unpacked."""
        return unpacked_tensor(self._data[name])

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._data)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._data)


def unpacked_tensor(data: Any) -> Any:
    """Inverse of :func:`packed_tensor`; what is not packed stays.

    Raises:
        KeyError: If something is missing.
        ValueError: If the bytes are damaged.
    """
    if not isinstance(data, dict):
        return data
    plan = _plan(data['bits'], data['shape'], data['group'])
    return unpack_parameter(plan, data['packed'])


def _plan(bits: int, shape: Any, group: int) -> ParameterPlan:
    return ParameterPlan('weight', bits, tuple(shape), 1.0, group)


def _fewest_bits(tensor: Tensor) -> tuple[int, int]:
    """Bits of a code and size of a group that take the least; 0: no groups."""
    largest = np.abs(tensor.flatten(1).numpy().astype(np.int16))
    divisor, group, found = largest, 1, [(8.0, 8, 0)]
    found += _bits(largest, np.ones_like(largest), 0)
    while group < min(_LARGEST_GROUP, math.prod(tensor.shape[1:])):
        group *= 2
        both = [(0, 0), (0, divisor.shape[1] % 2)]
        divisor, largest = np.pad(divisor, both), np.pad(largest, both)
        divisor = np.gcd(divisor[:, ::2], divisor[:, 1::2])
        largest = np.maximum(largest[:, ::2], largest[:, 1::2])
        if (divisor <= 1).all():
            break
        found += _bits(largest, divisor, group)
    return min(found)[1:]


def _bits(
    largest: np.ndarray, divisor: np.ndarray, group: int
) -> list[tuple[float, int, int]]:
    """Bits of a weight, those of its code, and the group; empty: more than 7.

    Args:
        largest: Largest magnitude in each group.
        divisor: Greatest common divisor of each group.
        group: Its size; 0: no groups.
    """
    for bits in range(2, 8):
        most = most_factor(bits) if group else 1
        if (largest <= most_code(bits) * largest_factors(most)[divisor]).all():
            factor = (most - 1).bit_length() / group if group else 0.0
            return [(bits + factor, bits, group)]
    return []


def largest_factors(most: int) -> np.ndarray:
    """By common divisor, 0 to 128, the largest factor of it up to ``most``."""
    found = np.ones(129, int)
    for factor in range(2, most + 1):
        found[factor::factor] = factor
    return found
