"""Steps of a native program, before buffers have addresses.

Lowering makes a list of steps: a :class:`Step` for each command of the C++ library, a
:class:`ReferenceStep` for each node that the reference computes. Both name their memory
by :class:`Buffer`; :mod:`.memory` gives buffers their offsets in one arena, and
:mod:`.builder` turns steps into commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .....native.commands import Command
from ....ir.graph import Node


@dataclass(eq=False)
class Buffer:
    """Memory for integers.

    Attributes:
        size: Bytes.
        pinned: Whether it is used before the first step (by inputs) or after the last
            one (by outputs), so that no other buffer may share its memory.
    """

    size: int
    pinned: bool = False


@dataclass(frozen=True)
class Address:
    """A symbolic address, resolved once buffers have their places in the arena.

    Attributes:
        buffer: The buffer.
        offset: Bytes from its begin.
    """

    buffer: Buffer
    offset: int = 0


#: What a field of a command may hold before addresses are known: a number, an
#: :class:`Address`, a constant tensor, None (a null address), or a dictionary (a
#: structure) or a list of these.
FieldValue = Any


@dataclass(eq=False)
class Step:
    """One command under construction.

    A step is mutable until lowering ends, and so the list of steps obeys an invariant:

    - A later node may change the step that produced its input (fuse itself into it, or
      have it write its rows in another order), but only through
      ``TensorRef.producer``. That is set only while this node is the one consumer of
      the step's result; nobody else can observe the change.
    - Whoever changes a step may still find out that there is no kernel and raise
      ``Unsupported``. The driver (``compiler._attempt``) therefore takes a
      snapshot of the attributes and the ``fields`` of the operands' producers, and
      puts both, and the list of steps, back. Attributes of subclasses must be replaced,
      not modified in place: the snapshot is shallow.
    - After :meth:`finish` nothing changes any more.

    Attributes:
        command: Class of the command.
        fields: Its fields by name.
        node: The node that it was made for; None: a copy of an output.
        fused: Other nodes that it computes, too.
        copies: Whether it only copies an operand of the node.
    """

    command: type[Command]
    fields: dict[str, FieldValue] = field(default_factory=dict)
    node: Node | None = field(default=None, kw_only=True)
    fused: list[Node] = field(default_factory=list, kw_only=True)
    copies: bool = field(default=False, kw_only=True)

    def finish(self) -> None:
        """Complete the fields, after lowering; a second call changes nothing."""


@dataclass(eq=False)
class ReferenceStep:
    """A node that the reference computes in Python, between commands.

    Attributes:
        function: Maps the operands to the result.
        operands: Address, dtype and shape of each, or a constant.
        result: Address, dtype and shape of the result.
        node: The node.
    """

    function: Callable[[Sequence[Tensor]], Tensor]
    operands: list[tuple[Address, torch.dtype, tuple[int, ...]] | Tensor]
    result: tuple[Address, torch.dtype, tuple[int, ...]]
    node: Node


def addresses(value: FieldValue, name: str = '') -> Iterator[tuple[str, Address]]:
    """All addresses in a field of a command, with their dotted names."""
    if isinstance(value, Address):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from addresses(part, f'{name}.{key}' if name else key)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from addresses(part, name)


def used_buffers(step: Step | ReferenceStep) -> list[Buffer]:
    """Buffers that a finished step reads or writes, each once."""
    used = step.fields if isinstance(step, Step) else [step.operands, step.result]
    return list(dict.fromkeys(address.buffer for _, address in addresses(used)))
