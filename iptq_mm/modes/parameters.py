"""Parameters for which a thread sees other tensors while it runs a region."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

#: By ``id`` of a parameter: the tensor that a thread sees in its place.
Substitutes = Mapping[int, Tensor]


class _Seen(threading.local):
    """The substitutes of the running thread."""

    def __init__(self) -> None:
        self.substitutes: Substitutes = {}


_seen = _Seen()


class Parameters(dict):
    """The ``_parameters`` of a module, with substitutes per thread.

    Look-ups by the module's code return the substitutes of the running thread. The
    dictionary itself always holds the parameters: another thread that runs the module
    or reads its state dict never sees the substitutes.
    Example::

        layer._parameters = Parameters(layer._parameters)
        with seen_as({id(layer.weight): other}):
            layer.weight  # other, in this thread
    """

    def __getitem__(self, name: str) -> Any:
        """The parameter, or its substitute in this thread."""
        value = super().__getitem__(name)
        return _seen.substitutes.get(id(value), value)

    def get(self, name: str, default: Any = None) -> Any:
        """See :meth:`__getitem__`."""
        value = super().get(name, default)
        return _seen.substitutes.get(id(value), value)

    def items(self) -> Any:
        """See :meth:`__getitem__`."""
        return self._as_seen().items()

    def values(self) -> Any:
        """See :meth:`__getitem__`."""
        return self._as_seen().values()

    def _as_seen(self) -> dict[str, Any]:
        return {name: self[name] for name in self}


@contextmanager
def seen_as(substitutes: Substitutes) -> Iterator[None]:
    """Let this thread see other tensors in the place of parameters.

    Args:
        substitutes: By ``id`` of the parameter. Modules that hold one need
            :class:`Parameters`, see :func:`can_be_seen_as_others`.
    """
    before, _seen.substitutes = _seen.substitutes, substitutes
    try:
        yield
    finally:
        _seen.substitutes = before


def can_be_seen_as_others(module: nn.Module) -> None:
    """Give a module and all in it :class:`Parameters`."""
    for child in module.modules():
        if type(child._parameters) is not Parameters:
            vars(child)['_parameters'] = Parameters(child._parameters)


def usual_parameters(module: nn.Module) -> None:
    """Undo :func:`can_be_seen_as_others`."""
    for child in module.modules():
        if type(child._parameters) is Parameters:
            vars(child)['_parameters'] = dict(child._parameters)
