"""A native program as text: its steps, what was fused into them, what fell back.

To see it::

    python tools/export.py WORK_DIR/integer.py --out FILE --print --backend native

or, in Python, where a model runs by this back end::

    print(bound_region(model.backbone).session.programs[-1].executable)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ....native.commands import ADD, RESCALE, TABLE
from ...ir.graph import Node, Program
from .compilation import Compilation
from .layout.steps import Address, ReferenceStep, Step, addresses

#: Fields of commands that are sizes.
_SIZES = (
    'groups',
    'queries',
    'keys',
    'depth',
    'value_depth',
    'm',
    'n',
    'k',
    'taps',
    'rows',
    'size',
    'shape',
    'runs',
)
_EPILOGUES = {TABLE: 'table', ADD: 'add', RESCALE: 'rescale'}


def dump(compilation: Compilation) -> str:
    """The text of a compilation, as far as it has come.

    One line for each step: its number, its command, sizes, buffers by their offset in
    the arena (``b0``, ``b1``, ... before they have one), the value that it makes and
    the kinds of the nodes that it computes::

        5 Gemm m=6 n=8 k=4 epilogue=table | a=@0 out=@64 | %9 int8[6,8] = linear + gelu

    At the end stands what the reference computes, and why.
    """
    program, steps = compilation.program, compilation.context.steps
    lines = [
        f'native program of {program.region}: {len(program.nodes)} nodes, '
        f'{len(steps)} steps, arena of {compilation.size} bytes'
    ]
    shown = _addresses_of(compilation)
    for port, ref in zip(program.inputs, compilation.inputs, strict=False):
        lines.append(f'input {_value(program, port.value)} {shown(ref.address)}')
    number = {id(node): i for i, node in enumerate(program.nodes)}
    for i, step in enumerate(steps):
        if isinstance(step, ReferenceStep):
            parts = ['reference', _reference_buffers(step, shown)]
            nodes = [step.node]
        else:
            parts = [_sizes(step), _buffers(step, shown)]
            nodes = [step.node] if step.node is not None else []
            nodes = sorted([*nodes, *step.fused], key=lambda n: number[id(n)])
        what = _purpose(program, step, nodes)
        lines.append(f'{i:3} ' + ' | '.join([*parts, what]))
    for port, ref in zip(program.outputs, compilation.outputs, strict=False):
        lines.append(f'output {_value(program, port.value)} {shown(ref.address)}')
    for reason, count in sorted(compilation.unfused.items()):
        lines.append(f'{count} lowered node by node: {reason}')
    for reason, count in sorted(compilation.fallbacks.items()):
        lines.append(f'{count} left to the reference: {reason}')
    return '\n'.join(lines) + '\n'


def _addresses_of(compilation: Compilation) -> Callable[[Address], str]:
    """How addresses are shown."""
    names: dict[int, str] = {}

    def shown(address: Address) -> str:
        if address.buffer in compilation.offsets:
            return f'@{compilation.offsets[address.buffer] + address.offset}'
        name = names.setdefault(id(address.buffer), f'b{len(names)}')
        return f'{name}+{address.offset}' if address.offset else name

    return shown


def _value(program: Program, value: int) -> str:
    described = program.values[value]
    dtype = str(described.dtype).removeprefix('torch.')
    return f'%{value} {dtype}{_list(described.shape)}'


def _list(sizes: tuple[int, ...] | list[int]) -> str:
    return f'[{",".join(map(str, sizes))}]'


def _sizes(step: Step) -> str:
    """The command of a step, and its sizes."""
    parts = [step.command.__name__]
    for name in _SIZES:
        size = step.fields.get(name)
        if isinstance(size, list):
            parts.append(f'{name}={_list(size)}')
        elif isinstance(size, int) and size:
            parts.append(f'{name}={size}')
    if any(isinstance(step.fields.get(n), Tensor) for n in ('rows', 'rows_from')):
        parts.append('reordered')
    epilogue = _EPILOGUES.get(step.fields.get('post', 0))
    if epilogue:
        parts.append(f'epilogue={epilogue}')
    return ' '.join(parts)


def _buffers(step: Step, shown: Callable[[Address], str]) -> str:
    return ' '.join(
        f'{name.removesuffix(".data")}={shown(address)}'
        for name, address in addresses(step.fields)
    )


def _reference_buffers(step: ReferenceStep, shown: Callable[[Address], str]) -> str:
    operands = [
        'constant' if isinstance(x, Tensor) else shown(x[0]) for x in step.operands
    ]
    return f'operands={",".join(operands)} out={shown(step.result[0])}'


def _purpose(program: Program, step: Step | ReferenceStep, nodes: list[Node]) -> str:
    """What a step is for: ``%4 int8[5,64] = linear + gelu``."""
    if not nodes:
        return 'copy of an output'
    if isinstance(step, Step) and step.copies:
        return f'copy for %{nodes[-1].output} {nodes[-1].kind}'
    kinds = ' + '.join(node.kind for node in nodes)
    return f'{_value(program, nodes[-1].output)} = {kinds}'
