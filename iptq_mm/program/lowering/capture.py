"""Capture of a Python function as a graph of aten operations, none of them in place."""

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

#: Python's operators are separate aten operations, whose in-place forms
#: (``__irshift__``) functionalization does not know -> the same operations under names
#: that it knows.
_OPERATORS: dict[Any, Callable] = {
    Tensor.__lshift__: torch.bitwise_left_shift,
    Tensor.__rshift__: torch.bitwise_right_shift,
    Tensor.__and__: torch.bitwise_and,
    Tensor.__ilshift__: Tensor.bitwise_left_shift_,
    Tensor.__irshift__: Tensor.bitwise_right_shift_,
    Tensor.__iand__: Tensor.bitwise_and_,
}


class _KnownOperators(TorchFunctionMode):
    """Calls the functions of :data:`_OPERATORS`, and further ones, in place of others.

    Args:
        spellings: Torch function -> the function to call instead.
    """

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
    """The aten operations that a function of tensors calls, as a graph.

    Args:
        run: A function of tensors that uses no other tensors. It is called with fake
            tensors, so nothing is computed.
        example: Contiguous tensors with the shapes and types of its arguments.
        spellings: Torch function -> the function to capture instead.

    Returns:
        The graph; no operation in it works in place.
    """

    def known(*inputs: Tensor) -> Any:
        with _KnownOperators(spellings or {}):
            return run(*inputs)

    with TRACING:
        graph = make_fx(functionalize(known), tracing_mode='fake')(*example)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph
