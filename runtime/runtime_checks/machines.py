"""All that runs a program without Python: each level of each target, and the C file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iptq_mm.program import Program
from iptq_mm.program.backends.native.file.writer import write_compiled

from . import c_file
from .comparing import predicted
from .targets import TARGETS

#: The targets of the library, and the file of C that this machine's compiler takes.
NAMES = (*TARGETS, 'c')


@dataclass(frozen=True)
class Machine:
    """A machine, with one of its instruction sets.

    Attributes:
        name: The target, and the level if it has several.
        emulated: Whether another program runs it.
        integers: Returns a program's outputs. It takes the program and its inputs as
            integers. All arrays have one dimension more: a call for each entry.
    """

    name: str
    emulated: bool
    integers: Callable[[Program, Sequence[np.ndarray]], list[np.ndarray]]


def machines(
    names: Iterable[str], levels: Container[str] | None = None
) -> Iterator[Machine]:
    """Yields what can be built and run here; says aloud what cannot.

    Args:
        names: Some of :data:`NAMES`.
        levels: Only these instruction sets of targets that have several; None: all.
    """
    for name in names:
        missing = c_file.missing() if name == 'c' else TARGETS[name].missing()
        if missing:
            print(f'LEFT OUT: {missing}', flush=True)
        elif name == 'c':
            yield Machine('c', False, _of_c_file)
        else:
            yield from _levels(name, levels)


def _levels(name: str, wanted: Container[str] | None) -> Iterator[Machine]:
    target = TARGETS[name]
    command = target.command(target.build())

    for level in target.levels(command):
        if wanted is not None and level not in wanted:
            continue

        def integers(
            program: Program, inputs: Sequence[np.ndarray], level: str = level
        ) -> list[np.ndarray]:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, 'model.iptq')
                write_compiled(program, path)
                options = ['--isa', level]
                return predicted(command, path, inputs, each=True, options=options)

        yield Machine(f'{name}, {level}', bool(target.emulator), integers)


def _of_c_file(program: Program, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        function = c_file.CFile(program, Path(folder, 'model.c'))
        calls = [function(given) for given in zip(*inputs, strict=True)]
    return [np.stack(port) for port in zip(*calls, strict=True)]
