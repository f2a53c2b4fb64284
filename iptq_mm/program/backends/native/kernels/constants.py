"""Constant tensors as operands by strides."""

from __future__ import annotations

import torch
from torch import Tensor

from .....native.commands import SLACK
from .....native.storage import SIGNED_BYTES, Storage, storage_of
from ..context import INT32, Unsupported
from ..layout.steps import Address, Buffer
from ..layout.tensor_ref import TensorRef, contiguous


class Constant(Buffer):
    """The memory of a constant tensor, which is not in the arena."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor.numel() * tensor.element_size())
        self.tensor = tensor


def constant_ref(tensor: Tensor) -> TensorRef:
    """A constant as an operand by strides."""
    if tensor.numel() and max(map(abs, map(int, tensor.aminmax()))) >= INT32:
        raise Unsupported('constants of more than 32 bits')
    return _held(tensor, storage_of(tensor.dtype))


def constant_factor(tensor: Tensor) -> TensorRef:
    """A constant as an operand of a matrix product: signed bytes or words."""
    low, high = map(int, tensor.aminmax())
    if low < -(2**15) or high >= 2**15:
        raise Unsupported('constants of more than 16 bits')
    if low < -128 or high > 127:
        return _held(tensor.to(torch.int16), storage_of(torch.int16))
    codes = tensor.to(torch.int16) + SIGNED_BYTES.zero_point
    return _held(codes.to(torch.uint8), SIGNED_BYTES)


def _held(tensor: Tensor, storage: Storage) -> TensorRef:
    # Kernels may read beyond the end.
    held = torch.zeros(tensor.numel() + SLACK, dtype=tensor.dtype)
    held[: tensor.numel()] = tensor.flatten()
    shape = tuple(tensor.shape)
    return TensorRef(Constant(held), storage, shape, contiguous(shape))


def place_of(x: TensorRef) -> Address | Tensor:
    """Where an operand is, constant or not."""
    return x.buffer.tensor if isinstance(x.buffer, Constant) else Address(x.buffer)
