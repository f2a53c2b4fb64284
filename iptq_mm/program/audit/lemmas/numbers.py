"""Lemmas about single numbers: squares, roots, bits, quotients."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from ....intmath import bit_length, isqrt
from ..facts import Facts
from ..interval import Interval
from ..patterns import Template, called, plus_constant, same, square
from .base import about

_aten = torch.ops.aten

_ROOT, _BITS = Template(isqrt), Template(bit_length)


@about(_aten.mul.Tensor)
def square_of_a_number(facts: Facts, node: fx.Node) -> Interval | None:
    """``x * x`` is a square: from the least magnitude squared to the largest."""
    x = square(node)
    if x is None:
        return None
    magnitude = abs(facts.interval(x))
    return Interval(magnitude.low**2, magnitude.high**2)


def root_of(facts: Facts, x: Any) -> Any:
    """What ``x`` is the exact root of, up to ``2**62``; else None."""
    found = _ROOT.argument(x)
    if found is None or not Interval(0, 2**62).holds(facts.interval(found)):
        return None
    return found


@about(_aten.where.self)
def integer_root(facts: Facts, node: fx.Node) -> Interval | None:
    """``isqrt`` is monotone and exact (``intmath``, up to ``2**62``)."""
    x = root_of(facts, node)
    return None if x is None else facts.interval(x).root()


@about(_aten.add.Tensor)
def number_of_bits(facts: Facts, node: fx.Node) -> Interval | None:
    """``bit_length`` is monotone and exact for numbers that are not negative."""
    x = _BITS.argument(node)
    if x is None or facts.interval(x).low < 0:
        return None
    return facts.interval(x).bit_lengths()


@about(_aten.bitwise_right_shift.Tensor)
def leading_bits(facts: Facts, node: fx.Node) -> Interval | None:
    """``x >> (L - k)`` has k leading bits of x, if L is its number of bits.

    With ``L`` of ``x // d`` it is below ``d * 2**k``: ``x < d * 2**L``. Where
    ``x // d`` is not 0, ``d * 2**(L-1) <= x``: it is at least half of that.
    """
    x, (bits, minus_k) = node.args[0], plus_constant(node.args[1])
    counted, d, k = _BITS.argument(bits), 1, -minus_k
    division = called(counted, _aten.floor_divide.default)
    if division and type(division[1]) is int and same(division[0], x):
        d = division[1]
    elif counted is None or not same(counted, x):
        return None
    if d < 1 or facts.interval(x).low < 0:
        return None
    least = facts.interval(counted).low >= 1
    if k < 0:
        return Interval(d >> (1 - k) if least else 0, (d - 1) >> -k)
    return Interval((d << k) >> 1 if least else 0, (d << k) - 1)


@about(_aten.sub.Tensor)
def remainder(facts: Facts, node: fx.Node) -> Interval | None:
    """``x - c * floor(x / c)`` lies between 0 and c, which it is not."""
    product = called(node.args[1], _aten.mul.Tensor)
    division = called(product[0], _aten.floor_divide.default) if product else None
    if not product or not division or not same(division[0], node.args[0]):
        return None
    c = division[1]
    if type(c) is not int or c == 0 or product[1] != c:
        return None
    return Interval(0, c - 1) if c > 0 else Interval(c + 1, 0)


@about(_aten.sub.Tensor)
def sum_of_shifts(facts: Facts, node: fx.Node) -> Interval | None:
    """``x + (x >> i) - (x >> j)`` never falls when x rises.

    One step of x raises ``x`` by 1, ``x >> i`` not below 0, ``x >> j`` by 1 at most.
    """
    less = called(node.args[1], _aten.bitwise_right_shift.Tensor_Scalar)
    more = called(node.args[0], _aten.add.Tensor)
    third = called(more[1], _aten.bitwise_right_shift.Tensor_Scalar) if more else None
    if not less or not more or not third:
        return None
    x, i, j = more[0], third[1], less[1]
    if not same(x, third[0]) or not same(x, less[0]):
        return None
    low, high = facts.interval(x).low, facts.interval(x).high
    return Interval(low + (low >> i) - (low >> j), high + (high >> i) - (high >> j))
