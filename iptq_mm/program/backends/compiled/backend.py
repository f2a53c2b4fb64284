"""Running a program as one function that torch.compile has compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, fx

from ....registry import BACKENDS
from ...ir.graph import Program
from ...lowering.capture import TRACING
from ..base import Backend, Runner
from .graph import whole_graph


@BACKENDS.register_module('compiled')
class Compiled(Backend):
    """torch.compile over the whole program; the first call compiles.

    That takes minutes, for each set of input shapes: for models that see few of them.
    What it is given is spelled for compilers (``compilable``), with products that are
    exact in any order of summation: whatever it makes of them has the same integers.
    """

    #: Each takes long to compile.
    sizes = 1

    def check(self) -> None:
        """See the base class; wanted is a C++ compiler."""
        if _cpp_compiler() is None:
            raise RuntimeError(
                "back end 'compiled' needs a C++ compiler: install g++, or name one in "
                "the environment variable CXX, or use back end 'reference'"
            )

    def prepare(self, program: Program, device: torch.device) -> Runner:
        """See the base class."""
        if device.type == 'cpu':
            self.check()
        wide = _without_int16(program)
        compiled = _Inductor(whole_graph(wide, device))

        def call(inputs: Sequence[Tensor]) -> list[Tensor]:
            ports = zip(wide.inputs, inputs, strict=True)
            results = compiled(*(x.to(wide.values[p.value].dtype) for p, x in ports))
            outputs = zip(program.outputs, results, strict=True)
            return [q.to(program.values[p.value].dtype) for p, q in outputs]

        return call


class _Inductor:
    """A graph of aten operations, compiled at the first call.

    By the compiler behind ``torch.compile`` alone: in a graph there is nothing for
    the rest to find out. It would take longer than to load what was compiled, and a
    twelfth of each call for its guards.

    Args:
        graph: It holds all tensors but its inputs.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self._graph: fx.GraphModule | None = graph
        self._compiled: Callable[..., list[Tensor]] | None = None

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Run it."""
        if self._compiled is None:
            self._compile(inputs)
        assert self._compiled is not None
        with torch.no_grad():
            return self._compiled(*inputs)

    def _compile(self, inputs: Sequence[Tensor]) -> None:
        """Compile it, unless another thread has done so meanwhile."""
        with TRACING:
            if self._compiled is None:
                assert self._graph is not None
                # They take a second to import.
                from torch import _inductor as inductor
                from torch._guards import TracingContext, tracing
                from torch._subclasses import FakeTensorMode
                from torch.fx.experimental.symbolic_shapes import ShapeEnv

                # Without a context it would not use the cache of other processes.
                # Code for any shape, as it makes by default, is slower.
                shapes = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
                context = TracingContext(shapes)
                with tracing(context), torch.no_grad():
                    self._compiled = inductor.compile(self._graph, list(inputs))
                self._graph = None


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
