"""An aten operation to be expressed by ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from .builder import Builder, Known, Ref, dtype_name

#: From the name of an aten operation to what expresses it.
EMITTERS: dict[str, Callable[[Call], Ref]] = {}


class Call:
    """An aten operation to be expressed.

    Attributes:
        b: The graph.
        node: The operation.
        args: Its arguments; tensors are :data:`Known`.
        dtype: Type of torch's result.
        shape: Shape of the result.
    """

    def __init__(self, b: Builder, node: fx.Node, made: dict[fx.Node, Known]) -> None:
        result = node.meta['val']
        self.b, self.node = b, node
        self.args: list[Any] = list(fx.map_arg(node.args, made.__getitem__))
        self.dtype = dtype_name(result.dtype)
        self.shape = tuple(result.shape)

    def arg(self, position: int, default: Any = None) -> Any:
        """An argument, ``default`` where it is left out."""
        return self.args[position] if position < len(self.args) else default

    def ref(self, position: int) -> Ref:
        """An argument as a tensor of the graph."""
        return self.b.given(self.args[position])

    def input_shape(self) -> tuple[int, ...]:
        """Shape of the first argument."""
        return tuple(self.node.args[0].meta['val'].shape)  # type: ignore[union-attr]


_Emit = Callable[[Call], Ref]


def emits(*names: str) -> Callable[[_Emit], _Emit]:
    """Decorator: the function expresses these operations."""

    def register(emit: _Emit) -> _Emit:
        EMITTERS.update(dict.fromkeys(names, emit))
        return emit

    return register
