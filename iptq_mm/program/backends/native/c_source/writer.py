"""Writes the compiled form of a program as one file of C99."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import Tensor

from .....native import commands as native
from .....pixels import MARK
from .....utils.files import atomic_write
from .....version import __version__
from ....ir.graph import Port, Program, Value
from ....ir.interface import output_names
from ..compilation import Compilation
from ..exportable import kernels_only
from ..layout.builder import Builder
from ..layout.steps import Address, Step
from ..layout.tensor_ref import TensorRef
from .declarations import (
    C_TYPES,
    array,
    constants_of_commands,
    identifier,
    initializer,
    structs,
    unique_identifiers,
)

#: The kernels, which are C99 already.
KERNELS = Path(native.__file__).parent / 'freestanding'
#: By command: the file that has its kernel, and the kernel.
_RUN = {
    native.Gemm: ('product', 'run_gemm'),
    native.Attention: ('softmax', 'run_attention'),
    native.SoftmaxRows: ('softmax', 'run_softmax_rows'),
    native.LayerNorm: ('normalization', 'run_layer_norm'),
    native.MatMul: ('matmul', 'run_matmul'),
    native.Add: ('strided', 'run_add'),
    native.Multiply: ('strided', 'run_multiply'),
    native.Lookup: ('strided', 'run_lookup'),
    native.Copy: ('strided', 'run_copy'),
    native.Gather: ('strided', 'run_gather'),
    native.Mean: ('strided', 'run_mean'),
}
#: Addresses of constants begin here, those of the arena at 1.
_CONSTANTS = 1 << 48


def write_c(program: Program, path: str | os.PathLike) -> None:
    """Write a program as ``NAME.c`` and ``NAME.h``; each is whole or not there.

    Args:
        program: The program.
        path: The file with the suffix ``.c``. Its name is that of the function, too.

    Raises:
        ProgramError: If a node has no kernel, so that only Python could run it.
    """
    path = Path(path)
    source, header = c_source(program, identifier(path.stem))
    atomic_write(path.with_suffix('.h'), header)
    atomic_write(path, source)


def c_source(program: Program, name: str) -> tuple[str, str]:
    """The texts of both files; see :func:`write_c`.

    Args:
        program: The program.
        name: What functions and sizes begin with.

    Raises:
        ProgramError: If a node has no kernel.
    """
    made = kernels_only(program, 'file of C')
    writer = _Writer(made, name)
    return writer.source(), writer.header()


class _Writer(Builder):
    """Makes commands whose addresses are names.

    Args:
        made: The compiled program.
        name: What functions begin with.
    """

    def __init__(self, made: Compilation, name: str) -> None:
        self.kept: list[Tensor] = []
        self._made, self._name = made, name
        self._numbers: dict[tuple, int] = {}
        steps = [step for step in made.context.steps if isinstance(step, Step)]
        self._commands = [(step.command, self._as_words(step)) for step in steps]
        program = made.program
        names = [f'input_{i}' for i in range(len(program.inputs))]
        self._inputs = list(zip(names, program.inputs, made.inputs, strict=True))
        names = unique_identifiers(output_names(program), names)
        self._outputs = list(zip(names, program.outputs, made.outputs, strict=True))

    def _as_words(self, step: Step) -> str:
        """The command, its weights of 16 bits as such."""
        fields = dict(step.fields)
        if step.command is native.Gemm and fields['bits'] == 16:
            weights = fields['weights']
            assert isinstance(weights, Tensor)
            fields['weights'] = weights.view(torch.int16)
        command = self._structure(step.command, fields, step.command.__name__)
        return initializer(command, self._expression)

    def pointer(self, address: Address) -> int:
        """See the base class: the place in the arena, from 1 on."""
        return 1 + self._made.offsets[address.buffer] + address.offset

    def constant(self, tensor: Tensor) -> int:
        """See the base class: the number of the array."""
        key = (tensor.data_ptr(), tensor.numel(), tensor.dtype)
        if key not in self._numbers:
            self._numbers[key] = len(self.kept)
            self.kept.append(tensor)  # so that nothing else gets its address
        return _CONSTANTS + self._numbers[key]

    def _expression(self, address: int) -> str:
        if address >= _CONSTANTS:
            return f'constant_{address - _CONSTANTS}'
        return f'arena.bytes + {address - 1}'

    def _prototype(self) -> str:
        parts = [
            f'const {self._integer(port)} *{name}' for name, port, _ in self._inputs
        ]
        parts += [f'{self._integer(port)} *{name}' for name, port, _ in self._outputs]
        return f'void {self._name}_run({", ".join(parts)})'

    def _of(self, port: Port) -> Value:
        return self._made.program.values[port.value]

    def _integer(self, port: Port) -> str:
        return C_TYPES[self._of(port).dtype]

    def header(self) -> str:
        """The file that callers include."""
        guard = f'{self._name.upper()}_H'
        sizes = ''.join(
            self._port_lines(*each) for each in (*self._inputs, *self._outputs)
        )
        return (
            f'/* Made by iptq_mm {__version__}: integers only. */\n'
            f'#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n'
            '/* Bytes of memory that a call computes in, of constants beside it. */\n'
            f'#define {self._name.upper()}_ARENA_BYTES {self.arena_bytes}\n'
            f'#define {self._name.upper()}_CONSTANT_BYTES {self.constant_bytes}\n\n'
            f'{sizes}\n'
            '/* Computes the outputs. Calls share their memory: one at a time. */\n'
            f'{self._prototype()};\n\n#endif\n'
        )

    def _port_lines(self, name: str, port: Port, ref: TensorRef) -> str:
        value = self._of(port)
        upper = f'{self._name}_{name}'.upper()
        shape = ' x '.join(map(str, value.shape))
        return (
            f'/* {name}: {shape}, {value.low} to {value.high}, {_meaning(port)}. */\n'
            f'#define {upper}_SIZE {math.prod(self._of(port).shape)}\n'
        )

    @property
    def arena_bytes(self) -> int:
        """What a call computes in: the arena and the scores of a row."""
        return self._made.size + 4 * self._scratch

    @property
    def constant_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(t.numel() * t.element_size() for t in self.kept)

    @property
    def _scratch(self) -> int:
        """Numbers of the longest row of a softmax."""
        sizes = [1]
        for step in self._made.context.steps:
            if isinstance(step, Step):
                named = {native.Attention: 'keys', native.SoftmaxRows: 'size'}
                if step.command in named:
                    sizes.append(int(step.fields[named[step.command]]))  # type: ignore
        return max(sizes)

    def source(self) -> str:
        """The file that is compiled."""
        pieces = {'numbers': None}
        pieces |= {_RUN[kind][0]: None for kind, _ in self._commands}
        kernels = '\n'.join(
            (KERNELS / f'{piece}.c').read_text(encoding='utf-8') for piece in pieces
        )
        constants = '\n'.join(
            array(f'constant_{i}', tensor) for i, tensor in enumerate(self.kept)
        )
        commands = ''.join(
            f'static const {kind.__name__} command_{i} = {text};\n'
            for i, (kind, text) in enumerate(self._commands)
        )
        scratch = (
            f'static int32_t scratch[{self._scratch}];\n' if 'softmax' in pieces else ''
        )
        return (
            f'/* Made by iptq_mm {__version__}: integers only, C99, no library. */\n'
            f'#include "{self._name}.h"\n\n{constants_of_commands()}\n{structs()}\n'
            f'static union {{ int64_t aligned; uint8_t bytes[{self._made.size}]; }} '
            f'arena;\n{scratch}\n{kernels}\n{constants}\n{commands}\n{self._function()}'
        )

    def _function(self) -> str:
        lines = [
            self._copying(name, port, ref, False) for name, port, ref in self._inputs
        ]
        lines += [
            f'    {_RUN[kind][1]}(&command_{i});\n'
            for i, (kind, _) in enumerate(self._commands)
        ]
        lines += [self._copying(*each, True) for each in self._outputs]
        return f'{self._prototype()}\n{{\n    int64_t i;\n{"".join(lines)}}}\n'

    def _copying(self, name: str, port: Port, ref: TensorRef, out: bool) -> str:
        """Integers of the caller to codes of the program, or back."""
        codes = (
            f'arena.bytes + {self.pointer(ref.address) - 1}, {int(ref.storage.type)}, i'
        )
        zero = ref.storage.zero_point
        loop = f'    for (i = 0; i < {math.prod(self._of(port).shape)}; ++i)\n        '
        if out:
            kind = self._integer(port)
            return f'{loop}{name}[i] = ({kind})(element_at({codes}) - {zero});\n'
        return f'{loop}store_element({codes}, {name}[i] + {zero});\n'


def _meaning(port: Port) -> str:
    """What the integers of an input or output stand for."""
    if port.given:
        return 'as they are'
    if port.pixels is None:
        return f'times {port.scale!r}'
    channels = f', channels {port.image.channels}' if port.image else ''
    last = ''
    if port.pixels.marked:
        last = f'; the last channel is {MARK} where the image is padded, 0 elsewhere'
    return f'a pixel less 128{channels}{last}'
