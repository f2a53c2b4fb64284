"""The ``native`` back end: commands in C++, the rest by the reference."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from logging import INFO, WARNING

import torch
from mmengine.logging import print_log
from torch import Tensor

from ...registry import BACKENDS
from ..backend import Backend, Runner
from ..graph import Program
from ..reference import runner
from . import (  # noqa: F401  (they register emitters)
    convolution,
    elementwise,
    linear,
    matmul,
    rows,
    softmax,
)
from .commands import Command
from .compiler import Compiler
from .library import NativeError, Prepared, level, library
from .steps import At, Builder, Call, plan


class NativeProgram:
    """A program that is ready to run.

    Args:
        program: The program.

    Attributes:
        fallbacks: Why nodes are left to the reference, by kind and reason.
        left: How many nodes that are.
        commands: How many commands there are.
        arena: The memory of all values.
    """

    def __init__(self, program: Program) -> None:
        compiler = Compiler(program)
        self.fallbacks = dict(compiler.fallbacks)
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
        self._parts: list[Prepared | _Called] = []
        commands: list[Command] = []
        for step in compiler.steps:
            if isinstance(step, Call):
                self._parts.extend([Prepared(commands)] if commands else [])
                commands = []
                self._parts.append(self._called(step))
            else:
                commands.append(builder.command(step))
        self._parts.extend([Prepared(commands)] if commands else [])
        self.left = sum(isinstance(s, Call) for s in compiler.steps)
        self.commands = sum(not isinstance(s, Call) for s in compiler.steps)
        # The commands have addresses of what these hold.
        self._kept = builder.kept, compiler.steps
        values = [program.values[port.value] for port in program.inputs]
        self._inputs = [
            self._view(place.at, v.dtype, v.shape)
            for place, v in zip(compiler.inputs, values, strict=True)
        ]
        values = [program.values[port.value] for port in program.outputs]
        self._outputs = [
            self._view(place.at, v.dtype, v.shape)
            for place, v in zip(compiler.outputs, values, strict=True)
        ]

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it; the outputs belong to the caller."""
        with self._lock:
            for room, x in zip(self._inputs, inputs, strict=True):
                room.copy_(x)
            for part in self._parts:
                part.run()
            return [room.clone() for room in self._outputs]

    def _view(self, at: At, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        start = self._offsets[at.buffer] + at.offset
        size = int(torch.Size(shape).numel()) * dtype.itemsize
        return self.arena[start : start + size].view(dtype).view(shape)

    def _called(self, call: Call) -> _Called:
        operands = [
            x if isinstance(x, Tensor) else self._view(*x) for x in call.operands
        ]
        return _Called(call, operands, self._view(*call.result))


class _Called:
    """A node that Python runs."""

    def __init__(self, call: Call, operands: list[Tensor], result: Tensor) -> None:
        self._call, self._operands, self._result = call, operands, result

    def run(self) -> None:
        """Run it."""
        self._result.copy_(self._call.function(self._operands))


@BACKENDS.register_module('native')
class Native(Backend):
    """C++ on the CPU; the reference where there is no compiler. It logs which."""

    def prepare(self, program: Program, device: torch.device) -> Runner:
        """See the base class."""
        if device.type != 'cpu':
            raise RuntimeError(f'the native back end runs on the CPU, not on {device}')
        try:
            library()
        except NativeError as error:
            _say(f"back end 'native': {error}. The reference runs instead.", WARNING)
            return runner(program, device)
        made = NativeProgram(program)
        where = f"back end 'native': {level()}, {torch.get_num_threads()} threads"
        if not made.left:
            _say(f'{where}, region {program.region}')
        else:
            reasons = '; '.join(sorted(made.fallbacks))
            _say(
                f'{where}, region {program.region}: the reference runs {made.left} of '
                f'{len(program.nodes)} nodes ({reasons})',
                WARNING,
            )
        return made


@lru_cache(maxsize=64)
def _say(message: str, log_level: int = INFO) -> None:
    """Log a message once in this process."""
    print_log(message, 'current', log_level)
