"""Writes the compiled form of a program to a file that needs no Python to run."""

from __future__ import annotations

import os
import sys

import torch
from torch import Tensor

from .....native.commands import Dequantize, Quantize, RoIAlign, Watch
from .....native.storage import storage_of
from .....pixels import PIXEL_QPARAMS
from .....utils.files import write_whole
from ....ir.graph import Port, Program, ProgramError, Value
from ....ir.interface import output_names
from ..compilation import Compilation
from ..exportable import kernels_only
from ..layout.builder import Builder
from ..layout.steps import Address, ReferenceStep
from ..layout.tensor_ref import TensorRef
from .format import (
    ARENA,
    CONSTANTS,
    DIMENSIONS,
    Parts,
    PortRecord,
    address,
    aligned,
    assembled,
)

#: Values of ``iptq_kind`` in ``runtime/include/iptq.h``.
REAL, PIXELS, GIVEN = range(3)
#: Commands that only Python gives: conversions, counts, floats.
_FOREIGN = (Quantize, Dequantize, RoIAlign, Watch)


def write_compiled(program: Program, path: str | os.PathLike) -> None:
    """Write a program as an ``.iptq`` file; the file is whole or not there.

    Args:
        program: The program.
        path: File to write.

    Raises:
        ProgramError: If a node has no kernel, so that only Python could run it.
    """
    contents = compiled_bytes(program)
    write_whole(path, lambda beside: beside.write_bytes(contents))


def compiled_bytes(program: Program) -> bytes:
    """The contents of an ``.iptq`` file; see :func:`write_compiled`.

    Raises:
        ProgramError: If a node has no kernel, so that only Python could run it.
    """
    if sys.byteorder != 'little':
        raise ProgramError('.iptq files are little-endian: export on another machine')
    return assembled(_Writer(kernels_only(program, '.iptq file')).parts)


class _Writer(Builder):
    """Makes commands whose addresses are those of the file.

    Attributes:
        parts: The parts of the file.
    """

    def __init__(self, made: Compilation) -> None:
        self.kept: list[Tensor] = []
        self._made = made
        self._offsets: dict[tuple, int] = {}
        self._texts: dict[str, int] = {}
        self.parts = Parts(made.size)
        program = made.program
        self._text(program.region)
        for i, (port, ref) in enumerate(zip(program.inputs, made.inputs, strict=True)):
            self.parts.inputs.append(self._input(f'input_{i}', port, ref))
        named = zip(output_names(program), program.outputs, made.outputs, strict=True)
        for name, port, ref in named:
            self.parts.outputs.append(self._record(name, port, ref))
        for step in made.context.steps:
            # Without a kernel there is no file, and fallbacks were refused.
            assert not isinstance(step, ReferenceStep)
            assert step.command not in _FOREIGN, step.command
            self.parts.commands.append(bytes(self.build(step)))  # type: ignore[arg-type]

    def pointer(self, address_: Address) -> int:
        """The address of a buffer in the arena."""
        offset = self._made.offsets[address_.buffer] + address_.offset
        return address(ARENA, offset)

    def constant(self, tensor: Tensor) -> int:
        """The address of a constant, which is added unless it is there."""
        key = (tensor.data_ptr(), tensor.numel() * tensor.element_size())
        offset = self._offsets.get(key)
        if offset is None:
            self.kept.append(tensor)  # so that nothing else gets its address
            constants = self.parts.constants
            constants.extend(bytes(aligned(len(constants)) - len(constants)))
            offset = self._offsets[key] = len(constants)
            constants.extend(tensor.contiguous().view(-1).view(torch.uint8).numpy())
        return address(CONSTANTS, offset)

    def _text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self.parts.texts)
            self.parts.texts += text.encode() + b'\0'
        return self._texts[text]

    def _record(self, name: str, port: Port, ref: TensorRef) -> PortRecord:
        value: Value = self._made.program.values[port.value]
        if len(value.shape) > DIMENSIONS:
            raise ProgramError(
                f'{name} has {len(value.shape)} dimensions: files have {DIMENSIONS}'
            )
        return PortRecord(
            name=self._text(name),
            kind=GIVEN if port.given else REAL,
            code_type=ref.storage.type,
            zero_point=ref.storage.zero_point,
            codes=self.pointer(ref.address),
            integer_type=storage_of(value.dtype).type,
            low=value.low,
            high=value.high,
            scale=port.scale,
            shape=tuple(value.shape),
        )

    def _input(self, name: str, port: Port, ref: TensorRef) -> PortRecord:
        record = self._record(name, port, ref)
        image = port.image or port.pixels
        if image is None:
            return record
        if len(record.shape) != 4:
            raise ProgramError(f'{name}: images have four dimensions')
        record.channels = len(image.mean)
        record.order = self._text('' if port.image is None else port.image.channels)
        look = torch.tensor([image.mean, image.std], dtype=torch.float64)
        record.look = self.constant(look)
        if port.pixels is not None:
            record.kind = PIXELS
            record.scale = PIXEL_QPARAMS.scale
            record.low, record.high = PIXEL_QPARAMS.qmin, PIXEL_QPARAMS.qmax
            record.restoring = self.constant(torch.stack(port.pixels.restoring()))
            record.marked = port.pixels.marked
            images, channels, *size = record.shape
            record.shape = (images, channels - record.marked, *size)
        return record
