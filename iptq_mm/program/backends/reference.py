"""Running a program with torch's integer operations, node by node."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...registry import BACKENDS
from ..ir.graph import Program
from ..ir.semantics import node_function
from .base import Backend, Runner


def runner(program: Program, device: torch.device, blocks: bool = True) -> Runner:
    """A function that runs a program; see :func:`node_function`."""
    tensors = {name: t.to(device) for name, t in program.tensors.items()}
    steps = [
        (
            node_function(node, program.values[node.output], blocks),
            node.operands,
            {k: tensors[v] if isinstance(v, str) else v for k, v in c.items()},
            node.output,
            done,
        )
        for node, done in zip(program.nodes, program.last_uses(), strict=True)
        for c in (node.constants,)
    ]

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        ports = program.inputs
        known: dict[int | str, Tensor] = dict(tensors.items())
        known.update((p.value, x) for p, x in zip(ports, inputs, strict=True))
        for compute, operands, constants, output, done in steps:
            known[output] = compute([known[x] for x in operands], constants)
            for value in done:
                del known[value]
        return [known[port.value] for port in program.outputs]

    return run


def run(program: Program, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run a program once.

    Args:
        program: The program.
        inputs: Integers, of the types, shapes and bounds of its input values.

    Raises:
        ValueError: If an input is not what the program was made for.
    """
    check_inputs(program, inputs)
    device = inputs[0].device if inputs else torch.device('cpu')
    return runner(program, device)(inputs)


def check_inputs(program: Program, inputs: Sequence[Tensor]) -> None:
    """Raise ValueError unless the inputs are those that a program is for."""
    if len(inputs) != len(program.inputs):
        raise ValueError(f'{len(inputs)} inputs for {len(program.inputs)}')
    for port, x in zip(program.inputs, inputs, strict=True):
        value = program.values[port.value]
        if (x.dtype, tuple(x.shape)) != (value.dtype, value.shape):
            raise ValueError(
                f'{x.dtype} of shape {tuple(x.shape)} for input %{port.value}, which '
                f'is {value.dtype} of shape {value.shape}'
            )
        if x.numel() and not value.low <= int(x.min()) <= int(x.max()) <= value.high:
            raise ValueError(
                f'input %{port.value} lies within {value.low}..{value.high}'
            )


@BACKENDS.register_module('reference')
class Reference(Backend):
    """Torch's integer operations, one after the other, on any device."""

    def prepare(self, program: Program, device: torch.device) -> Runner:
        """See the base class."""
        return runner(program, device)
