"""The native back end with one instruction set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iptq_mm.native import library

from ..cases import Case
from .base import Prepared, Unavailable
from .integer import IntegerModel


class NativeLevel(IntegerModel):
    """``integer_native`` by another instruction set than the best.

    Args:
        level: Its name, see ``iptq_mm.native.library.levels``.
    """

    def __init__(self, level: str) -> None:
        super().__init__(f'native_{level}', 'native')
        self.level = level

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        if not library.available() or self.level not in library.levels():
            raise Unavailable(f'this CPU has no {self.level}')
        return Prepared(self._by_level(super().prepare(case).call))

    def _by_level(self, call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            best = library.use_level(self.level)
            try:
                return call()
            finally:
                library.use_level(best)

        return run
