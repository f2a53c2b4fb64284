"""Cache of the constants that integer mode computes from parameters only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..qtensor import QTensor
from ..utils.trees import tree_leaves

#: Largest number of results; images of ever new sizes must not fill the memory.
_MAX_RESULTS = 256


class FoldedConstants:
    """Results of folded functions, by site and arguments.

    Arguments are compared by value: two image sizes may lead to different tensors of
    the same shape at a site.
    """

    def __init__(self) -> None:
        self._results: dict[tuple, list[tuple[list[Tensor], Any]]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Number of results that are kept."""
        return self._count

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
        self._count = 0

    def get(self, site: str, func: Any, tree: Any, compute: Callable[[], Any]) -> Any:
        """The cached result for these arguments, or a new one.

        Args:
            site: Name of the site.
            func: The torch function.
            tree: Its arguments.
            compute: Computes the result.
        """
        leaves = [x for x in tree_leaves(tree) if isinstance(x, Tensor)]
        tensors = [x.payload if isinstance(x, QTensor) else x for x in leaves]
        scales = [x.qparams for x in leaves if isinstance(x, QTensor)]
        key = (site, func, repr(_described(tree)), *scales)
        kept = self._results.setdefault(key, [])
        for arguments, result in kept:
            if all(map(torch.equal, arguments, tensors)):
                return _copied(result)
        result = compute()
        if self._count >= _MAX_RESULTS:
            self.clear()
            kept = self._results.setdefault(key, [])
        kept.append(([t.clone() for t in tensors], result))
        self._count += 1
        return _copied(result)


def _copied(result: Any) -> Any:
    """New QTensors with the same payload, because one may be changed in place."""
    return tree_map(
        lambda x: (
            QTensor(x.payload, x.qparams, x.source, constant=True)
            if isinstance(x, QTensor)
            else x
        ),
        result,
    )


def _described(tree: Any) -> Any:
    """Arguments with types and shapes instead of tensors."""

    def describe(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        numbers = x.payload if isinstance(x, QTensor) else x
        return type(x).__name__, numbers.dtype, numbers.device, tuple(numbers.shape)

    return tree_map(describe, tree)
