"""The forms that a weight may have: bits, and inputs that share a factor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ....intmath.weight_codes import most_factor


class WeightForm(NamedTuple):
    """Bits of a weight, and how many inputs of an output channel share a factor.

    Attributes:
        bits: Bits of a code.
        group: Inputs that share a factor; 0: none do.
    """

    bits: int
    group: int = 0

    def steps_to(self, finer: WeightForm) -> int | None:
        """How many steps finer another one is; None: it is coarser in some respect.

        More bits are finer, and so are smaller groups.
        """
        reach, other = _reach(self), _reach(finer)
        if finer.bits < self.bits or other > reach:
            return None
        return finer.bits - self.bits + (other < reach)

    def __str__(self) -> str:
        return f'{self.bits}/{self.group}'

    @classmethod
    def read(cls, text: str) -> WeightForm:
        """Inverse of ``str``.

        Raises:
            ValueError: If it is no such text.
        """
        bits, group = text.split('/')
        return cls(int(bits), int(group))


def weight_form(bits: int, group: int) -> WeightForm:
    """A form whose codes bear factors, or else has none."""
    return WeightForm(bits, group if most_factor(bits) > 1 else 0)


def weight_forms(widths: Iterable[int], groups: Iterable[int]) -> list[WeightForm]:
    """Each width with each size of groups, none twice."""
    sizes = list(groups)
    return sorted({weight_form(bits, group) for bits in widths for group in sizes})


def _reach(form: WeightForm) -> float:
    """Inputs that share a step; one, where bits are so many that nothing is shared."""
    if most_factor(form.bits) < 2:
        return 1.0
    return form.group or math.inf
