"""From steps to commands: symbolic addresses become real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, UntypedStorage

from .....native.commands import Command
from .....native.fields import Fields
from .memory import ALIGNMENT
from .steps import Address, Buffer, FieldValue, ReferenceStep, Step


class Arena:
    """The memory of all buffers of a program.

    Args:
        offsets: Offset of each buffer, from :func:`.memory.plan_memory`.
        memory: At least as many bytes as were planned.

    Attributes:
        memory: See above.
    """

    def __init__(self, offsets: Mapping[Buffer, int], memory: UntypedStorage) -> None:
        assert memory.data_ptr() % ALIGNMENT == 0  # as torch allocates
        self._offsets, self.memory = offsets, memory

    def offset(self, address: Address) -> int:
        """Bytes from the begin of the arena."""
        return self._offsets[address.buffer] + address.offset

    def pointer(self, address: Address) -> int:
        """The address as a number."""
        return self.memory.data_ptr() + self.offset(address)

    def view(
        self, address: Address, dtype: torch.dtype, shape: tuple[int, ...]
    ) -> Tensor:
        """Contiguous integers of the arena as a tensor."""
        with torch.inference_mode(False):  # else nobody else could write to it
            made = torch.empty(0, dtype=dtype)
            made.set_(self.memory, self.offset(address) // dtype.itemsize, shape)  # type: ignore[call-overload]
        return made


class ReferenceCall:
    """A node that the reference computes, on tensors of the arena."""

    def __init__(self, step: ReferenceStep, arena: Arena) -> None:
        self._function = step.function
        self._operands = [
            x if isinstance(x, Tensor) else arena.view(*x) for x in step.operands
        ]
        self._result = arena.view(*step.result)

    def run(self) -> None:
        """Run it."""
        with torch.no_grad(), torch.autocast('cpu', enabled=False):
            self._result.copy_(self._function(self._operands))


class Builder:
    """Makes commands of steps.

    Args:
        arena: Where the buffers are.

    Attributes:
        kept: Constants whose addresses the commands hold.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self.kept: list[Tensor] = []

    def build(self, step: Step | ReferenceStep) -> Command | ReferenceCall:
        """The command of a finished step.

        Raises:
            TypeError: If its command has no field of a name that an emitter has set.
        """
        if isinstance(step, ReferenceStep):
            return ReferenceCall(step, self._arena)
        return self._structure(step.command, step.fields, step.command.__name__)

    def pointer(self, address: Address) -> int:
        """What a command has for an address in the arena."""
        return self._arena.pointer(address)

    def constant(self, tensor: Tensor) -> int:
        """What a command has for the address of a constant."""
        assert tensor.is_contiguous() and tensor.device.type == 'cpu'
        self.kept.append(tensor)
        return tensor.data_ptr()

    def _structure(
        self, kind: type[Fields], fields: dict[str, FieldValue], name: str
    ) -> Any:
        types: dict[str, Any] = {field: made for field, made, *_ in kind._fields_}
        unknown = fields.keys() - types.keys()
        if unknown:
            raise TypeError(
                f'command {name} has no field {", ".join(sorted(unknown))}: an emitter '
                f'set it; there are {", ".join(types)}'
            )
        return kind(
            **{n: self._value(types[n], v, f'{name}.{n}') for n, v in fields.items()}
        )

    def _value(self, kind: Any, value: FieldValue, name: str) -> Any:
        if isinstance(value, Address):
            return self.pointer(value)
        if isinstance(value, Tensor):
            return self.constant(value)
        if isinstance(value, dict):
            if not issubclass(kind, Fields):
                raise TypeError(f'command {name} is a number, not a structure')
            return self._structure(kind, value, name)
        if isinstance(value, (list, tuple)):
            return kind(*(self._value(kind._type_, part, name) for part in value))
        return 0 if value is None else int(value)
