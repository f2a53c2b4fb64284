"""The ``compiled`` back end: a whole program, compiled by torch's inductor."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, fx

from ....registry import BACKENDS
from ...ir.graph import Program
from ...lowering.capture import TRACING
from ..base import Backend, Executable
from ..boundary import Conversions, fastest_conversions
from .graph import whole_graph


@BACKENDS.register_module('compiled')
class Compiled(Backend):
    """torch.compile over the whole program; the first call compiles.

    Compilation takes minutes for each set of input shapes, so this is for models that
    see few of them. The program is lowered to one graph in the spelling for compilers
    (:mod:`...lowering.compiler_spellings`). Its products are exact in any order of
    summation, so that compiled code gives the same integers whatever the compiler does.
    """

    #: Each size takes long to compile.
    sizes = 1

    def check(self) -> None:
        """See the base class: a C++ compiler is needed."""
        if _cpp_compiler() is None:
            raise RuntimeError(
                "back end 'compiled' needs a C++ compiler: install g++, or name one in "
                "the environment variable CXX, or use back end 'reference'"
            )

    def check_device(self, device: torch.device) -> None:
        """See the base class: GPUs need triton."""
        if device.type != 'cpu' and not has_triton():
            raise RuntimeError(
                f'it needs the package triton on {device.type}: install the one that '
                'belongs to this version of torch'
            )

    def conversions(self) -> Conversions:
        """The library's where it is available: small calls notice the difference."""
        return fastest_conversions()

    def prepare(self, program: Program, device: torch.device) -> Executable:
        """See the base class."""
        if device.type == 'cpu':
            self.check()
        return _Compiled(program, device, self.conversions())


class _Compiled(Executable):
    """A program as one compiled function."""

    def __init__(
        self, program: Program, device: torch.device, conversions: Conversions
    ) -> None:
        super().__init__(program, conversions)
        # The compiled code has them once more.
        self.own_bytes = sum(t.nbytes for t in self.held())
        self._wide = _without_int16(program)
        self._function = _Inductor(whole_graph(self._wide, device))

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        values = self._wide.values
        ports = zip(self._wide.inputs, integers, strict=True)
        results = self._function(*(x.to(values[p.value].dtype) for p, x in ports))
        outputs = zip(self.program.outputs, results, strict=True)
        return [q.to(self.program.values[p.value].dtype) for p, q in outputs]


class _Inductor:
    """A graph of aten operations that is compiled at the first call.

    It uses inductor, the compiler behind ``torch.compile``, directly. The other parts
    of ``torch.compile`` capture a graph and guard it, which is here already: they would
    take longer than to load compiled code, and a twelfth of each call for the guards.

    Args:
        graph: A graph that holds all tensors but its inputs.
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
        """Compile the graph, unless another thread has done so meanwhile."""
        with TRACING:
            if self._compiled is None:
                assert self._graph is not None
                # These take a second to import.
                from torch import _inductor as inductor
                from torch._guards import TracingContext, tracing
                from torch._subclasses import FakeTensorMode
                from torch.fx.experimental.symbolic_shapes import ShapeEnv

                # Without a context, inductor would not use what other processes have
                # compiled. By default it makes code for any shape, which is slower.
                try:
                    shapes = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
                except TypeError:  # torch 2.1
                    shapes = FakeTensorMode()
                context = TracingContext(shapes)
                with tracing(context), torch.no_grad():
                    self._compiled = inductor.compile(self._graph, list(inputs))
                self._graph = None


def _without_int16(program: Program) -> Program:
    """The same program with int32 for int16, which inductor does not vectorize."""
    values = [
        replace(v, dtype=torch.int32) if v.dtype == torch.int16 else v
        for v in program.values
    ]
    return replace(program, values=values)


def has_triton() -> bool:
    """Whether there is the compiler that inductor needs for GPUs."""
    return importlib.util.find_spec('triton') is not None


def _cpp_compiler() -> str | None:
    """Path of the compiler that torch will find."""
    names = (os.environ.get('CXX'), 'g++', 'clang++', 'cl')
    return next((path for n in names if n and (path := shutil.which(n))), None)
