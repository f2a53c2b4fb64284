"""The time that integer functions take by themselves, each in its native kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...functions import Constants
from ...intmath import QParams
from ...native.fields import Address, Fields
from ...native.library import library
from ..backends.native.program import NativeProgram
from ..ir.graph import Port, Program
from ..tracing.recorder import Recorder

#: Runs of a kernel: the quickest counts, since other processes only add time.
RUNS = 25
#: A kernel that is slow has fewer of them, but as many as this.
LEAST_RUNS = 3
#: ... when it has taken so many seconds in all.
SLOW = 0.2
#: Most elements that a kernel gets.
MAX_ELEMENTS = 2**20


@dataclass(frozen=True)
class LoneFunction:
    """An integer function on rows of integers.

    Attributes:
        kind: Its kind, ``gelu`` for instance.
        function: Its registry dict.
        x: Quantizer of the input.
        out: Quantizer of the output.
        constants: Its constants for these.
        rows: Number of rows.
        length: Elements of a row.
    """

    kind: str
    function: dict[str, Any]
    x: QParams
    out: QParams
    constants: Constants
    rows: int
    length: int

    def program(self) -> Program:
        """A program of this function alone."""
        recorder = Recorder()
        rows = max(1, min(self.rows, MAX_ELEMENTS // self.length))
        shape = (rows, self.length)
        x = recorder.input(shape, self.x.qmin, self.x.qmax, self.x.scale)
        constants = {
            name: recorder.tensor(value, name) if isinstance(value, Tensor) else value
            for name, value in self.constants.items()
        }
        bounds = self.out.qmin, self.out.qmax
        made = recorder.node(
            self.kind, [x], shape, bounds, constants, None, 'alone', self.function
        )
        return recorder.finish('(a function)', [Port(made, self.out.scale)])


def check_function_times() -> None:
    """Check that :func:`function_times` can measure here.

    Raises:
        RuntimeError: If there is no native library; the message says what is missing.
    """
    library()


def function_times(functions: Sequence[LoneFunction]) -> list[float]:
    """The time of each function in its native kernel, on one thread.

    The kernel reads its input from memory and writes its output there. (In a model,
    that of a GELU is part of a matrix product, and that of a Softmax of an attention.)
    Functions take turns, so that all of them meet the same conditions, and those that
    have the same kernel have the same time. A function without a kernel is computed by
    the reference back end, as it is in a model.

    Args:
        functions: The functions, for which times are to be compared.

    Returns:
        Nanoseconds for one element, of three significant digits.

    Raises:
        RuntimeError: If there is no native library.
    """
    check_function_times()
    programs = [NativeProgram(function.program()) for function in functions]
    kernels = [
        _kernel(native, f) for native, f in zip(programs, functions, strict=True)
    ]
    timed = dict(zip(kernels, programs, strict=True))
    inputs = {k: _inputs(native.program) for k, native in timed.items()}
    spent: dict[tuple, list[float]] = {kernel: [] for kernel in timed}
    with one_thread():
        for run in range(1 + RUNS):
            for kernel, native in timed.items():
                if run > LEAST_RUNS and sum(spent[kernel]) > SLOW:
                    continue
                began = time.perf_counter()
                native.run(inputs[kernel])
                if run:  # the first one warms up
                    spent[kernel].append(time.perf_counter() - began)
    least = {k: min(s) / inputs[k][0].numel() * 1e9 for k, s in spent.items()}
    return [float(f'{least[kernel]:.3g}') for kernel in kernels]


def _kernel(native: NativeProgram, function: LoneFunction) -> tuple:
    """What tells kernels apart: commands, their forms, and which tables they have."""
    if native.left:
        return str(function.function), function.rows, function.length
    commands = tuple(
        (type(c).__name__, *_form(c)) for c in native.commands if isinstance(c, Fields)
    )
    values = tuple(str(v.dtype) for v in native.program.values)
    return commands, values, function.rows, function.length


def _form(fields: Fields) -> Iterator[Any]:
    for name, kind in fields._fields_:  # type: ignore[misc]
        value = getattr(fields, name)
        if isinstance(value, Fields):
            yield from _form(value)
        elif kind is Address:
            yield value is not None
        elif name in ('form', 'kind'):
            yield value


def _inputs(program: Program) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = [program.values[port.value] for port in program.inputs]
    return [
        torch.randint(v.low, v.high + 1, v.shape, generator=generator).to(v.dtype)
        for v in values
    ]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the library use one thread within the ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
