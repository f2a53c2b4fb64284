"""From functions that run to graphs of aten operations, in functional form."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

#: torch's tracer and compiler change functions of torch for the whole process while
#: they work: one thread at a time.
TRACING = threading.RLock()

#: Python's operators are aten operations of their own, which functionalization does
#: not know in place (``__irshift__``); these are the same by another name.
_OPERATORS: dict[Any, Callable] = {
    Tensor.__lshift__: torch.bitwise_left_shift,
    Tensor.__rshift__: torch.bitwise_right_shift,
    Tensor.__and__: torch.bitwise_and,
    Tensor.__ilshift__: Tensor.bitwise_left_shift_,
    Tensor.__irshift__: Tensor.bitwise_right_shift_,
    Tensor.__iand__: Tensor.bitwise_and_,
}


class _KnownOperators(TorchFunctionMode):
    """Puts the functions of :data:`_OPERATORS`, and others, in the place of some."""

    def __init__(self, spellings: Mapping[Any, Callable]) -> None:
        super().__init__()
        self._functions = {**_OPERATORS, **spellings}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return self._functions.get(func, func)(*args, **(kwargs or {}))


def aten_graph(
    run: Callable,
    example: Sequence[Tensor],
    spellings: Mapping[Any, Callable] | None = None,
) -> fx.GraphModule:
    """The aten operations that a function consists of, none of them in place.

    Args:
        run: A function of tensors; it uses no others. Nothing is computed.
        example: Contiguous tensors of the shapes and types that it will get.
        spellings: Functions that shall run in the place of others.
    """

    def known(*inputs: Tensor) -> Any:
        with _KnownOperators(spellings or {}):
            return run(*inputs)

    with TRACING:
        graph = make_fx(functionalize(known), tracing_mode='fake')(*example)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph
