"""Tensors that a module derives from its parameters and keeps: made of real values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..qtensor import UnsupportedOperationError
from .attributes import Attributes
from .base import Mode
from .integer import Integer
from .parameters import seen_as

#: Where a region's module notes what it derived.
_DERIVED = 'iptq_derived'
#: Whether a module loads its own state, to derive from it.
_loading: ContextVar[bool] = ContextVar('loading', default=False)


@contextmanager
def real_parameters(module: nn.Module, mode: Mode | None) -> Iterator[None]:
    """Let code of a region's module compute with the real values of its parameters.

    Code that runs in ``train()`` or at loading, and knows nothing of integers, then
    derives the same tensors as in calibration, constants for the rules.

    Args:
        module: The region's module.
        mode: Its mode; all but :class:`Integer` have real parameters already.

    Raises:
        UnsupportedOperationError: If the code gives the module other parameters.
    """
    places = _places(module)
    if not isinstance(mode, Integer) or any(v.is_floating_point() for *_, v in places):
        yield
        return
    real: dict[int, nn.Parameter] = {}
    for path, value in module.named_parameters():
        numbers = mode.parameter(path, value).real_values()
        real[id(value)] = nn.Parameter(numbers, requires_grad=False)
    before = _tensors(module)
    try:
        with seen_as(real):
            yield
        if [(c, n, id(v)) for c, n, v in _places(module)] != [
            (c, n, id(v)) for c, n, v in places
        ]:
            raise UnsupportedOperationError(
                f"a module of type '{type(module).__name__}' makes other parameters of "
                'its own in train(), eval() or at loading: integers cannot follow'
            )
    finally:
        for child, name, value in places:
            child._parameters[name] = value
    _note_derived(module, before)


def derive_again(module: nn.Module, mode: Mode | None) -> None:
    """Let a module make anew what it derives in ``train()``, ``eval()`` or at loading.

    Args:
        module: A region's module.
        mode: Its mode, see :func:`real_parameters`.
    """
    with torch.no_grad(), real_parameters(module, mode):
        if any(map(_acts_at_loading, module.modules())):
            state = module.state_dict()
            for key, value in state.items():
                if isinstance(value, Tensor):
                    state[key] = value.clone()
            token = _loading.set(True)
            try:
                module.load_state_dict(state, strict=False)
            finally:
                _loading.reset(token)
        training = {child: child.training for child in module.modules()}
        for child, mine in training.items():
            if type(child).train is not nn.Module.train:
                child.train(mine)
        for child, mine in training.items():
            child.training = mine


def loads_itself() -> bool:
    """Whether what is being loaded is a module's own state, see above."""
    return _loading.get()


def derived_are_kept(module: nn.Module) -> bool:
    """Whether what a region's module derived is what it has now.

    A part of it may have derived from integers: called by itself, ``eval()`` of a part
    knows no region.
    """
    derived = vars(module).get(_DERIVED)
    if not derived:
        return True
    device = next((p.device for p in module.parameters()), None)
    return all(
        vars(child).get(name) is value
        and (not isinstance(value, Tensor) or value.device == device)
        for child, name, value in derived
    )


def _note_derived(module: nn.Module, before: dict[tuple[int, str], object]) -> None:
    """Note what was derived just now, beside what had been before."""
    children = {id(child): child for child in module.modules()}
    derived = {
        (id(child), name): value
        for child, name, value in vars(module).get(_DERIVED, ())
    }
    now = _tensors(module)
    for key in now.keys() | derived.keys():
        if key not in now:  # forgotten; forward may make another
            derived.pop(key, None)
        elif now[key] is not before.get(key):
            derived[key] = now[key]
    if derived:
        vars(module)[_DERIVED] = [
            (children[i], name, value)
            for (i, name), value in derived.items()
            if i in children
        ]


def _tensors(module: nn.Module) -> dict[tuple[int, str], object]:
    """Attributes that are tensors, or hold some, by module and name."""
    return {
        (id(child), str(name)): value
        for child, (own, *_) in Attributes(module.modules()).notes
        for name, value in own.now()
        if any(isinstance(x, Tensor) for x in tree_leaves(value))
    }


def _places(module: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Where parameters are."""
    return [
        (child, name, value)
        for child in module.modules()
        for name, value in child._parameters.items()
        if value is not None
    ]


def _acts_at_loading(module: nn.Module) -> bool:
    """Whether a module has code of its own that runs when a state is loaded."""
    kind, torchs = type(module), nn.Module
    return (
        kind._load_from_state_dict is not torchs._load_from_state_dict
        or kind.load_state_dict is not torchs.load_state_dict
        or bool(module._load_state_dict_pre_hooks)
        or bool(module._load_state_dict_post_hooks)
    )
