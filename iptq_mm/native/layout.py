"""Compares the commands of Python with those of the compiled library.

Both define the same structs: :mod:`.commands` with ctypes, ``src/commands.h`` in C++.
The library describes its own (``src/layout.cpp``), one name a line::

    Sum.right 8 i64         field: offset in bytes and type
    Sum 56                  struct: size in bytes
    Kind.Attention 1        value of an enumeration
    SLACK 64                constant
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from .commands import ADDITIONS, KINDS, LANES, SLACK, Exponential, Norm, Post, Type
from .fields import DIMS, Address, Fields, Real, Word

_TYPES = {Word: 'i64', Real: 'f64', Address: 'pointer'}
_ENUMS: tuple[type[IntEnum], ...] = (Type, Post, Norm, Exponential)
_CONSTANTS = {'DIMS': DIMS, 'LANES': LANES, 'ADDITIONS': ADDITIONS, 'SLACK': SLACK}


def differences(description: str) -> list[str]:
    """Returns what differs between the library and the classes of Python.

    Args:
        description: The library's, as above.

    Returns:
        A clause for each name, such as ``Sum.left: 0 i64 in Python, 8 i64 in C++``.
    """
    here = dict(_described())
    there = dict(line.split(' ', 1) for line in description.splitlines())
    there = {_spelled(name): value for name, value in there.items()}
    return [
        f'{name}: {here.get(name, "none")} in Python, {there.get(name, "none")} in C++'
        for name in {**here, **there}
        if here.get(name) != there.get(name)
    ]


def _described() -> Iterator[tuple[str, str]]:
    """The same description, of the classes of Python."""
    for command in KINDS:
        yield from _struct(command)
        yield _spelled(f'Kind.{command.__name__}'), str(command.kind_number)
    for enum in _ENUMS:
        for member in enum:
            yield _spelled(f'{enum.__name__}.{member.name}'), str(member.value)
    yield from ((name, str(value)) for name, value in _CONSTANTS.items())


def _struct(struct: type[Fields]) -> Iterator[tuple[str, str]]:
    """Lines of a struct and of those within it."""
    for name, kind, *_ in struct._fields_:
        offset = getattr(struct, name).offset
        yield f'{struct.__name__}.{name}', f'{offset} {_type_name(kind)}'
        element = getattr(kind, '_type_', kind)
        if isinstance(element, type) and issubclass(element, Fields):
            yield from _struct(element)
    yield struct.__name__, str(ctypes.sizeof(struct))


def _type_name(kind: Any) -> str:
    if issubclass(kind, ctypes.Array):
        return f'{_type_name(kind._type_)}[{kind._length_}]'
    return _TYPES.get(kind, kind.__name__)


def _spelled(name: str) -> str:
    """An enumerator without case: ``IViT`` (``kIViT`` in C++) is ``IVIT`` in Python."""
    prefix, _, member = name.partition('.')
    enums = {'Kind', *(enum.__name__ for enum in _ENUMS)}
    return f'{prefix}.{member.upper()}' if prefix in enums else name
