"""Samples that were read before: most phases go through all calibration images."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map_only

#: Most bytes that samples of calibration images may take.
MAX_BYTES = 2**28
_PROTOCOL = pickle.HIGHEST_PROTOCOL


class KeptSamples:
    """Samples by position, as bytes: each time they are asked for, they are new ones.

    The model may write into what it gets. What does not fit is read again.

    Args:
        limit: Most bytes.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._room = limit
        self._kept: dict[int, bytes] = {}

    def has(self, positions: Iterable[int]) -> bool:
        """Whether the samples at all these positions are kept."""
        return all(position in self._kept for position in positions)

    def get(self, position: int) -> Any:
        """A sample that is kept."""
        return pickle.loads(self._kept[position])

    def keep(self, position: int, sample: Any) -> None:
        """Keep a sample, if there is room."""
        if position in self._kept or self._room <= 0:
            return
        try:
            made = pickle.dumps(tree_map_only(Tensor, _own, sample), _PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError):
            self._room = 0  # nor will the others
            return
        if len(made) <= self._room:
            self._room -= len(made)
            self._kept[position] = made


def _own(x: Tensor) -> Tensor:
    """A tensor without the rest of the memory that it is a view of."""
    return x.clone() if x.untyped_storage().nbytes() > x.nbytes else x
