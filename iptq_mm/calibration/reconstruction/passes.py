"""Passes of the whole model, in integers or in floats, that look at parts of regions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from ...modes import bound_region
from ...modes.base import Mode
from ..batches import Forward
from ..evaluating import evaluating

#: Gets the positional and the named arguments of a call.
Entering = Callable[[tuple, dict[str, Any]], None]


class _Reached(Exception):
    """Ends a pass: nothing of interest follows."""


@contextmanager
def exchanged(
    model: nn.Module, modules: Mapping[str, nn.Module], modes: Mapping[str, Mode]
) -> Iterator[None]:
    """Let other modules stand in a model, in a mode of theirs, within the block.

    Args:
        model: The model.
        modules: Bound modules by their path in the model.
        modes: Their modes within the block.
    """
    before = {}
    try:
        for path, module in modules.items():
            before[path] = _placed(model, path, module)
            region = bound_region(module)
            assert region is not None
            region.mode = modes[path]
        yield
    finally:
        for path, module in before.items():
            _placed(model, path, module)


def _placed(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put a module into a model; returns the one that was there."""
    parent, _, key = path.rpartition('.')
    modules = model.get_submodule(parent)._modules
    old, modules[key] = modules[key], module
    assert old is not None
    return old


def arguments_of(
    part: nn.Module, model: nn.Module, forward: Forward, batches: Iterable[Any]
) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """The arguments of a part in each batch; a pass ends where it is called.

    Args:
        part: A sub-module of a region that stands in the model.
        model: The model.
        forward: Runs a batch.
        batches: The batches.
    """
    found: list[tuple[tuple, dict[str, Any]]] = []

    def enter(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        found.append((args, kwargs))
        raise _Reached

    for batch in batches:
        handle = part.register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with evaluating(model), contextlib.suppress(_Reached):
                forward(batch)
        finally:
            handle.remove()
        yield found.pop()
