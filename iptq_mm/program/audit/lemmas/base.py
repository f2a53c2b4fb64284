"""The table of lemmas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from torch import fx

from ..facts import Facts
from ..interval import Interval

Lemma = Callable[[Facts, fx.Node], Interval | None]

#: Operation -> lemmas about its results.
LEMMAS: dict[Any, list[Lemma]] = defaultdict(list)


def about(operation: Any) -> Callable[[Lemma], Lemma]:
    """Registers a lemma about the results of an aten operation."""

    def register(lemma: Lemma) -> Lemma:
        LEMMAS[operation].append(lemma)
        return lemma

    return register
