"""A compiled program that runs: commands, and an arena for all values."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import torch
from torch import Tensor, UntypedStorage

from ....native.commands import Command
from ....native.library import Prepared
from ...ir.graph import Program
from ..base import Executable
from ..boundary import fastest_conversions, readable_inputs, share_output
from .arenas import Arenas
from .bound import BoundProgram
from .compiler import compile_program
from .dump import dump
from .layout.builder import ReferenceCall
from .layout.steps import ReferenceStep, Step


class NativeProgram(Executable):
    """A program that is ready to run; printed, it shows its steps.

    Args:
        program: The program.
        arenas: Memory that it shares with other programs; None: it has its own.

    Attributes:
        fallbacks: Why the reference computes nodes: number of nodes by reason.
        left: Number of all these nodes.
        arena_bytes: Bytes that all values need.

    Raises:
        Unsupported: If an input has more than 32 bits.
    """

    def __init__(self, program: Program, arenas: Arenas | None = None) -> None:
        super().__init__(program, fastest_conversions())
        # The commands have addresses of what it holds.
        self._made = made = compile_program(program)
        self.arena_bytes = made.size
        self.fallbacks = dict(made.fallbacks)
        self.left = sum(self.fallbacks.values())
        self._lock = threading.Lock()
        self._arenas = Arenas() if arenas is None else arenas
        self._arenas.join(self, made.size)
        with self._arenas.lent() as memory:
            self._bound = BoundProgram(made, memory)

    def __str__(self) -> str:
        """The steps, as :func:`.dump.dump` writes them."""
        return dump(self._made)

    @property
    def commands(self) -> list[Command | ReferenceCall]:
        """What runs, in order, between the borders."""
        with self._lock, self._arenas.lent(self._bound.memory) as memory:
            return self._bound_to(memory).commands

    @property
    def steps(self) -> list[Step | ReferenceStep]:
        """What the commands were made of, in the same order."""
        return self._made.context.steps

    def step_seconds(self, integers: Sequence[Tensor], rounds: int) -> list[float]:
        """The time of each command by itself: the quickest of some rounds.

        Args:
            integers: As :meth:`run` takes them.
            rounds: How often all commands run, one after the other.
        """
        with self._lock, self._arenas.lent(self._bound.memory) as memory:
            bound = self._bound_to(memory)
            bound.run(integers, [])  # no command reads what another program left
            calls = [
                Prepared([c]) if isinstance(c, Command) else c for c in bound.commands
            ]
            least = [float('inf')] * len(calls)
            for _ in range(rounds):
                for i, call in enumerate(calls):
                    began = time.perf_counter()
                    call.run()
                    least[i] = min(least[i], time.perf_counter() - began)
        return least

    def held(self) -> list[Tensor]:
        """See the base class; the arenas included."""
        return [*super().held(), *self._bound.constants, *self._arenas.tensors()]

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        with self._lock, self._arenas.lent(self._bound.memory) as memory:
            bound = self._bound_to(memory)
            bound.run(integers, [])
            return [room.clone() for room in bound.outputs]

    def run_real(self, reals: Sequence[Tensor]) -> list[Tensor]:
        """See the base class; the conversions are commands of the same call."""
        program = self.program
        inputs = readable_inputs(program, reals, self.conversions)
        values = [program.values[port.value] for port in program.outputs]
        outputs = [
            (torch.empty(v.shape), torch.empty(v.shape, dtype=v.dtype)) for v in values
        ]
        with self._lock, self._arenas.lent(self._bound.memory) as memory:
            self._bound_to(memory).run(inputs, outputs)
        return [
            share_output(program, port, real, integers)
            for port, (real, integers) in zip(program.outputs, outputs, strict=True)
        ]

    def _bound_to(self, memory: UntypedStorage) -> BoundProgram:
        """The commands with the addresses of an arena."""
        if not self._bound.fits(memory):
            self._bound = BoundProgram(self._made, memory)
        return self._bound
