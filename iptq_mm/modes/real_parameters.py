"""Tensors that a module derives from its parameters, computed from real values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ..kept_float import quantized_modules, quantized_parameters
from ..qtensor import UnsupportedOperationError
from ..utils.trees import tree_leaves
from .attributes import Attributes
from .base import Mode
from .integer import Integer
from .parameters import seen_as

#: Attribute with the derived tensors of a region's module.
_DERIVED = 'iptq_derived'
#: Whether a module is loading its own state dict, in order to derive tensors.
_loading: ContextVar[bool] = ContextVar('loading', default=False)


@contextmanager
def real_parameters(module: nn.Module, mode: Mode | None) -> Iterator[None]:
    """Let the code of a region's module see the real values of its parameters.

    Code that runs in ``train()`` or at loading knows nothing of integers. With real
    values it derives the same tensors as in calibration, which the rules treat as
    constants.

    Args:
        module: The region's module.
        mode: Its mode. Only in :class:`Integer` are parameters not real already.

    Raises:
        UnsupportedOperationError: If the code gives the module other parameters.
    """
    places = _places(module)
    if not isinstance(mode, Integer) or any(v.is_floating_point() for *_, v in places):
        yield
        return
    real: dict[int, nn.Parameter] = {}
    for path, value in quantized_parameters(module):
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
    """Let a module recompute what it derives in ``train()``, ``eval()`` or at loading.

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
    """Whether a module is loading its own state dict, see :func:`derive_again`."""
    return _loading.get()


def derived_are_kept(module: nn.Module) -> bool:
    """Whether a region's module still has the tensors that it derived.

    A sub-module may have derived others from integers: its own ``eval()`` does not know
    that it belongs to a region.
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
    """Add the tensors that were derived just now to those derived before."""
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
    """Attributes that are or hold tensors, by module and name."""
    return {
        (id(child), str(name)): value
        for child, (own, *_) in Attributes(module.modules()).notes
        for name, value in own.now()
        if any(isinstance(x, Tensor) for x in tree_leaves(value))
    }


def _places(module: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """The parameters of a module, with the sub-module and name of each."""
    return [
        (child, name, value)
        for child in quantized_modules(module)
        for name, value in child._parameters.items()
        if value is not None
    ]


def _acts_at_loading(module: nn.Module) -> bool:
    """Whether a module has its own code that runs when a state dict is loaded."""
    kind, torchs = type(module), nn.Module
    return (
        kind._load_from_state_dict is not torchs._load_from_state_dict
        or kind.load_state_dict is not torchs.load_state_dict
        or bool(module._load_state_dict_pre_hooks)
        or bool(module._load_state_dict_post_hooks)
    )
