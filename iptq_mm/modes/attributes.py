"""Snapshots of the attributes and buffers of modules, and how to restore them."""

from __future__ import annotations

import functools
import logging
import operator
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

#: Attributes that torch itself gives a module; buffers are handled on their own.
_TORCH = frozenset(vars(nn.Module()))
#: Prefix of the attributes that this package adds.
_OURS = 'iptq_'
#: Types that are not searched: they are handled on their own, or no state of a model.
_CLOSED = (
    *(nn.Module, Tensor, np.ndarray, np.generic, str, bytes, int, float, type(None)),
    *(type, ModuleType, FunctionType, MethodType, BuiltinFunctionType),
    *(DataLoader, Dataset, logging.Logger, random.Random, torch.Generator),
    *(torch.device, torch.dtype),
)


#: The most frequent types of them.
_PLAIN = frozenset({str, int, float, bool, type(None), FunctionType, MethodType})


class Note:
    """A snapshot of a container.

    Attributes:
        container: A list, set or dict, for instance the ``__dict__`` of an object.
        content: A copy of its content.
    """

    def __init__(self, container: Any, mine: Callable[[Any], bool] | None = None):
        self.container = container
        self._mine = mine
        if not self.named:
            self.content: Any = list(container)
        elif mine is None:
            self.content = dict(dict.items(container))
        else:
            self.content = {k: v for k, v in dict.items(container) if mine(k)}
        self._values = self._all()

    @property
    def named(self) -> bool:
        """Whether it is a dict."""
        return isinstance(self.container, dict)

    def _all(self) -> tuple[Any, ...]:
        values = dict.values(self.container) if self.named else self.container
        return tuple(values)

    def same(self) -> bool:
        """Whether the container holds the very objects that it held."""
        values = self._all()
        return len(values) == len(self._values) and all(
            map(operator.is_, values, self._values)
        )

    def now(self) -> list[tuple[Any, Any]]:
        """The present keys (or positions) and values."""
        if not self.named:
            return list(enumerate(self.container))
        items = dict.items(self.container)
        return [(k, v) for k, v in items if self._mine is None or self._mine(k)]

    def put_back(self, keys: Collection | None = None) -> None:
        """Restore the content, in place.

        Args:
            keys: Of a dict: the keys to restore. None: all.
        """
        if not self.named:
            if list(map(id, self.container)) != list(map(id, self.content)):
                self.container.clear()
                grow = getattr(self.container, 'extend', None) or self.container.update
                grow(self.content)
            return
        # Subclasses, such as configs, convert the values that they are given.
        plain = OrderedDict if isinstance(self.container, OrderedDict) else dict
        for key in [k for k, _ in self.now() if k not in self.content]:
            if keys is None or key in keys:
                plain.pop(self.container, key)
        for key, value in self.content.items():
            if keys is None or key in keys:
                plain.__setitem__(self.container, key, value)


class Attributes:
    """Snapshots of the attributes and buffers of modules, and of containers in them.

    Parameters, sub-modules, hooks, ``training`` and the attributes of this package are
    left out. Containers that are class attributes are included.

    Attributes:
        notes: Modules with the snapshots of each.

    Args:
        modules: The modules.
        numbers: Whether to copy the content of tensors, arrays and random generators as
            well, because some code changes them in place.
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
            roots = [v for note in notes[:2] for v in note.content.values()]
            roots += _of_classes(type(module))
            notes += self._inside(roots, numbers)
            self.notes.append((module, notes))

    def knows(self, container: Any) -> bool:
        """Whether a container existed when the snapshots were made."""
        return id(container) in self._known

    def put_back(self) -> None:
        """Restore everything."""
        for _, notes in self.notes:
            for note in notes:
                note.put_back()
        for put_back in self._numbers:
            put_back()

    def _inside(self, roots: list[Any], numbers: bool) -> Iterator[Note]:
        waiting = roots
        while waiting:
            value = waiting.pop()
            if type(value) in _PLAIN or self.knows(value):
                continue
            if isinstance(value, tuple):
                waiting.extend(value)
                continue
            content = content_of(value)
            if content is not None:
                self._known[id(value)] = value
                note = Note(content)
                kept = note.content
                waiting.extend(kept.values() if note.named else kept)
                yield note
            elif numbers and not isinstance(value, nn.Parameter):
                put_back = _numbers_of(value)
                if put_back is not None:
                    self._known[id(value)] = value
                    self._numbers.append(put_back)


def own_attributes(module: nn.Module) -> list[str]:
    """Names of the attributes that a module's own code set, without buffers."""
    return [name for name in vars(module) if _is_own(name)]


def content_of(value: Any) -> Any:
    """The list, set or dict with the content of a value; None if it has none.

    For an object that is no Python container, it is the dict of its attributes.
    """
    if isinstance(value, dict | list | set | deque):
        return value
    if isinstance(value, _CLOSED) or not hasattr(value, '__dict__'):
        return None
    return vars(value)


@functools.cache
def _is_own(name: str) -> bool:
    return name not in _TORCH and not name.startswith(_OURS)


def _of_classes(kind: type) -> list[Any]:
    """Containers among the class attributes of a module."""
    return [
        value
        for cls in kind.__mro__[: kind.__mro__.index(nn.Module)]
        for name, value in vars(cls).items()
        if isinstance(value, dict | list | set | deque) and not name.startswith('__')
    ]


def _numbers_of(value: Any) -> Callable[[], Any] | None:
    """A function that restores the numbers now in a value; None if it has none."""
    if isinstance(value, Tensor):
        # Writing to ``.data`` does not change the version, so the numbers are copied.
        kept = value.detach().clone()
        return lambda: _write(value, kept)
    if isinstance(value, np.ndarray) and value.flags.writeable:
        array = value.copy()
        return lambda: np.copyto(value, array)
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return functools.partial(value.set_state, state)
    if isinstance(value, random.Random):
        before = value.getstate()
        return lambda: value.setstate(before)
    return None


def _write(tensor: Tensor, numbers: Tensor) -> None:
    """Overwrite the numbers of a tensor."""
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        if tensor.shape != numbers.shape:
            tensor.data = numbers.clone()
        elif not torch.equal(tensor, numbers):
            tensor.copy_(numbers)
