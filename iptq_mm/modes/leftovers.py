"""Values that a call of a region leaves in the attributes of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..qtensor import QTensor, UnsupportedOperationError
from ..utils.trees import tree_leaves
from .attributes import Attributes, Note, content_of
from .base import Mode
from .integer import Integer


class Unavailable:
    """Placeholder for a value that a call left behind and that depends on its input.

    A region has to be a function of its inputs. Programs do not run the code of the
    module, which would store such a value again or use it in the next call. Any use of
    the placeholder is an error.
    """

    def __init__(self, where: str) -> None:
        vars(self)['where'] = where

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # what Python or torch look for
            raise AttributeError(name)
        return self._refuse()

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise UnsupportedOperationError(
            f'{vars(self)["where"]} keeps a value that a call of the region computed '
            'from its input, and it is used outside of the region or in the next call; '
            'let forward return it, or choose other quantization.regions'
        )

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Refuse."""
        found = (x for x in tree_leaves((args, kwargs)) if isinstance(x, cls))
        return next(found)._refuse()

    __setattr__ = __getitem__ = __setitem__ = __len__ = __iter__ = __bool__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _refuse
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __call__ = _refuse


@contextmanager
def no_leftovers(module: nn.Module, mode: Mode) -> Iterator[None]:
    """Remove the QTensors that a call of a region left in attributes of its modules.

    If a module stored a QTensor that depends on parameters only, all its attributes are
    restored. The next call computes the value again, which integer mode has folded. Of
    values that depend on inputs, only those themselves are removed; in calibration they
    are replaced by :class:`Unavailable`.
    """
    modules = dict(module.named_modules())
    before = Attributes(modules.values())
    try:
        yield
    finally:
        hide = not isinstance(mode, Integer)
        for path, (_, notes) in zip(modules, before.notes, strict=True):
            where = f"attribute '{{}}' of module '{path or '(itself)'}'"
            _release(before, notes, where, hide)


def forget_hidden(attributes: Attributes) -> None:
    """Restore the values that :class:`Unavailable` replaced."""
    for _, notes in attributes.notes:
        for note in notes:
            hidden = lambda x: isinstance(x, Unavailable)  # noqa: E731
            keys = {k for k, v in note.now() if _found(v, hidden, attributes)}
            if keys:
                note.put_back(keys)


def _release(before: Attributes, notes: list[Note], where: str, hide: bool) -> None:
    """Restore the attributes of one module that hold QTensors now."""
    found = []
    constant = False
    for note in notes:
        if note.same():  # most are; and what is in these objects has notes of its own
            continue
        for key, value in note.now():
            left = _found(value, lambda x: isinstance(x, QTensor), before)
            if left and all(x.constant for x in left):
                constant = True
            elif left:
                found.append((note, key, value))
    inputs = {(id(note), key) for note, key, _ in found}
    if constant:
        for note in notes:
            if note.named:
                keys = {k for k, _ in note.now()} | note.content.keys()
                note.put_back({k for k in keys if (id(note), k) not in inputs})
            elif not any(note is other for other, _, _ in found):
                note.put_back()
    for note, key, value in found:
        if hide:
            name = key if note is notes[0] or note is notes[1] else '...'
            note.container[key] = _hidden(value, where.format(name))
        else:
            note.put_back({key})


def _found(value: Any, wanted: Callable[[Any], bool], known: Attributes) -> list[Any]:
    """The wanted objects within a value, without containers that have a snapshot."""
    found, waiting, seen = [], [value], set()
    while waiting:
        x = waiting.pop()
        if wanted(x):
            found.append(x)
            continue
        if id(x) in seen or known.knows(x):
            continue
        seen.add(id(x))
        content = x if isinstance(x, tuple) else content_of(x)
        if content is not None:
            waiting.extend(content.values() if isinstance(content, dict) else content)
    return found


def _hidden(value: Any, where: str) -> Any:
    """The same nesting of containers, with placeholders in it."""
    if isinstance(value, list):
        return [_hidden(x, where) for x in value]
    if isinstance(value, tuple):
        return tuple(_hidden(x, where) for x in value)
    if isinstance(value, dict):
        return {k: _hidden(v, where) for k, v in value.items()}
    return Unavailable(where)
