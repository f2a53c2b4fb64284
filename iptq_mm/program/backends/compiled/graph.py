"""Whole-graph lowering: a program as one graph of aten operations, for a compiler.

The graphs of all nodes are concatenated. The ints of each node (multipliers, shifts,
bounds) become a tensor beside its weights instead of numbers in the code. Layers that
differ only in such numbers are then the same code, which is compiled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from ...ir.graph import Operand, Program
from ...lowering.lookup_tables import with_lookup_tables
from ...lowering.lower import lower

_aten = torch.ops.aten

#: Operation on a tensor and an int -> the same on two tensors.
_OF_TENSORS: dict[Any, Any] = {
    _aten.add.Tensor: _aten.add.Tensor,
    _aten.sub.Tensor: _aten.sub.Tensor,
    _aten.mul.Tensor: _aten.mul.Tensor,
    _aten.floor_divide.default: _aten.floor_divide.default,
    _aten.bitwise_left_shift.Tensor_Scalar: _aten.bitwise_left_shift.Tensor,
    _aten.bitwise_left_shift.Scalar_Tensor: _aten.bitwise_left_shift.Tensor,
    _aten.bitwise_right_shift.Tensor_Scalar: _aten.bitwise_right_shift.Tensor,
    _aten.clamp.default: _aten.clamp.Tensor,
    _aten.clamp_min.default: _aten.clamp_min.Tensor,
    _aten.clamp_max.default: _aten.clamp_max.Tensor,
}


def whole_graph(program: Program, device: torch.device) -> fx.GraphModule:
    """A module that maps the inputs of a program to the list of its outputs.

    Nodes are lowered in the spelling for compilers. Products are exact in any order of
    summation, and inputs are clamped to their bounds.

    Args:
        program: The program.
        device: Device of its weights and constants.
    """
    program, builder = with_lookup_tables(program), _Builder(device)
    known: dict[Operand, fx.Node] = {}
    for i, port in enumerate(program.inputs):
        value = program.values[port.value]
        given = builder.graph.placeholder(f'input_{i}')
        # Look-ups do not check that their argument lies within the table.
        known[port.value] = builder.graph.call_function(
            _aten.clamp.default, (given, value.low, value.high)
        )
    for node in program.nodes:
        for name in node.tensors:
            if name not in known:
                known[name] = builder.constant(program.tensors[name])
        lowered = lower(program, node, reference=False)
        feeds = [known[feed] for feed in lowered.feeds]
        known[node.output] = builder.inline(lowered.graph, feeds)
    builder.graph.output([known[port.value] for port in program.outputs])
    builder.graph.eliminate_dead_code()
    return fx.GraphModule(builder.root, builder.graph)


class _Builder:
    """Builds one graph from the graphs of nodes."""

    def __init__(self, device: torch.device) -> None:
        self.root, self.graph = torch.nn.Module(), fx.Graph()
        self.device = device
        self._count = 0
        self._known: dict[fx.Node, Tensor] = {}

    def constant(self, tensor: Tensor) -> fx.Node:
        """A constant tensor of the whole graph; operations on constants are folded."""
        node = self._held(tensor.to(self.device))
        self._known[node] = tensor.to(self.device)
        return node

    def _held(self, tensor: Tensor) -> fx.Node:
        name = f'constant_{self._count}'
        self._count += 1
        self.root.register_buffer(name, tensor)
        return self.graph.get_attr(name)

    def inline(self, part: fx.GraphModule, feeds: Sequence[fx.Node]) -> fx.Node:
        """Copy a node's graph into the whole graph; returns the copy of its output."""
        given, numbers = iter(feeds), iter(self._numbers(_ints(part.graph)))
        copies: dict[fx.Node, fx.Node] = {}
        for node in part.graph.nodes:
            if node.op == 'placeholder':
                copies[node] = next(given)
            elif node.op == 'output':
                return copies[node.args[0]]
            else:
                if node.target is _aten.as_strided.default:
                    x = node.args[0]
                    copies[x] = self._dense(copies[x], moved=len(node.args) > 3)
                copy = self.graph.node_copy(node, copies.__getitem__)
                if node.target is _aten.view.default:  # of a contiguous tensor
                    copy.target = _aten.reshape.default
                if self.device.type != 'cpu':
                    copy = self._for_gpu(copy)
                if node.target in _OF_TENSORS:
                    copy.target = _OF_TENSORS[node.target]
                    copy.args = tuple(
                        next(numbers) if type(a) is int else a for a in copy.args
                    )
                copies[node] = self._folded(copy)
        raise AssertionError('a graph without output')

    def _for_gpu(self, node: fx.Node) -> fx.Node:
        """The node; another one if its kernel for GPUs wants more, or may round."""
        if 'device' in node.kwargs:  # of tensors that it makes
            node.kwargs = {**node.kwargs, 'device': self.device}
        if node.target is _aten._int_mm.default:
            node.target = torch.ops.iptq_mm.int8_mm.default
        if node.target is _aten.convolution.default:
            # See integer_conv2d: a convolution may use Fourier transforms.
            return self.graph.call_function(_aten.round.default, (node,))
        return node

    def _numbers(self, ints: list[int]) -> list[fx.Node]:
        """Ints as the elements of one tensor."""
        if not ints:
            return []
        held, count = self._held(torch.tensor(ints).to(self.device)), len(ints)
        return [
            self.graph.call_function(_aten.select.int, (held, 0, i))
            for i in range(count)
        ]

    def _dense(self, x: fx.Node, moved: bool) -> fx.Node:
        """``x`` contiguous; ``moved``: at the beginning of memory of its own, too."""
        function = _aten.clone if moved else _aten.contiguous
        options: dict[str, Any] = {'memory_format': torch.contiguous_format}
        return self._folded(self.graph.call_function(function.default, (x,), options))

    def _folded(self, node: fx.Node) -> fx.Node:
        """The node; if it depends on constants only, a constant computed now."""
        taken = node.all_input_nodes
        if not taken or not all(x in self._known for x in taken):
            return node
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._known.__getitem__)
        result = node.target(*args, **kwargs)  # type: ignore[operator]
        self.graph.erase_node(node)
        return self.constant(result)


def _ints(graph: fx.Graph) -> list[int]:
    """The ints that operations of :data:`_OF_TENSORS` take, in order."""
    return [
        a
        for node in graph.nodes
        if node.target in _OF_TENSORS
        for a in node.args
        if type(a) is int
    ]
