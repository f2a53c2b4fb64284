"""Programs in the native back end of Python, called like a model of the runtime."""

from __future__ import annotations

import numpy as np
import torch
from iptq_runtime import Port

from iptq_mm.program import Program
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.ir import graph
from iptq_mm.program.ir.interface import output_names


class ProgramModel:
    """Like ``iptq_runtime.Model``, with integers on both sides.

    Args:
        program: What runs.

    Attributes:
        inputs: What goes in; pixels as bytes.
        outputs: What comes out.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._native = NativeProgram(program)
        self.inputs = [
            _port(program, port, f'input_{i}') for i, port in enumerate(program.inputs)
        ]
        named = zip(output_names(program), program.outputs, strict=True)
        self.outputs = [_port(program, x, name) for name, x in named]

    def __call__(self, *inputs: np.ndarray, integers: bool = True) -> list[np.ndarray]:
        """Run it.

        Args:
            *inputs: Integers, and bytes where it takes pixels.
            integers: Has to be true.
        """
        assert integers
        given = [torch.from_numpy(x) for x in inputs]
        if any(port.pixels for port in self._program.inputs):
            given = quantized_inputs(self._program, given, TORCH)
        return self._run(given)

    def _run(self, given: list[torch.Tensor]) -> list[np.ndarray]:
        return [x.numpy() for x in self._native.run(given)]


def _port(program: Program, port: graph.Port, name: str) -> Port:
    value = program.values[port.value]
    return Port(
        name=name,
        kind='real' if port.pixels is None else 'pixels',
        dtype=str(value.dtype).removeprefix('torch.'),
        scale=port.scale,
        low=value.low,
        high=value.high,
        shape=tuple(value.shape),
        order='' if port.image is None else port.image.channels,
        mean=(),
        std=(),
    )
