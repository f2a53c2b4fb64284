"""A program as text, one line a node."""

from __future__ import annotations

from typing import Any

from .graph import Node, Program, Value


def text(program: Program) -> str:
    """A program for people to read.

    Each line has what is made, its type, shape and bounds, by which operation from
    what, the site and its function::

        %12 int8[1,197,192] -128..127 = layer_norm(%11, ...) ln1/layer_norm:0 i_norm
    """
    values = program.values
    size = sum(t.numel() * t.element_size() for t in program.tensors.values())
    lines = [
        f'program of {program.region}: {len(program.nodes)} nodes, '
        f'{len(program.tensors)} tensors of {size / 2**20:.2f} MB'
    ]
    for port in program.inputs:
        what = 'pixels - 128' if port.pixels else f'input * {port.scale:.6g}'
        lines.append(f'{_typed(port.value, values)} = {what}')
    lines += [_line(node, values) for node in program.nodes]
    lines += [f'output %{port.value} * {port.scale:.6g}' for port in program.outputs]
    return '\n'.join(lines) + '\n'


def _line(node: Node, values: list[Value]) -> str:
    operands = [f'%{x}' if isinstance(x, int) else x for x in node.operands]
    named = {**node.attributes, **node.constants}
    arguments = [*operands, *(f'{k}={_short(v)}' for k, v in named.items())]
    name = (node.function or {}).get('type', '')
    head = f'{_typed(node.output, values)} = {node.kind}({", ".join(arguments)})'
    return ' '.join(part for part in (head, node.site, name) if part)


def _typed(number: int, values: list[Value]) -> str:
    value = values[number]
    shape = ','.join(map(str, value.shape))
    dtype = str(value.dtype).removeprefix('torch.')
    return f'%{number} {dtype}[{shape}] {value.low}..{value.high}'


def _short(value: Any) -> str:
    return str(value).replace(' ', '')
