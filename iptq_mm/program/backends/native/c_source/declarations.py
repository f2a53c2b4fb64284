"""Structs, numbers and tensors of commands as C99."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from .....native import commands as native
from .....native.fields import (
    Address,
    Fields,
    Interpolation,
    Requantization,
    ScoreAddition,
    Softmax,
    Sum,
    View,
    Window,
)

#: The structs in the order in which C wants them.
STRUCTS: tuple[type[Fields], ...] = (
    Requantization,
    Sum,
    Interpolation,
    Window,
    ScoreAddition,
    Softmax,
    View,
    native.Gemm,
    native.Attention,
    native.LayerNorm,
    native.Add,
    native.Multiply,
    native.Lookup,
    native.Copy,
    native.Gather,
    native.Mean,
    native.SoftmaxRows,
    native.MatMul,
)
_ENUMS = (native.Type, native.Norm, native.Exponential, native.Post)
#: C types of tensors' elements.
C_TYPES = {
    torch.int8: 'int8_t',
    torch.uint8: 'uint8_t',
    torch.int16: 'int16_t',
    torch.int32: 'int32_t',
    torch.int64: 'int64_t',
}
_WIDTH = 96
#: Words of C, and names of the file.
_WORDS = frozenset(
    re.findall(
        r'\w+',
        'arena auto break case char const continue default do double else enum extern '
        'float for goto if inline int long register restrict return scratch short '
        'signed sizeof static struct switch typedef union unsigned void volatile while',
    )
)
#: Most vectors of columns of a panel, kMaxWidth of fields.h.
_MAX_WIDTH = 4


def constants_of_commands() -> str:
    """Names of types, forms and sizes, as enumerations."""
    lines = [
        'enum { '
        + ', '.join(
            f'{name} = {int(value)}' for name, value in kind.__members__.items()
        )
        + ' };'
        for kind in _ENUMS
    ]
    width = native.LANES * _MAX_WIDTH
    lines.append(
        f'enum {{ DIMS = {native.DIMS}, LANES = {native.LANES}, '
        f'TILE_COLUMNS = {width} }};'
    )
    return '\n'.join(lines) + '\n'


def structs() -> str:
    """The definitions of all structs."""
    return '\n'.join(_struct(kind) for kind in STRUCTS)


def _struct(kind: type[Fields]) -> str:
    lines = [_member(name, made) for name, made, *_ in kind._fields_]
    return 'typedef struct {\n' + ''.join(lines) + f'}} {kind.__name__};\n'


def _member(name: str, kind: Any) -> str:
    if kind is Address:
        return f'    const void *{name};\n'
    if issubclass(kind, ctypes.Array):
        return f'    {_type_name(kind._type_)} {name}[{kind._length_}];\n'
    return f'    {_type_name(kind)} {name};\n'


def _type_name(kind: type) -> str:
    return kind.__name__ if issubclass(kind, Fields) else 'int64_t'


def initializer(value: Fields, address: Callable[[int], str]) -> str:
    """A struct as C99 writes it down; fields that are zero are left out.

    Args:
        value: The struct.
        address: The expression of an address that is not null.
    """
    parts = []
    for name, kind, *_ in value._fields_:
        text = _expression(kind, getattr(value, name), address)
        if text is not None:
            parts.append(f'.{name} = {text}')
    return '{' + ', '.join(parts or ['0']) + '}'


def _expression(kind: Any, value: object, address: Callable[[int], str]) -> str | None:
    """The expression of a field; None if it is zero."""
    if kind is Address:
        return address(value) if isinstance(value, int) and value else None
    if isinstance(value, Fields):
        text = initializer(value, address)
        return None if text == '{0}' else text
    if isinstance(value, ctypes.Array):
        each = [_expression(kind._type_, part, address) or '0' for part in value]
        if all(part == '0' for part in each):
            return None
        return (
            '{' + ', '.join(part if part != '0' else _zero(kind) for part in each) + '}'
        )
    assert isinstance(value, int)
    return number(value) if value else None


def _zero(array: Any) -> str:
    return '{0}' if issubclass(array._type_, Fields) else '0'


def number(value: int) -> str:
    """A number of up to 64 bits; the most negative ones have no literal in C."""
    if value == -(2**63):
        return '(-9223372036854775807 - 1)'
    if value == -(2**31):
        return '(-2147483647 - 1)'
    return str(value)


def array(name: str, tensor: Tensor) -> str:
    """A constant tensor as an array."""
    kind = C_TYPES[tensor.dtype]
    head = f'static const {kind} {name}[{tensor.numel()}] = {{\n'
    values = tensor.flatten().long().tolist() if tensor.numel() else []
    return head + '\n'.join(_lines(map(number, values))) + '\n};\n'


def _lines(parts: Iterable[str]) -> Iterator[str]:
    line = ''
    for part in parts:
        if len(line) + len(part) > _WIDTH:
            yield line
            line = ''
        line += part + ','
    yield line


def identifier(text: str) -> str:
    """A name for C made of any text."""
    name = re.sub(r'\W', '_', text, flags=re.ASCII)
    return f'_{name}' if not name or name[0].isdigit() else name


def unique_identifiers(texts: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Names for C, which differ from each other and from those taken in any case.

    They end with an underscore, or more, where they would not, or where one letter or a
    word of C would be a name: the file has those itself.

    Args:
        texts: Any texts.
        taken: Names that are there already.
    """
    seen, names = {name.upper() for name in taken}, []
    for text in texts:
        name = identifier(text)
        while name.upper() in seen or len(name) == 1 or name in _WORDS:
            name += '_'
        seen.add(name.upper())
        names.append(name)
    return names
