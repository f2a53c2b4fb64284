"""Running a program with torch's integer operations, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..functions import Constants, IntegerFunction
from ..intmath.dyadic import Dyadic, requantize
from ..modes.blocks import in_blocks
from ..operations import OPERATIONS
from ..registry import BACKENDS, FUNCTIONS
from .backend import Backend, Runner
from .graph import Node, Program, ProgramError, Value
from .moves import MOVES, move

#: From the operands of a node and its constants to its output.
Step = Callable[[Sequence[Tensor], Constants], Tensor]


def step(node: Node, value: Value, blocks: bool = True) -> Step:
    """What a node does.

    Args:
        node: The node.
        value: What it makes.
        blocks: Work through large operands in blocks that fit the cache; not where
            a compiler shall see the whole.

    Raises:
        ProgramError: If it is of a kind that this version does not know.
    """
    if node.kind in MOVES:
        return lambda x, constants: move(node.kind, x[0], node.attributes, **constants)
    compute = _computation(node, value)

    def stored(operands: Sequence[Any], constants: Constants) -> Tensor:
        wide = compute(operands, constants)
        return wide.clamp(value.low, value.high).to(value.dtype)

    if not blocks:
        return stored
    return lambda operands, constants: in_blocks(
        node.kind, operands, lambda block: stored(block, constants)
    )


def _computation(node: Node, value: Value) -> Step:
    """The same for kinds that compute, not clamped."""
    if node.function is not None:
        function: IntegerFunction = FUNCTIONS.build(dict(node.function))
        return lambda x, constants: function.integer(x[0], constants)
    if node.kind in OPERATIONS:
        operation = OPERATIONS[node.kind]
        return lambda x, constants: operation.integer(x, constants, node.attributes)
    if node.kind == 'requantize':
        return lambda x, c: requantize(x[0], Dyadic(c['multiplier'], c['shift']))
    if node.kind == 'shifted':
        return lambda x, c: x[0].long() + c['addend']
    if node.kind == 'negate':
        return lambda x, c: -x[0].to(value.dtype)
    if node.kind == 'amplify':
        dtype = value.dtype
        return lambda x, c: x[0].to(dtype) << c['powers'].to(dtype)
    raise ProgramError(f"a node of kind '{node.kind}': iptq_mm knows none such")


def runner(program: Program, device: torch.device, blocks: bool = True) -> Runner:
    """A function that runs a program; see :func:`step`."""
    tensors = {name: t.to(device) for name, t in program.tensors.items()}
    steps = [
        (
            step(node, program.values[node.output], blocks),
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
