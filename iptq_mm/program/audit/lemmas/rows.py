"""Lemmas about rows: Softmax and LayerNorm."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from ..facts import Facts, shape_of, terms_of
from ..interval import Interval
from ..patterns import (
    called,
    centred_row,
    either_way,
    plus_constant,
    row_maximum,
    row_moments,
    row_sum,
    same,
    square,
)
from .base import about
from .numbers import root_of

_aten = torch.ops.aten


@about(_aten.sub.Tensor)
def distance_to_the_maximum(facts: Facts, node: fx.Node) -> Interval | None:
    """``max(x) - x`` of a row is never negative, nor is ``max(x, c) - x``."""
    for sign, (most, x) in zip((1, -1), either_way(node.args), strict=True):
        clamped = called(most, _aten.clamp_min.default)
        row = row_maximum(clamped[0] if clamped else most)
        if row is not None and same(row, x):
            reach = (facts.interval(most) - facts.interval(x)).high
            return Interval(0, reach) if sign == 1 else Interval(-reach, 0)
    return None


@about(_aten.sum.dim_IntList)
def largest_of_a_row(facts: Facts, node: fx.Node) -> Interval | None:
    """A sum over a row has the term at the row's maximum, and others.

    A function of the distance to the maximum is known there: the distance is 0.
    """
    x = row_sum(node)
    peak = facts.peak(x) if x is not None else None
    if peak is None or shape_of(peak.source) != shape_of(x):
        return None
    return peak.interval + facts.interval(x) * Interval.point(terms_of(node) - 1)


@about(_aten.mul.Tensor)
def share_of_a_sum(facts: Facts, node: fx.Node) -> Interval | None:
    """``e * floor(d / t) <= d`` where ``0 <= e <= t``: e is a term of the sum t.

    If t was clamped to at most c, either that holds or t is c.
    """
    for e, quotient in either_way(node.args):
        division = called(quotient, _aten.floor_divide.default)
        if division is None or facts.interval(e).low < 0:
            continue
        d, t = map(facts.interval, division)
        clamps = _clamps_of_sum_with(facts, division[1], e)
        if clamps is not None and d.low >= 0 and t.low >= 1:
            most = facts.interval(e).high
            return Interval(0, max([d.high, *(most * (d.high // c) for c in clamps)]))
    return None


def _clamps_of_sum_with(facts: Facts, t: Any, e: Any) -> list[int] | None:
    """What t is clamped to, a sum of e and nothing negative; None if it is none."""
    if (args := called(t, _aten.clamp_min.default)) is not None:
        return _clamps_of_sum_with(facts, args[0], e)
    if (args := called(t, _aten.clamp.default)) is not None and len(args) == 3:
        inner = _clamps_of_sum_with(facts, args[0], e)
        return None if inner is None else [*inner, args[2]]
    row, terms = row_sum(t), called(t, _aten.add.Tensor)
    if row is not None and same(row, e):
        return []
    for one, other in either_way(terms) if terms else ():
        if same(one, e) and facts.interval(other).low >= 0:
            return []
    return None


@about(_aten.sub.Tensor)
def variance_of_a_row(facts: Facts, node: fx.Node) -> Interval | None:
    """``n * sum(q*q) - sum(q)**2`` is n*n times the variance.

    It is not negative (Cauchy and Schwarz), and the variance is at most a quarter of
    the span squared (Popoviciu).
    """
    q = row_moments(node)
    if q is None:
        return None
    interval, n = facts.interval(q), shape_of(q)[-1]
    return Interval(0, (n * (interval.high - interval.low)) ** 2 // 4)


@about(_aten.sum.dim_IntList)
def deviations_from_the_rounded_mean(facts: Facts, node: fx.Node) -> Interval | None:
    """``sum((x - m)**2)`` of n numbers, m their mean rounded to an integer.

    About the mean itself it is n times the variance, at most n/4 times the span
    squared (Popoviciu); about m, less than 1/2 off, it is n/4 more at most.
    """
    y = square(row_sum(node))
    difference = called(y, _aten.sub.Tensor)
    mean = called(difference[1], _aten.floor_divide.default) if difference else None
    if difference is None or mean is None:
        return None
    x, n = difference[0], shape_of(y)[-1]
    total, half = plus_constant(mean[0])
    row = row_sum(total)
    if row is None or not same(row, x) or (half, mean[1]) != (n // 2, n):
        return None
    interval = facts.interval(x)
    return Interval(0, n * ((interval.high - interval.low) ** 2 + 1) // 4)


@about(_aten.mul.Tensor)
def normalized_row(facts: Facts, node: fx.Node) -> Interval | None:
    """``y * floor(a / r)``, ``r = floor(sqrt(v * 2**s + e))``, v a sum of squares.

    A part of a sum of squares is none larger: ``y*y <= v`` where v is the sum of
    ``y*y``. Where ``y = n*q - sum(q)`` and v is n*n times the variance, y adds up to 0
    over the row and ``y*y <= (n-1) * v`` (Samuelson). With ``y*y <= c*v`` and
    ``v * 2**s + e <= r*r + 2*r``, ``(y*a/r)**2`` is at most
    ``c*a*a/2**s * (1 + 2/r - e/(r*r))``, which is largest at ``r = e``.
    """
    for y, quotient in either_way(node.args):
        division = called(quotient, _aten.floor_divide.default)
        radicand = root_of(facts, division[1]) if division else None
        shifted, e = plus_constant(radicand)
        shift = called(shifted, _aten.bitwise_left_shift.Tensor_Scalar)
        if not division or not shift or type(division[0]) is not int:
            continue
        a, (v, s) = division[0], shift
        if a < 0 or e < 1:
            continue
        row, q = square(row_sum(v)), row_moments(v)
        if row is not None and same(row, y):
            c = 1
        elif q is not None and same(q, centred_row(y)):
            c = shape_of(y)[-1] - 1
        else:
            continue
        most = math.isqrt(c * a * a * (e + 1) // (e << s))
        return Interval(-most, most)
    return None
