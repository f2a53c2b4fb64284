"""What is known of the values of an aten graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from .interval import Interval, Unproven


@dataclass(frozen=True)
class Peak:
    """More of some elements: those where a row of another value has its maximum.

    Attributes:
        source: The distances to the maximum of each row; 0 there.
        interval: Holds the elements at these places.
    """

    source: fx.Node
    interval: Interval


@dataclass(frozen=True)
class Fact:
    """What is known of the elements of a tensor, for any input within bounds.

    Attributes:
        interval: Holds all of them.
        tensor: The tensor itself, if no input changes it.
        peak: More of some of them.
    """

    interval: Interval
    tensor: Tensor | None = None
    peak: Peak | None = None

    @classmethod
    def of_tensor(cls, tensor: Tensor) -> Fact:
        """All of a constant."""
        return cls(Interval.of_tensor(tensor), tensor)


class Facts(dict[fx.Node, Fact]):
    """Facts by node of the graph."""

    def interval(self, x: Any) -> Interval:
        """Of a node, or of a number.

        Raises:
            Unproven: If it is neither.
        """
        if isinstance(x, fx.Node):
            return self[x].interval
        if isinstance(x, bool | int):
            return Interval.point(int(x))
        raise Unproven(f'{x!r} is no integer')

    def peak(self, x: fx.Node) -> Peak | None:
        """Of a node, if there is one."""
        return self[x].peak


def shape_of(node: Any) -> tuple[int, ...]:
    """Shape of what a node makes."""
    return tuple(node.meta['val'].shape)


def numel(node: Any) -> int:
    """Elements of what a node makes."""
    return math.prod(shape_of(node))


def terms_of(node: fx.Node) -> int:
    """How many elements of its argument each element of a sum adds up."""
    return numel(node.args[0]) // max(1, numel(node))
