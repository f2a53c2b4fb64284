"""Translation of the nodes of a program to ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...ir.graph import Node, Operand, Program
from ...ir.moves import MOVES
from ...lowering.lower import lower
from .arithmetic import scaled
from .aten import translate
from .builder import Builder, Known, Ref, dtype_name
from .convolutions import convolution
from .moves import move
from .order import clamp
from .products import product


class Translator:
    """Translates the nodes of a program one after the other.

    Attributes:
        b: Builder of the ONNX graph.
        known: Values that are translated already, and tensors.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.b = program, Builder()
        self.known: dict[Operand, Known] = {}
        self.known.update(program.tensors.items())

    def node(self, node: Node) -> Ref:
        """Translate a node; returns its output, in the type of its value.

        Raises:
            ProgramError: If an operation has no counterpart.
        """
        self.b.scope = node.site or node.kind
        if node.kind in MOVES:
            return self._moved(node)
        special = _SPECIAL.get(node.kind)
        if special is None:
            lowered = lower(self.program, node)
            feeds = [self.known[feed] for feed in lowered.feeds]
            made = self.b.given(translate(self.b, lowered.graph, feeds))
        else:
            made = special(self, node, self.constants(node))
        value = self.program.values[node.output]
        clamped = clamp(self.b, made, value.low, value.high)
        return self.b.cast(clamped, dtype_name(value.dtype))

    def constants(self, node: Node) -> dict[str, Any]:
        """The constants of a node, with tensors in place of their names."""
        return {
            name: self.program.tensors[x] if isinstance(x, str) else x
            for name, x in node.constants.items()
        }

    def shape(self, operand: Operand) -> tuple[int, ...]:
        """Shape of an operand."""
        if isinstance(operand, str):
            return tuple(self.program.tensors[operand].shape)
        return self.program.values[operand].shape

    def _moved(self, node: Node) -> Ref:
        (x,) = node.operands
        return move(
            self.b,
            node.kind,
            self.b.given(self.known[x]),
            self.shape(x),
            node.attributes,
            **self.constants(node),
        )


def _requantize(t: Translator, node: Node, constants: Mapping[str, Any]) -> Ref:
    return _scaled(t.b, t.b.given(t.known[node.operands[0]]), constants)


def _matmul(t: Translator, node: Node, constants: Mapping[str, Any]) -> Ref:
    left, right = (t.known[x] for x in node.operands)
    terms = t.shape(node.operands[0])[-1]
    bound = constants['bound']
    x = product(t.b, 'MatMulInteger', left, right, terms, bound)
    return _scaled(t.b, x, constants)


def _linear(t: Translator, node: Node, constants: Mapping[str, Any]) -> Ref:
    x, weight = (t.known[x] for x in node.operands)
    assert isinstance(weight, Tensor)
    terms, bound = weight.shape[1], constants['bound']
    x = product(t.b, 'MatMulInteger', x, weight.t(), terms, bound)
    return scaled(t.b, x, *(constants[name] for name in _AFFINE))


def _conv2d(t: Translator, node: Node, constants: Mapping[str, Any]) -> Ref:
    x, weight = (t.known[x] for x in node.operands)
    shapes = t.shape(node.operands[0]), t.shape(node.operands[1])
    value = t.program.values[node.output]
    affine = [constants[name] for name in _AFFINE]

    def requantized(x: Ref, channels: int) -> Ref:
        """In the range and the type of the value; channels are the dimension -n."""
        each = (c.view(-1, *(1,) * (channels - 1)) for c in affine)
        clamped = clamp(t.b, scaled(t.b, x, *each), value.low, value.high)
        return t.b.cast(clamped, dtype_name(value.dtype))

    return convolution(
        t.b, x, weight, shapes, node.attributes, constants['bound'], requantized
    )


def _scaled(b: Builder, x: Ref, constants: Mapping[str, Any]) -> Ref:
    """:func:`iptq_mm.intmath.requantize`."""
    multiplier, shift = (torch.as_tensor(constants[k]) for k in ('multiplier', 'shift'))
    return scaled(b, x, multiplier, torch.ones_like(shift) << (shift - 1), shift)


_AFFINE = ('multiplier', 'offset', 'shift')

#: Kinds for which ONNX has better operators than the aten graph of the node uses.
_SPECIAL = {
    'linear': _linear,
    'conv2d': _conv2d,
    'matmul': _matmul,
    'requantize': _requantize,
}
