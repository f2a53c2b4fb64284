"""Intervals of integers, exact: what is known of the elements of a tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch

#: Types whose values count as integers.
INTEGER_TYPES = (torch.bool, torch.int8, torch.int16, torch.int32, torch.int64)

_MOST_SHIFT = 63


class Unproven(ValueError):
    """Something that the audit cannot show to be right; the message says what."""


@dataclass(frozen=True)
class Interval:
    """All integers from ``low`` to ``high``.

    Operators give the smallest interval that holds every result: exact for each
    operation, whatever correlates its operands.

    Attributes:
        low: No number is below.
        high: No number is above.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise Unproven(f'{self.low}..{self.high} is no interval')

    def __str__(self) -> str:
        return f'{self.low}..{self.high}'

    @classmethod
    def point(cls, number: int) -> Interval:
        """One number."""
        return cls(number, number)

    @classmethod
    def of_type(cls, dtype: torch.dtype) -> Interval:
        """What an integer type holds."""
        if dtype == torch.bool:
            return cls(0, 1)
        info = torch.iinfo(dtype)
        return cls(info.min, info.max)

    @classmethod
    def of_tensor(cls, tensor: torch.Tensor) -> Interval:
        """The numbers of a tensor; 0 of an empty one."""
        if not tensor.numel():
            return cls.point(0)
        return cls(int(tensor.min()), int(tensor.max()))

    @property
    def bound(self) -> int:
        """The largest magnitude."""
        return max(-self.low, self.high)

    def holds(self, other: Interval) -> bool:
        """Whether it holds all of another one."""
        return self.low <= other.low and other.high <= self.high

    def join(self, other: Interval) -> Interval:
        """The smallest one that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def meet(self, other: Interval) -> Interval:
        """What lies in both."""
        return Interval(max(self.low, other.low), min(self.high, other.high))

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __abs__(self) -> Interval:
        if self.low >= 0:
            return self
        return Interval(max(0, -self.high), max(-self.low, self.high))

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        return _hull([a * b for a, b in _corners(self, other)])

    def __floordiv__(self, other: Interval) -> Interval:
        _check_divisor(other)
        return _hull([a // b for a, b in _corners(self, other)])

    def truncated(self, other: Interval) -> Interval:
        """The quotient without its fraction, as C has it."""
        _check_divisor(other)
        quotients = [
            abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            for a, b in _corners(self, other)
        ]
        return _hull(quotients)

    def __lshift__(self, other: Interval) -> Interval:
        _check_amount(other)
        return _hull([a << b for a, b in _corners(self, other)])

    def __rshift__(self, other: Interval) -> Interval:
        _check_amount(other)
        return _hull([a >> b for a, b in _corners(self, other)])

    def __and__(self, other: Interval) -> Interval:
        if self.low == self.high and other.low == other.high:
            return Interval.point(self.low & other.low)
        mask = other if other.low == other.high else self
        rest = self if mask is other else other
        if mask.low != mask.high or mask.low < 0:
            raise Unproven(f'bits in common of {self} and {other}: neither is a mask')
        # Below a mask of ones nothing changes.
        if rest.low >= 0 and (mask.low + 1).bit_count() == 1 and rest.high <= mask.low:
            return rest
        return Interval(0, min(mask.low, rest.high) if rest.low >= 0 else mask.low)

    def root(self) -> Interval:
        """Floors of the square roots; of no negative number."""
        return Interval(math.isqrt(self.low), math.isqrt(self.high))

    def bit_lengths(self) -> Interval:
        """Bits of non-negative numbers."""
        return Interval(self.low.bit_length(), self.high.bit_length())


def _corners(a: Interval, b: Interval) -> list[tuple[int, int]]:
    """Where the extremes of a function lie that is monotone in each operand."""
    return list(product({a.low, a.high}, {b.low, b.high}))


def _hull(numbers: list[int]) -> Interval:
    return Interval(min(numbers), max(numbers))


def _check_divisor(interval: Interval) -> None:
    if interval.low <= 0 <= interval.high:
        raise Unproven(f'the divisor may be 0: it lies in {interval}')


def _check_amount(interval: Interval) -> None:
    if not 0 <= interval.low <= interval.high <= _MOST_SHIFT:
        raise Unproven(f'a shift by {interval} bits, 0..{_MOST_SHIFT} are defined')
