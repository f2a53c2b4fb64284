"""Sums of floats that depend neither on their order nor on how they are divided."""

from __future__ import annotations

from collections.abc import Sequence

#: Every finite float is a whole multiple of 2**-1074.
_UNIT = 1074


class ExactSum:
    """The sum of any number of floats, without rounding until it is read.

    It is kept as a whole number of units of ``2**-1074``, at most about 2200 bits.

    Args:
        value: What it starts with.

    Example::

        >>> total = ExactSum()
        >>> for value in (1e100, 1.0, -1e100):
        ...     total.add(value)
        >>> float(total)
        1.0
    """

    __slots__ = ('_special', '_units')

    def __init__(self, value: float = 0.0) -> None:
        self._units = 0
        #: Infinite values and NaN, which have no units.
        self._special = 0.0
        self.add(value)

    def add(self, value: float) -> None:
        """Add a number, which may be infinite or NaN."""
        try:
            numerator, denominator = value.as_integer_ratio()
        except (OverflowError, ValueError):
            self._special += value
            return
        # The denominator is a power of two.
        self._units += numerator << (_UNIT + 1 - denominator.bit_length())

    def add_product(self, value: float, times: int) -> None:
        """Add ``value * times``, which is not rounded either."""
        product = ExactSum(value)
        self._units += product._units * times
        self._special += product._special

    def merge(self, other: ExactSum) -> None:
        """Add another sum."""
        self._units += other._units
        self._special += other._special

    def over(self, count: int) -> float:
        """The sum divided by a count, rounded once."""
        return self._special or self._units / (count << _UNIT)

    def __float__(self) -> float:
        """The sum, rounded once; infinity if it is too large."""
        try:
            return self.over(1)
        except OverflowError:
            return float('inf') if self._units > 0 else float('-inf')


#: By name, several sums.
Sums = dict[str, list[ExactSum]]


def add_by_image(sums: Sums, name: str, values: Sequence[Sequence[float]]) -> None:
    """Add numbers to several sums of one name.

    Args:
        sums: What is added to.
        name: The name.
        values: For each of its sums, what is added, by image.
    """
    totals = sums.setdefault(name, [ExactSum() for _ in values])
    for total, added in zip(totals, values, strict=True):
        for value in added:
            total.add(value)


def merge_sums(sums: Sums, other: Sums) -> None:
    """Add the sums of another process, in place."""
    for name, added in other.items():
        mine = sums.setdefault(name, [ExactSum() for _ in added])
        for total, more in zip(mine, added, strict=True):
            total.merge(more)
