"""Calls of a sub-module that can be made again: arguments without their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from ...intmath import QParams
from ...qtensor import QTensor, WeightQParams
from ..kept_tensors import Kept, Memory


@dataclass(frozen=True)
class Value:
    """A QTensor whose numbers are kept.

    Attributes:
        numbers: Its payload.
        qparams: As those of the QTensor are, and so on.
        source: See there.
        constant: See there.
        factor: See there.
        zero_point: See there.
    """

    numbers: Kept
    qparams: QParams | WeightQParams | None
    source: str
    constant: bool
    factor: float
    zero_point: tuple[int, ...] | None

    @classmethod
    def of(cls, x: QTensor, memory: Memory) -> Value:
        """Keep a QTensor."""
        return cls(
            memory.keep(x.payload),
            x.qparams,
            x.source,
            x.constant,
            x.factor,
            x.zero_point,
        )

    def tensor(self, payload: Tensor | None = None) -> QTensor:
        """A new QTensor with these numbers, or with others in their place."""
        if payload is None:
            payload = self.numbers.read()
        x = QTensor(payload, self.qparams, self.source, self.constant)
        x.factor, x.zero_point = self.factor, self.zero_point
        return x


class _Hole:
    """Stands where a QTensor was."""


@dataclass(frozen=True)
class Form:
    """The arguments of a call, with holes in the place of QTensors."""

    leaves: list[Any]
    spec: TreeSpec

    @classmethod
    def of(cls, arguments: Any) -> Form:
        """The form of arguments."""
        leaves, spec = tree_flatten(arguments)
        held = [_Hole() if isinstance(x, QTensor) else x for x in leaves]
        return cls(held, spec)

    def filled(self, tensors: Sequence[QTensor]) -> Any:
        """The arguments with these QTensors."""
        following = iter(tensors)
        leaves = [next(following) if isinstance(x, _Hole) else x for x in self.leaves]
        return tree_unflatten(leaves, self.spec)


def qtensors(tree: Any) -> list[QTensor]:
    """The QTensors in arguments or results, in their order."""
    return [x for x in tree_flatten(tree)[0] if isinstance(x, QTensor)]
