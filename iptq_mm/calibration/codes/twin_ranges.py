"""A fine and a coarse grid."""

from __future__ import annotations

from collections.abc import Iterator

from ...registry import CODES
from .base import Codes
from .mass import Mass

#: Coarse steps over fine ones, as powers of two.
_POWERS = (1, 2, 3, 4, 5)
#: Windows of the fine grid that are tried.
_WINDOWS = 5


@CODES.register_module('twin_ranges')
class TwinRanges(Codes):
    """Half of the levels in steps of 1 about 0, the others in steps of ``2**k`` beyond.

    One bit of a code tells which half it belongs to, and the level is a sum or a
    shift: no table is needed. The idea of the twin uniform quantization of PTQ4ViT
    (Yuan et al., arXiv 2111.12293, section 3.1), which splits at 0; here the fine half
    extends to both sides of it.
    """

    def choices(self, mass: Mass, count: int) -> Iterator[tuple[int, ...]]:
        """Levels of several windows of the fine grid, and steps of the coarse one."""
        half = count // 2
        least = max(mass.qmin, 1 - half)
        starts = {least - least * i // (_WINDOWS - 1) for i in range(_WINDOWS)}
        for start in sorted(starts):
            fine = range(start, min(start + half, mass.qmax + 1))
            for power in _POWERS:
                step = 1 << power
                first = -(-mass.qmin // step) * step
                beyond = [q for q in range(first, mass.qmax + 1, step) if q not in fine]
                nearest = sorted(beyond, key=abs)[: count - len(fine)]
                yield tuple(sorted([*fine, *nearest]))
