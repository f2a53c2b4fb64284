"""A program as commands, with the memory of all its values."""

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
from .compiler import Compiler
from .layout.steps import At, Builder, Call, plan


class NativeProgram(Executable):
    """A program that is ready to run.

    Args:
        program: The program.

    Attributes:
        fallbacks: Why nodes are left to the reference, by kind and reason.
        left: How many nodes that are.
        commands: What to do, in order, between the borders.
        arena: The memory of all values.

    Raises:
        Unsupported: If an input has more than 32 bits.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(program, fastest_conversions())
        compiler = Compiler(program)
        self.fallbacks = dict(compiler.fallbacks)
        self._places = compiler.inputs, compiler.outputs
        offsets, size = plan(compiler.steps)
        for place in (*compiler.inputs, *compiler.outputs):
            if place.buffer not in offsets:
                offsets[place.buffer] = size
                size += -(-(place.buffer.size + 64) // 64) * 64
        memory = torch.zeros(size + 128, dtype=torch.uint8)
        start = -memory.data_ptr() % 64
        self.arena = memory[start:]
        self._offsets = offsets
        self._lock = threading.Lock()
        builder = Builder(self.arena.data_ptr(), offsets)
        self.commands: list[Command | Called] = [
            self._called(step) if isinstance(step, Call) else builder.command(step)
            for step in compiler.steps
        ]
        self.left = sum(isinstance(c, Called) for c in self.commands)
        # The commands have addresses of what these hold.
        self._kept = builder.kept, compiler.steps
        self._routes: dict[tuple, _Route] = {}
        self._outputs = [
            self._view(place.at, v.dtype, v.shape)
            for place, v in zip(compiler.outputs, self._values(False), strict=True)
        ]

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
        program, (inputs, outputs) = self.program, self._places
        made = [
            border.enter(port, value, dtype, place.storage, self._address(place.at))
            for port, value, dtype, place in zip(
                program.inputs, self._values(True), dtypes, inputs, strict=True
            )
        ]
        enter, kept = [command for command, _ in made], [x for _, x in made]
        leave = [
            border.leave(port, value, self._address(place.at))
            for port, value, place in zip(
                program.outputs, self._values(False), outputs, strict=True
            )
            if real
        ]
        return _Route(enter, leave, _parts([*enter, *self.commands, *leave]), kept)

    def _values(self, entering: bool) -> list[Value]:
        program = self.program
        ports = program.inputs if entering else program.outputs
        return [program.values[port.value] for port in ports]

    def _address(self, at: At) -> int:
        return self.arena.data_ptr() + self._offsets[at.buffer] + at.offset

    def _view(self, at: At, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        start = self._offsets[at.buffer] + at.offset
        size = int(torch.Size(shape).numel()) * dtype.itemsize
        return self.arena[start : start + size].view(dtype).view(shape)

    def _called(self, call: Call) -> Called:
        operands = [
            x if isinstance(x, Tensor) else self._view(*x) for x in call.operands
        ]
        return Called(call, operands, self._view(*call.result))


class Called:
    """A node that Python runs."""

    def __init__(self, call: Call, operands: list[Tensor], result: Tensor) -> None:
        self._call, self._operands, self._result = call, operands, result

    def run(self) -> None:
        """Run it."""
        with torch.no_grad(), torch.autocast('cpu', enabled=False):
            self._result.copy_(self._call.function(self._operands))


def _parts(commands: Sequence[Command | Called]) -> list[Prepared | Called]:
    """As few calls as can be."""
    parts: list[Prepared | Called] = []
    run: list[Command] = []
    for command in commands:
        if isinstance(command, Command):
            run.append(command)
            continue
        parts += [Prepared(run), command]
        run = []
    return [*parts, Prepared(run)]


class _Route(NamedTuple):
    """From the inputs' tensors to those of the outputs.

    Attributes:
        enter: What lacks the address of an input.
        leave: What lacks that of an output.
        parts: All that is to be run, in order.
        kept: Tensors of which commands have addresses.
    """

    enter: list[Quantize]
    leave: list[Dequantize]
    parts: list[Prepared | Called]
    kept: list[list[Tensor]]
