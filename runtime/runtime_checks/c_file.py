"""Programs as freestanding files of C, compiled by gcc and called in this process."""

from __future__ import annotations

import ctypes
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from iptq_mm.program import Program
from iptq_mm.program.backends.native.c_source.declarations import identifier
from iptq_mm.program.backends.native.c_source.writer import write_c

from .building import run_tool

#: As docs/how-to/deploy-without-python.md has them.
FLAGS = ('-std=c99', '-O2', '-ffreestanding')
#: What keeps compilers from floats altogether.
NO_FLOATS = {'x86_64': '-mgeneral-regs-only', 'aarch64': '-mgeneral-regs-only'}


def missing() -> str:
    """Returns which program has to be installed; empty if none."""
    return '' if shutil.which('gcc') else 'c: gcc missing: apt install gcc'


class CFile:
    """The function of a program's file of C: integers in, integers out.

    Args:
        program: The program.
        source: The file that is written, with the suffix ``.c``. The header and the
            library stand beside it. A process loads a library of a name only once.
        flags: Of the compiler, beside the one that forbids floats.

    Raises:
        BuildError: If gcc fails.
        ProgramError: If a node has no kernel.
    """

    def __init__(
        self, program: Program, source: Path, flags: Sequence[str] = FLAGS
    ) -> None:
        write_c(program, source)
        library = source.with_suffix('.so')
        machine = NO_FLOATS.get(platform.machine())
        options = [*flags, *([machine] if machine else []), '-shared', '-fPIC']
        run_tool(['gcc', *options, source, '-o', library])
        self._ports = [
            [program.values[port.value] for port in ports]
            for ports in (program.inputs, program.outputs)
        ]
        name = f'{identifier(source.stem)}_run'
        self._function = getattr(ctypes.CDLL(str(library)), name)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the outputs.

        Args:
            inputs: Integers, of the shapes and types that the program has.
        """
        outputs = [torch.empty(x.shape, dtype=x.dtype).numpy() for x in self._ports[1]]
        given = [np.ascontiguousarray(x) for x in inputs]
        for array, value in zip(given, self._ports[0], strict=True):
            wanted = str(value.dtype).removeprefix('torch.')
            assert array.shape == tuple(value.shape) and array.dtype == wanted
        self._function(*(ctypes.c_void_p(x.ctypes.data) for x in (*given, *outputs)))
        return outputs
