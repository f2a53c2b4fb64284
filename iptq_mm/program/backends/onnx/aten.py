"""Translation of graphs of aten operations (:mod:`...lowering.lower`) to ONNX.

A tensor in ONNX has the same integers as in torch, but not always the same type: bounds
are tracked, and integers that are known to fit 32 bits are computed in 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, fx

from ...ir.graph import ProgramError
from . import emitters  # noqa: F401  (they register)
from .builder import Builder, Known
from .calls import EMITTERS, Call

#: Keywords that do not change the integers, or that emitters consider.
_KEYWORDS = {'dtype', 'layout', 'device', 'pin_memory', 'rounding_mode'}


def translate(b: Builder, graph: fx.GraphModule, feeds: Sequence[Known]) -> Known:
    """Translate a graph; returns its output.

    Operations on constants are computed now.

    Raises:
        ProgramError: If there is no ONNX operator for an operation.
    """
    made: dict[fx.Node, Known] = {}
    given = iter(feeds)
    for node in graph.graph.nodes:
        if node.op == 'placeholder':
            made[node] = next(given)
        elif node.op == 'output':
            return made[node.args[0]]
        else:
            made[node] = _made(b, node, made)
    raise AssertionError('a graph without output')


def _made(b: Builder, node: fx.Node, made: dict[fx.Node, Known]) -> Known:
    if all(isinstance(made[x], Tensor) for x in node.all_input_nodes):
        args, kwargs = fx.map_arg((node.args, node.kwargs), made.__getitem__)
        return node.target(*args, **kwargs)  # type: ignore[operator]
    name = str(node.target).removeprefix('aten.')
    if name not in EMITTERS or not node.kwargs.keys() <= _KEYWORDS:
        raise ProgramError(
            f'no ONNX operators are known for {node.target} with {list(node.kwargs)}: '
            'choose another function for this site'
        )
    return EMITTERS[name](Call(b, node, made))
