"""A compiled program that runs: commands, and the arena of all values."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ....native.commands import Command, Dequantize, Quantize
from ....native.library import Prepared
from ...ir.graph import Program, Value
from ..base import Executable
from ..boundary import fastest_conversions, readable_inputs, share_output
from . import border
from .compiler import compile_program
from .dump import dump
from .layout.builder import ReferenceCall


class NativeProgram(Executable):
    """A program that is ready to run; printed, it shows its steps.

    Args:
        program: The program.

    Attributes:
        fallbacks: Why the reference computes nodes: number of nodes by reason.
        left: Number of all these nodes.
        commands: What to run, in order, between the borders.
        arena: The memory of all values.

    Raises:
        Unsupported: If an input has more than 32 bits.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(program, fastest_conversions())
        # The commands have addresses of what it holds.
        self._made = made = compile_program(program)
        assert made.arena is not None
        self._arena = made.arena
        self.arena = made.arena.memory
        self.commands = made.commands
        self.fallbacks = dict(made.fallbacks)
        self.left = sum(self.fallbacks.values())
        self._lock = threading.Lock()
        self._routes: dict[tuple, _Route] = {}
        self._outputs = [
            self._arena.view(ref.address, v.dtype, v.shape)
            for ref, v in zip(made.outputs, self._values(False), strict=True)
        ]

    def __str__(self) -> str:
        """The steps, as :func:`.dump.dump` writes them."""
        return dump(self._made)

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        with self._lock:
            self._run(integers, [])
            return [room.clone() for room in self._outputs]

    def run_real(self, reals: Sequence[Tensor]) -> list[Tensor]:
        """See the base class; the conversions are commands of the same call."""
        program = self.program
        inputs = readable_inputs(program, reals, self.conversions)
        outputs = [
            (torch.empty(room.shape), torch.empty(room.shape, dtype=room.dtype))
            for room in self._outputs
        ]
        with self._lock:
            self._run(inputs, outputs)
        return [
            share_output(program, port, real, integers)
            for port, (real, integers) in zip(program.outputs, outputs, strict=True)
        ]

    def _run(
        self, inputs: Sequence[Tensor], outputs: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        key = (*(x.dtype for x in inputs), bool(outputs))
        if key not in self._routes:
            self._routes[key] = self._route([x.dtype for x in inputs], bool(outputs))
        route = self._routes[key]
        given = [x.contiguous() for x in inputs]
        for command, x in zip(route.enter, given, strict=True):
            command.x = x.data_ptr()
        for left, (real, integers) in zip(route.leave, outputs, strict=True):
            left.out, left.codes = real.data_ptr(), integers.data_ptr()
        for part in route.parts:
            part.run()

    def _route(self, dtypes: Sequence[torch.dtype], real: bool) -> _Route:
        """The commands for inputs of these types, and for real outputs or none."""
        program, pointer = self.program, self._arena.pointer
        made = [
            border.enter(port, value, dtype, ref.storage, pointer(ref.address))
            for port, value, dtype, ref in zip(
                program.inputs,
                self._values(True),
                dtypes,
                self._made.inputs,
                strict=True,
            )
        ]
        enter, kept = [command for command, _ in made], [x for _, x in made]
        leave = [
            border.leave(port, value, pointer(ref.address))
            for port, value, ref in zip(
                program.outputs, self._values(False), self._made.outputs, strict=True
            )
            if real
        ]
        return _Route(enter, leave, _parts([*enter, *self.commands, *leave]), kept)

    def _values(self, entering: bool) -> list[Value]:
        program = self.program
        ports = program.inputs if entering else program.outputs
        return [program.values[port.value] for port in ports]


def _parts(
    commands: Sequence[Command | ReferenceCall],
) -> list[Prepared | ReferenceCall]:
    """The commands as few calls: one for all between two calls of the reference."""
    parts: list[Prepared | ReferenceCall] = []
    run: list[Command] = []
    for command in commands:
        if isinstance(command, Command):
            run.append(command)
            continue
        parts += [Prepared(run), command]
        run = []
    return [*parts, Prepared(run)]


class _Route(NamedTuple):
    """All commands for given types of the inputs.

    Attributes:
        enter: Conversions of the inputs; each call sets their ``x``.
        leave: Conversions of the outputs; each call sets their ``out``.
        parts: Everything to run, in order.
        kept: Tensors whose addresses the commands hold.
    """

    enter: list[Quantize]
    leave: list[Dequantize]
    parts: list[Prepared | ReferenceCall]
    kept: list[list[Tensor]]
