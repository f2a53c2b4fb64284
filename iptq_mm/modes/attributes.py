"""What modules keep beside parameters and parts: noted, and put back."""

from __future__ import annotations

import logging
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

#: What torch itself keeps of a module; its buffers are looked at on their own.
_TORCH = frozenset(vars(nn.Module()))
#: How the names of what this package keeps begin.
_OURS = 'iptq_'
#: Not looked into: parts that are looked at on their own, or no state of a model.
_CLOSED = (
    *(nn.Module, Tensor, np.ndarray, np.generic, str, bytes, int, float, type(None)),
    *(type, ModuleType, FunctionType, MethodType, BuiltinFunctionType),
    *(DataLoader, Dataset, logging.Logger, random.Random, torch.Generator),
    *(torch.device, torch.dtype),
)


class Note:
    """What a container holds now.

    Attributes:
        container: A list, set or dict; that of an object's attributes, for instance.
        content: A copy.
    """

    def __init__(self, container: Any, mine: Callable[[Any], bool] | None = None):
        self.container = container
        self._mine = mine
        self.content: Any = dict(self.now()) if self.named else list(container)

    @property
    def named(self) -> bool:
        """Whether it is a dict."""
        return isinstance(self.container, dict)

    def now(self) -> list[tuple[Any, Any]]:
        """Keys (of a list, positions) and values as they are."""
        if not self.named:
            return list(enumerate(self.container))
        items = dict.items(self.container)
        return [(k, v) for k, v in items if self._mine is None or self._mine(k)]

    def put_back(self, keys: Collection | None = None) -> None:
        """Make it what it was, in place; of a dict these keys only."""
        if not self.named:
            if list(map(id, self.container)) != list(map(id, self.content)):
                self.container.clear()
                grow = getattr(self.container, 'extend', None) or self.container.update
                grow(self.content)
            return
        # Subclasses of configs convert what they are given.
        plain = OrderedDict if isinstance(self.container, OrderedDict) else dict
        for key in [k for k, _ in self.now() if k not in self.content]:
            if keys is None or key in keys:
                plain.pop(self.container, key)
        for key, value in self.content.items():
            if keys is None or key in keys:
                plain.__setitem__(self.container, key, value)


class Attributes:
    """What modules keep: attributes, buffers, and the containers among them.

    Parameters, sub-modules, hooks, ``training`` and what this package keeps are left
    out. Containers that are class attributes count, too.

    Attributes:
        notes: By module, the notes of what it keeps.

    Args:
        modules: The modules.
        numbers: Whether the numbers in tensors, arrays and random generators are noted
            as well, which some code changes in place.
    """

    def __init__(self, modules: Iterable[nn.Module], numbers: bool = False) -> None:
        self.notes: list[tuple[nn.Module, list[Note]]] = []
        self._known: dict[int, Any] = {}
        self._numbers: list[Callable[[], Any]] = []
        for module in modules:
            notes = [
                Note(vars(module), _is_own),
                Note(module._buffers),
                Note(module._non_persistent_buffers_set),
            ]
            roots = [v for note in notes[:2] for _, v in note.now()]
            roots += _of_classes(type(module))
            notes += self._inside(roots, numbers)
            self.notes.append((module, notes))

    def knows(self, container: Any) -> bool:
        """Whether it was there when the notes were made."""
        return id(container) in self._known

    def put_back(self) -> None:
        """Make everything what it was."""
        for _, notes in self.notes:
            for note in notes:
                note.put_back()
        for put_back in self._numbers:
            put_back()

    def _inside(self, roots: list[Any], numbers: bool) -> Iterator[Note]:
        waiting = roots
        while waiting:
            value = waiting.pop()
            if self.knows(value):
                continue
            if isinstance(value, tuple):
                waiting.extend(value)
                continue
            content = content_of(value)
            if content is not None:
                self._known[id(value)] = value
                note = Note(content)
                waiting.extend(v for _, v in note.now())
                yield note
            elif numbers and not isinstance(value, nn.Parameter):
                put_back = _numbers_of(value)
                if put_back is not None:
                    self._known[id(value)] = value
                    self._numbers.append(put_back)


def own_attributes(module: nn.Module) -> list[str]:
    """Names of the attributes that its own code gave a module, buffers left out."""
    return [name for name in vars(module) if _is_own(name)]


def content_of(value: Any) -> Any:
    """The list, set or dict that holds what is in a value; None: it is no container.

    Of other objects than the containers of Python, that of their attributes.
    """
    if isinstance(value, dict | list | set | deque):
        return value
    if isinstance(value, _CLOSED) or not hasattr(value, '__dict__'):
        return None
    return vars(value)


def _is_own(name: str) -> bool:
    return name not in _TORCH and not name.startswith(_OURS)


def _of_classes(kind: type) -> list[Any]:
    """Containers that are attributes of a module's classes."""
    return [
        value
        for cls in kind.__mro__[: kind.__mro__.index(nn.Module)]
        for name, value in vars(cls).items()
        if isinstance(value, dict | list | set | deque) and not name.startswith('__')
    ]


def _numbers_of(value: Any) -> Callable[[], Any] | None:
    """What puts the numbers back that are in a value now; None: it has none."""
    if isinstance(value, Tensor):
        # An equal version tells nothing of what was written to ``.data``.
        kept = value.detach().clone()
        return lambda: _write(value, kept)
    if isinstance(value, np.ndarray) and value.flags.writeable:
        array = value.copy()
        return lambda: np.copyto(value, array)
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return partial(value.set_state, state)
    if isinstance(value, random.Random):
        before = value.getstate()
        return lambda: value.setstate(before)
    return None


def _write(tensor: Tensor, numbers: Tensor) -> None:
    """Write numbers where others are now."""
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        if tensor.shape != numbers.shape:
            tensor.data = numbers.clone()
        elif not torch.equal(tensor, numbers):
            tensor.copy_(numbers)
