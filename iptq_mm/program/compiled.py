"""Running a program as one function that torch.compile has compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..registry import BACKENDS
from .backend import Backend, Runner
from .graph import Program
from .whole import whole_graph


@BACKENDS.register_module('compiled')
class Compiled(Backend):
    """torch.compile over the whole program; the first call compiles.

    That takes minutes, for each set of input shapes: for models that see few of them.
    Products are those of the fast path (``intmath.product``): exact in any order of
    summation, so that whatever the compiler makes of them has the same integers.
    """

    def prepare(self, program: Program, device: torch.device) -> Runner:
        """See the base class."""
        if device.type == 'cpu' and _cpp_compiler() is None:
            raise RuntimeError(
                "back end 'compiled' needs a C++ compiler: install g++, or name one in "
                "the environment variable CXX, or use back end 'reference'"
            )
        wide = _without_int16(program)
        compiled = torch.compile(
            whole_graph(wide, device),
            fullgraph=True,
            dynamic=False,
            # Its tensors are its own: nobody changes them behind its back.
            options={'guard_filter_fn': torch.compiler.skip_all_guards_unsafe},
        )

        def call(inputs: Sequence[Tensor]) -> list[Tensor]:
            ports = zip(wide.inputs, inputs, strict=True)
            results = compiled(*(x.to(wide.values[p.value].dtype) for p, x in ports))
            outputs = zip(program.outputs, results, strict=True)
            return [q.to(program.values[p.value].dtype) for p, q in outputs]

        return call


def _without_int16(program: Program) -> Program:
    """The same program with 32 bits for 16: torch's compiler does not vectorize 16."""
    values = [
        replace(v, dtype=torch.int32) if v.dtype == torch.int16 else v
        for v in program.values
    ]
    return replace(program, values=values)


def _cpp_compiler() -> str | None:
    """Path of the compiler that torch will find."""
    names = (os.environ.get('CXX'), 'g++', 'clang++', 'cl')
    return next((path for n in names if n and (path := shutil.which(n))), None)
