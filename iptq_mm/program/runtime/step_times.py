"""Where the time of a native program goes: each of its steps by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...modes import regions_in
from ..audit.census import operations_of
from ..backends.native.layout.steps import Step
from ..backends.native.program import NativeProgram
from ..ir.watch import WATCH
from .function_times import one_thread
from .product_times import LoneProduct
from .session import Session

#: Rounds: the quickest counts, since other processes only add time.
ROUNDS = 7
#: Sides of the products that show what the machine can do. A small one ends before
#: another process gets its turn.
_LARGE = (512, 1024)


@dataclass(frozen=True)
class StepTime:
    """A step of a native program.

    Attributes:
        command: Name of its kernel; ``reference`` where torch computes it.
        sites: Sites that it computes; none: it moves integers.
        kinds: Kinds of the nodes that it computes.
        macs: Multiplications with additions.
        seconds: Its time.
    """

    command: str
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    macs: int
    seconds: float


def native_programs(model: nn.Module) -> dict[str, NativeProgram]:
    """By region, the native program that was made last; none where there is none."""
    found = {}
    for name, region in regions_in(model).items():
        session = region.session
        for made in session.programs if isinstance(session, Session) else ():
            program = made.executable
            watched = any(node.kind == WATCH for node in made.program.nodes)
            if isinstance(program, NativeProgram) and not watched:
                found[name] = program
    return found


def step_times(native: NativeProgram, rounds: int = ROUNDS) -> list[StepTime]:
    """The time of each step, run by itself on the threads that torch has.

    In a call, commands run one after another without Python between them, so that the
    sum is a little more than the time of a call.

    Args:
        native: The program. It gets zeros.
        rounds: How often each step runs.
    """
    program = native.program
    zeros = [
        torch.zeros(value.shape, dtype=value.dtype).clamp_(value.low, value.high)
        for value in (program.values[port.value] for port in program.inputs)
    ]
    number = {id(node): i for i, node in enumerate(program.nodes)}
    found = []
    spent = native.step_seconds(zeros, rounds)
    for step, seconds in zip(native.steps, spent, strict=True):
        nodes = [] if step.node is None else [step.node]
        command = 'reference'
        if isinstance(step, Step):
            command = step.command.__name__
            nodes = [] if step.copies else [*nodes, *step.fused]
        nodes.sort(key=lambda node: number[id(node)])
        found.append(
            StepTime(
                command,
                tuple(dict.fromkeys(node.site for node in nodes if node.site)),
                tuple(node.kind for node in nodes),
                sum(operations_of(program, node).get('mac', 0) for node in nodes),
                seconds,
            )
        )
    return found


def peak_macs() -> float:
    """Multiplications with additions in a second of a large product of bytes.

    It is what the machine can do: on one thread, times the number of threads.

    Raises:
        RuntimeError: If there is no native library, or no such kernel.
    """
    best = 0.0
    with one_thread():
        for n in _LARGE:
            product = LoneProduct('linear', ((n, n), (n, n)), (n, n), {}, (8, 8), 8)
            made = product.native()
            if made is None:
                raise RuntimeError('there is no kernel for products of bytes')
            best = max(best, n**3 / max(made[0].step_seconds(made[1], 3 * ROUNDS)))
    return best * torch.get_num_threads()
