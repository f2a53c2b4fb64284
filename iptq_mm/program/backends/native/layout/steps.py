"""Steps of a native program, and the memory that they share.

A step is a command whose buffers have no address yet. When all steps are known, so
are the buffers' lives: those that never live at the same time share an arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .....native.commands import SLACK, Command
from .....native.fields import Fields

_ALIGNMENT = 64


@dataclass(eq=False)
class Buffer:
    """Memory for integers.

    Attributes:
        size: Bytes.
        pinned: Whether it is read before the first or after the last step.
    """

    size: int
    pinned: bool = False


@dataclass(frozen=True)
class At:
    """An address to be: so many bytes into a buffer."""

    buffer: Buffer
    offset: int = 0


#: What a field of a command may be before addresses are known.
FieldValue = Any


@dataclass(eq=False)
class Step:
    """A command to be.

    Attributes:
        command: Its class.
        fields: Numbers, :class:`At`, constant tensors, None (a null address), or
            structures and lists of these.
    """

    command: type[Command]
    fields: dict[str, FieldValue] = field(default_factory=dict)

    def final_fields(self) -> dict[str, FieldValue]:
        """The fields, once nothing changes any more."""
        return self.fields


@dataclass(eq=False)
class Call:
    """A node that Python runs, between commands.

    Attributes:
        function: From the operands to the result.
        operands: Where they are.
        result: Where the result goes.
    """

    function: Callable[[Sequence[Tensor]], Tensor]
    operands: list[tuple[At, torch.dtype, tuple[int, ...]] | Tensor]
    result: tuple[At, torch.dtype, tuple[int, ...]]


def buffers_of(value: FieldValue) -> Iterator[Buffer]:
    """Buffers that a field names."""
    if isinstance(value, At):
        yield value.buffer
    elif isinstance(value, dict):
        for part in value.values():
            yield from buffers_of(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from buffers_of(part)


def used_buffers(step: Step | Call) -> set[Buffer]:
    """Buffers that a step reads or writes."""
    if isinstance(step, Call):
        return set(buffers_of([step.operands, step.result]))
    return set(buffers_of(step.final_fields()))


def plan(steps: Sequence[Step | Call]) -> tuple[dict[Buffer, int], int]:
    """Places of the buffers: no two that live together overlap.

    Args:
        steps: In the order of execution.

    Returns:
        Offset of each buffer, and the bytes of all together.
    """
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for position, step in enumerate(steps):
        for buffer in used_buffers(step):
            first.setdefault(buffer, position)
            last[buffer] = position
    for buffer in first:
        if buffer.pinned:
            first[buffer], last[buffer] = -1, len(steps)
    offsets: dict[Buffer, int] = {}
    total = 0
    for buffer in sorted(first, key=lambda b: (-b.size, first[b])):
        lives = (
            (offsets[b], offsets[b] + _padded(b.size))
            for b in offsets
            if first[b] <= last[buffer] and first[buffer] <= last[b]
        )
        at = 0
        for start, end in sorted(lives):
            if at + _padded(buffer.size) <= start:
                break
            at = max(at, end)
        offsets[buffer] = at
        total = max(total, at + _padded(buffer.size))
    return offsets, total


class Builder:
    """Makes commands of steps.

    Args:
        base: Address of the arena.
        offsets: From :func:`plan`.

    Attributes:
        kept: Constants whose addresses the commands hold.
    """

    def __init__(self, base: int, offsets: dict[Buffer, int]) -> None:
        self._base, self._offsets = base, offsets
        self.kept: list[Tensor] = []

    def command(self, step: Step) -> Command:
        """The command of a step."""
        return self._structure(step.command, step.final_fields())

    def _structure(self, kind: type[Fields], fields: dict[str, FieldValue]) -> Any:
        types: dict[str, Any] = {name: made for name, made, *_ in kind._fields_}
        return kind(**{n: self._value(types[n], v) for n, v in fields.items()})

    def _value(self, kind: Any, value: FieldValue) -> Any:
        if isinstance(value, At):
            return self._base + self._offsets[value.buffer] + value.offset
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == 'cpu'
            self.kept.append(value)
            return value.data_ptr()
        if isinstance(value, dict):
            return self._structure(kind, value)
        if isinstance(value, (list, tuple)):
            return kind(*(self._value(kind._type_, part) for part in value))
        return 0 if value is None else int(value)


def _padded(size: int) -> int:
    return -(-(size + SLACK) // _ALIGNMENT) * _ALIGNMENT
