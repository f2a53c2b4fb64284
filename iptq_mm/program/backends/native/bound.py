"""A compiled program with the addresses of an arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, UntypedStorage

from ....native.commands import Command, Dequantize, Quantize
from ....native.library import Prepared
from ...ir.graph import Value
from . import border
from .compilation import Compilation
from .layout.builder import Arena, Builder, ReferenceCall


class BoundProgram:
    """The commands of a program in one arena.

    Args:
        made: The compiled program.
        memory: The arena's memory.

    Attributes:
        commands: What to run, in order, between the borders.
        constants: Tensors whose addresses the commands hold.
        outputs: The integers of the outputs, in the arena.
    """

    def __init__(self, made: Compilation, memory: UntypedStorage) -> None:
        self._made, self._arena = made, Arena(made.offsets, memory)
        self._address = memory.data_ptr()
        builder = Builder(self._arena)
        self.commands = [builder.build(step) for step in made.context.steps]
        self.constants = builder.kept
        self.outputs = [
            self._arena.view(ref.address, v.dtype, v.shape)
            for ref, v in zip(made.outputs, self._values(False), strict=True)
        ]
        self._routes: dict[tuple, _Route] = {}

    @property
    def memory(self) -> UntypedStorage:
        """The arena's memory."""
        return self._arena.memory

    def fits(self, memory: UntypedStorage) -> bool:
        """Whether the addresses are those of ``memory``, as it lies now."""
        return self.memory is memory and self._address == memory.data_ptr()

    def run(
        self, inputs: Sequence[Tensor], outputs: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        """Run the commands.

        Args:
            inputs: Integers, or real tensors that become integers.
            outputs: Where to write the real outputs and their integers; none: nowhere.
        """
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
        program, pointer = self._made.program, self._arena.pointer
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
        program = self._made.program
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
