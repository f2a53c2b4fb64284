"""Calls of modules that stay float, between the parts of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten


@dataclass(frozen=True)
class FloatCall:
    """One call of a module that stays float, as it was traced.

    Attributes:
        path: Path of the module in its region.
        forward: Its ``forward``.
        leaves: Its arguments; an :class:`int` stands for the output of the program
            with this position (real tensors that depend on the region's inputs).
        given: Positions in ``leaves`` of those outputs.
        spec: How the arguments are nested.
        returned: Positions of the inputs of the program that its results are, in order.
    """

    path: str
    forward: Callable[..., Any]
    leaves: list[Any]
    given: list[int]
    spec: Any
    returned: list[int]

    def __call__(self, reals: Sequence[Tensor]) -> list[Tensor]:
        """Its float results.

        Args:
            reals: Float tensors in the place of the outputs in ``given``.
        """
        leaves = list(self.leaves)
        for position, real in zip(self.given, reals, strict=True):
            leaves[position] = real
        args, kwargs = tree_unflatten(leaves, self.spec)
        device = reals[0].device.type if reals else 'cpu'
        with torch.no_grad(), torch.autocast(device, enabled=False):
            return results_of(self.forward(*args, **kwargs))

    @property
    def outputs(self) -> list[int]:
        """Positions of the outputs of the program that it takes."""
        return [self.leaves[position] for position in self.given]


def results_of(result: Any) -> list[Tensor]:
    """The float tensors that a module returned, in order."""
    leaves = tree_flatten(result)[0]
    return [
        x.float() for x in leaves if isinstance(x, Tensor) and x.is_floating_point()
    ]
