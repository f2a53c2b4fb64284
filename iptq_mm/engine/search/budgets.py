"""Budgets of a search, as a command line gives them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from ...calibration import ConfigError
from .choices import COSTS, Unit, total, uniform

Budgets = dict[str, float]


def read_budgets(given: Sequence[str], units: Sequence[Unit]) -> list[Budgets]:
    """The budgets of each point, from texts such as ``bytes=3e6,2.5e6`` or ``ms=W8A8``.

    A value is a number (bytes of all weights, milliseconds of an image, or relative
    squared error of the outputs), or names a uniform model whose figure it is. ``W4A8``
    is that of 4-bit weights and 8-bit activations, ``W4A8..W8A8/5`` are five values
    from the one to the other, evenly spaced. Several values of one budget are as many
    points; of several budgets, all combinations.

    Args:
        given: One text for each budget.
        units: With the choices of the search.

    Raises:
        ConfigError: If a text cannot be read.
    """
    values: dict[str, list[float]] = {}
    for text in given:
        name, equals, rest = text.partition('=')
        if name not in COSTS or not equals or not rest:
            raise ConfigError(
                f'--budget {text}: write NAME=VALUE, with a name of {[*COSTS]} and a '
                'number, W4A8 or several of these with commas'
            )
        for part in rest.split(','):
            values.setdefault(name, []).extend(_values(name, part.strip(), units))
    if not values:
        raise ConfigError('a search needs a --budget: bytes=..., ms=... or loss=...')
    return [
        dict(zip(values, point, strict=True))
        for point in itertools.product(*values.values())
    ]


def _values(name: str, text: str, units: Sequence[Unit]) -> list[float]:
    found = re.fullmatch(r'(.+)\.\.(.+)/(\d+)', text)
    if found is None:
        return [_value(name, text, units)]
    first, last = (_value(name, found[i], units) for i in (1, 2))
    count = int(found[3])
    if count < 2:
        raise ConfigError(f'--budget {name}={text}: from one value to another are 2')
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def _value(name: str, text: str, units: Sequence[Unit]) -> float:
    bits = re.fullmatch(r'[wW](\d)[aA](\d)', text)
    if bits is not None:
        return total(uniform(units, int(bits[1]), int(bits[2])), name)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float('inf'):
        raise ConfigError(
            f'--budget {name}={text}: give a number above 0, or a model such as W4A8'
        )
    return value
