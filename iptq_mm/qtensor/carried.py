"""Integers in a float tensor, so that autograd can follow them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams

#: float32 holds every integer of at most this magnitude.
_FLOAT32_EXACT = 2**24


class Carried(Tensor):
    """A float tensor whose elements are integers: the payload of a QTensor in training.

    Autograd knows no gradients of integer tensors. Rules move, pad, negate and shift
    this tensor like one of integers, and gradients flow back through what they did.
    Whoever asks is told that it is a tensor of integers; a conversion to a type of
    integers chooses the float type that holds them exactly.
    """

    @staticmethod
    def wrap(numbers: Tensor) -> Carried:
        """A float tensor of integers as a carried one; the same memory and graph."""
        return numbers.as_subclass(Carried)

    @property
    def numbers(self) -> Tensor:
        """The float tensor itself."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)

    def is_floating_point(self) -> bool:
        """False: it stands for integers."""
        return False

    def long(self, *args: Any, **kwargs: Any) -> Carried:  # type: ignore[override]
        """As float64, which holds every integer that rules make."""
        return Carried.wrap(self.numbers.double())

    def to(self, *args: Any, **kwargs: Any) -> Carried:  # type: ignore[override]
        """As the float type that holds the integers of the wanted type."""
        if not (args and isinstance(args[0], torch.dtype)) or kwargs or len(args) > 1:
            return Carried.wrap(self.numbers.to(*args, **kwargs))
        narrow = args[0] in (torch.int8, torch.int16)
        return Carried.wrap(self.numbers.to(torch.float32 if narrow else torch.float64))

    def __lshift__(self, by: Any) -> Carried:
        """``self * 2**by``."""
        return Carried.wrap(self.numbers * torch.exp2(by.to(self.numbers.dtype)))


def carrier(qparams: QParams) -> torch.dtype:
    """The float type that holds all integers of a quantizer exactly."""
    exact = qparams.bound <= _FLOAT32_EXACT
    return torch.float32 if exact else torch.float64
