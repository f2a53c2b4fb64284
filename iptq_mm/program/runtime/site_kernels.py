"""Native programs of single sites: the fast forward pass of training."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...functions import Constants
from ...intmath import QParams
from ...native.library import NativeError, library
from ...operations import NonLinear, Operation
from ...qtensor import QTensor
from ..backends.native.arenas import Arenas
from ..backends.native.context import Unsupported
from ..backends.native.program import NativeProgram
from ..ir.graph import Port
from ..tracing.recorder import Recorder

#: About how many bytes a program takes, beside its parameters.
_KNOWN = 2**16


class Kernel(NamedTuple):
    """A program of one site.

    Attributes:
        made_for: Quantizers of the output and the operands that it was made for.
        constants: The constants that it was made for.
        parameters: The parameters that it was made for.
        program: The program; None: there is no native kernel.
    """

    made_for: tuple
    constants: Constants
    parameters: list[Tensor]
    program: NativeProgram | None


class SiteKernels:
    """Computes sites natively, with the integers of their operations.

    A program of a whole region fuses sites. Training needs the integers of every site,
    so each site is a program of its own here. It is made again when the parameters of
    the site change.

    Args:
        memory: Most bytes that they keep; beyond, those that were not used for the
            longest time are dropped. All compute in the same memory.
    """

    def __init__(self, memory: int = 2**31) -> None:
        self._memory, self._arenas = memory, Arenas()
        self._kernels: OrderedDict[tuple, Kernel] = OrderedDict()

    def __call__(
        self,
        site: str,
        operation: Operation,
        function: Mapping[str, Any] | None,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: Mapping[str, Any],
        out: QParams,
    ) -> Tensor | None:
        """The integers of a site, saturated; None if there is no native kernel.

        Args:
            site: Name of the site.
            operation: Its operation.
            function: Registry dict of the function of a non-linear site.
            operands: The operands, with integer payloads on the CPU.
            constants: Constants of the site.
            attributes: Other arguments of the operation.
            out: Range of the output; constants need not be made for it.
        """
        taken = [x for x in operands[: _taken(operation)] if x is not None]
        given = [x for x in taken if not x.constant]
        made_for = (out, *(x.qparams for x in given))
        bounds = [(q.qmin, q.qmax) for q in made_for if isinstance(q, QParams)]
        fixed = repr(sorted(attributes.items(), key=str))
        key = (site, fixed, *bounds, *(x.payload.shape for x in given))
        parameters = [x.payload for x in taken if x.constant]
        kernel = self._kernels.get(key)
        if any(x.payload.device.type != 'cpu' for x in taken):
            return None
        if kernel is None or not _serves(kernel, made_for, constants, parameters):
            shape = _shape(operation, operands, attributes)
            program = site_program(
                site,
                operation,
                function,
                taken,
                constants,
                attributes,
                out,
                shape,
                self._arenas,
            )
            kernel = self._kernels[key] = Kernel(
                made_for, constants, parameters, program
            )
            self._kernels.move_to_end(key)
            self._make_room()
        self._kernels.move_to_end(key)
        if kernel.program is None:
            return None
        return kernel.program.run([x.payload for x in given])[0]

    def _make_room(self) -> None:
        """Drop what was not used for long, but what was made just now."""
        used = sum(map(_bytes, self._kernels.values()))
        while used > self._memory and len(self._kernels) > 1:
            used -= _bytes(self._kernels.popitem(last=False)[1])


def _bytes(kernel: Kernel) -> int:
    """What a kernel keeps: parameters, packed ones, and what is known of it."""
    return 2 * sum(p.nbytes for p in kernel.parameters) + _KNOWN


def site_program(
    site: str,
    operation: Operation,
    function: Mapping[str, Any] | None,
    taken: Sequence[QTensor],
    constants: Constants,
    attributes: Mapping[str, Any],
    out: QParams,
    shape: Sequence[int],
    arenas: Arenas | None = None,
) -> NativeProgram | None:
    """The native program of one site; None if there is no native kernel.

    Args:
        site: Name of the site.
        operation: Its operation.
        function: Registry dict of the function of a non-linear site.
        taken: The operands that a node takes, with integer payloads.
        constants: Constants of the site.
        attributes: Other arguments of the operation.
        out: Range of the output.
        shape: Shape of the output.
        arenas: Memory that it shares with other programs; None: it has its own.
    """
    recorder = Recorder()
    operands: list[int | str] = []
    for x in taken:
        if x.constant:
            operands.append(recorder.tensor(x.payload, x.source))
            continue
        q = x.qparams
        assert isinstance(q, QParams)
        operands.append(recorder.input(x.payload.shape, q.qmin, q.qmax, q.scale))
    named = {
        name: recorder.tensor(value, name) if isinstance(value, Tensor) else value
        for name, value in constants.items()
    }
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()}
    number = recorder.node(
        operation.kind,
        operands,
        shape,
        (out.qmin, out.qmax),
        named,
        {} if isinstance(operation, NonLinear) else plain,
        site,
        dict(function) if function is not None else None,
    )
    program = recorder.finish(site, [Port(number, out.scale)])
    try:
        library()
        made = NativeProgram(program, arenas)
    except (NativeError, Unsupported):
        return None
    return None if made.left else made


def _shape(
    operation: Operation,
    operands: Sequence[QTensor | None],
    attributes: Mapping[str, Any],
) -> torch.Size:
    """Shape of the output."""
    given = [
        None if x is None else torch.empty(x.payload.shape, device='meta')
        for x in operands
    ]
    return operation.real(given, dict(attributes)).shape


def _taken(operation: Operation) -> int | None:
    """How many operands a node takes; None: all. Constants stand for the others."""
    if isinstance(operation, NonLinear):
        return 1
    return 2 if operation.kind in ('linear', 'conv2d') else None


def _serves(
    kernel: Kernel, made_for: tuple, constants: Constants, parameters: list[Tensor]
) -> bool:
    """Whether a kernel was made for these quantizers, constants and parameters."""
    if kernel.made_for != made_for:
        return False
    # Folded constants may differ although their quantizers agree.
    if not all(map(torch.equal, kernel.parameters, parameters)):
        return False
    return kernel.constants is constants or (
        kernel.constants.keys() == constants.keys()
        and all(
            _same(value, constants[name]) for name, value in kernel.constants.items()
        )
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return bool(one == other)
