"""The ``reference`` back end: node by node, with torch's integer operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...registry import BACKENDS
from ..ir.graph import Program
from ..ir.semantics import node_function
from .base import Backend, Executable


class NodeByNode(Executable):
    """A program whose nodes are computed one after the other.

    Args:
        program: The program.
        device: Device of its inputs and outputs.
    """

    def __init__(self, program: Program, device: torch.device) -> None:
        super().__init__(program)
        self._tensors = {name: t.to(device) for name, t in program.tensors.items()}
        self._nodes = [
            (
                node_function(node, program.values[node.output]),
                node.operands,
                {
                    name: self._tensors[x] if isinstance(x, str) else x
                    for name, x in node.constants.items()
                },
                node.output,
                done,
            )
            for node, done in zip(program.nodes, program.last_uses(), strict=True)
        ]

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        ports = self.program.inputs
        known: dict[int | str, Tensor] = dict(self._tensors.items())
        known.update((p.value, x) for p, x in zip(ports, integers, strict=True))
        for compute, operands, constants, output, done in self._nodes:
            known[output] = compute([known[x] for x in operands], constants)
            for value in done:
                del known[value]
        return [known[port.value] for port in self.program.outputs]


def run(program: Program, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run a program once.

    Args:
        program: The program.
        inputs: Integers, of the types, shapes and bounds of its input values.

    Returns:
        The integers of its outputs.

    Raises:
        ValueError: If an input is not what the program was made for.
    """
    check_inputs(program, inputs)
    device = inputs[0].device if inputs else torch.device('cpu')
    return NodeByNode(program, device).run(inputs)


def check_inputs(program: Program, inputs: Sequence[Tensor]) -> None:
    """Check that integers are of the types, shapes and bounds that a program takes.

    Raises:
        ValueError: If not; the message says what the program takes.
    """
    where = f'program of {program.region}'
    if len(inputs) != len(program.inputs):
        takes = [str(program.values[port.value]) for port in program.inputs]
        raise ValueError(
            f'{where}: it takes {len(takes)} inputs and was given {len(inputs)}; give '
            f'integer tensors of types, shapes and bounds {takes}, in this order'
        )
    for i, (port, x) in enumerate(zip(program.inputs, inputs, strict=True)):
        value = program.values[port.value]
        if (x.dtype, tuple(x.shape)) != (value.dtype, value.shape):
            advice = (
                '; run() takes integers: for real tensors, use Deployed'
                if x.is_floating_point()
                else ''
            )
            raise ValueError(
                f'{where}: input {i} takes {value.dtype} of shape {value.shape} and '
                f'was given {x.dtype} of shape {tuple(x.shape)}{advice}'
            )
        if not x.numel():
            continue
        low, high = int(x.min()), int(x.max())
        if not value.low <= low <= high <= value.high:
            raise ValueError(
                f'{where}: input {i} takes integers in {value.low}..{value.high} and '
                f'was given {low}..{high}; quantize it with this range'
            )


@BACKENDS.register_module('reference')
class Reference(Backend):
    """Torch's integer operations, one after the other, on any device.

    Its conversions are torch's, too: it depends on no library.
    """

    def prepare(self, program: Program, device: torch.device) -> Executable:
        """See the base class."""
        return NodeByNode(program, device)
