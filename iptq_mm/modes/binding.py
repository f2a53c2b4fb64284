"""Binding a module to a region, without touching its code.

A bound module gets a subclass of its own class, whose ``forward`` calls
:meth:`Region.call`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ..kept_float import kept_float
from ..plan import PlanError
from ..qtensor.context import current_location
from .attributes import Attributes
from .base import Mode
from .leftovers import forget_hidden
from .parameters import can_be_seen_as_others, usual_parameters
from .real_parameters import real_parameters
from .region import Region


class _Bound:
    """Mixin of the classes of bound modules: ``forward`` calls :meth:`Region.call`."""

    iptq_region: Region

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.iptq_region.call(self, super().forward, args, kwargs)  # type: ignore

    def train(self, mode: bool = True) -> Any:
        """As the module's own, but integers stay in evaluation mode."""
        region = self.iptq_region
        mode = mode and (region.mode is None or region.mode.trains)
        with region.lock, real_parameters(self, region.mode):  # type: ignore[arg-type]
            return super().train(mode)  # type: ignore[misc]

    def eval(self) -> Any:
        """As the module's own, which need not call ``train``."""
        region = self.iptq_region
        with region.lock, real_parameters(self, region.mode):  # type: ignore[arg-type]
            return super().eval()  # type: ignore[misc]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the module with its own class, which has a name; bind it when read."""
        own, bound = own_class(self), type(self)  # type: ignore[arg-type]
        reduced: Any = super().__reduce_ex__(protocol)
        make, arguments, *rest = reduced
        arguments = tuple(own if x is bound else x for x in arguments)
        return _made_bound, (make, *arguments), *rest


@functools.cache
def _bound_class(cls: type) -> type:
    """The subclass of ``cls`` for bound modules; ``isinstance`` keeps working."""
    return type(cls.__name__, (_Bound, cls), {'__module__': cls.__module__})


def _made_bound(make: Callable, *arguments: Any) -> Any:
    """A bound module, made by unpickling or copying."""
    module = make(*arguments)
    own: Any = type(module)
    module.__class__ = _bound_class(own)
    return module


def own_class(module: nn.Module) -> type:
    """The class of a bound module before it was bound."""
    return type(module).__mro__[2]


def bind(module: nn.Module, region: Region) -> None:
    """Let the calls of a module run as a region.

    Args:
        module: The module.
        region: The region.

    Raises:
        RuntimeError: If the module is bound already.
    """
    if isinstance(module, _Bound):
        raise RuntimeError(f"region '{region.name}' is bound already")
    module.__class__ = _bound_class(type(module))  # type: ignore[arg-type]
    module.iptq_region = region  # type: ignore[assignment]
    can_be_seen_as_others(module)
    if region.mode is not None and not region.mode.trains:
        for child in module.modules():
            child.training = False
    handles = []
    for path, child in module.named_modules():
        if path:
            if region.mode is not None and not region.mode.trains:
                refuse = child._register_load_state_dict_pre_hook
                handles.append(refuse(_refuse_floats, with_module=True))
            enter = functools.partial(_enter_module, path)
            handles.append(child.register_forward_pre_hook(enter))
            handles.append(child.register_forward_hook(_leave_module, always_call=True))
    for path in kept_float(module):
        child = module.get_submodule(path)
        child.forward = functools.partial(_call_float, path, child)
    module.iptq_handles = handles  # type: ignore[assignment]


def unbind(module: nn.Module) -> None:
    """Undo :func:`bind`."""
    for handle in module.iptq_handles:  # type: ignore[union-attr]
        handle.remove()
    for path in kept_float(module):
        vars(module.get_submodule(path)).pop('forward', None)
    module.__class__ = own_class(module)
    usual_parameters(module)
    del module.iptq_region, module.iptq_handles


def bound_region(module: nn.Module) -> Region | None:
    """The region that a module is bound to; None if it is not bound."""
    return module.iptq_region if isinstance(module, _Bound) else None  # type: ignore


def own_forward(module: nn.Module) -> Callable:
    """The ``forward`` that a bound module had before it was bound."""
    return super(_Bound, module).forward  # type: ignore[misc]


def regions_in(model: nn.Module) -> dict[str, Region]:
    """The regions of a model, by name."""
    regions = (bound_region(module) for module in model.modules())
    return {region.name: region for region in regions if region is not None}


@contextmanager
def running(model: nn.Module, modes: Mapping[str, Mode | None]) -> Iterator[None]:
    """Run modules as regions in the given modes within the ``with`` block.

    Args:
        model: The model.
        modes: Modes by path of the module; None: set before the module runs.
    """
    bound: list[tuple[nn.Module, Attributes]] = []
    try:
        for name, mode in modes.items():
            module = model.get_submodule(name)
            bind(module, Region(name, mode))
            bound.append((module, Attributes(module.modules())))
        yield
    finally:
        for module, attributes in bound:
            unbind(module)
            forget_hidden(attributes)


def _refuse_floats(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *args: Any
) -> None:
    """Refuse to load float parameters of a checkpoint into integer parameters.

    Raises:
        PlanError: If the checkpoint has some.
    """
    for name, value in module._parameters.items():
        given = state_dict.get(prefix + name)
        if value is None or value.is_floating_point() or given is None:
            continue
        if given.is_floating_point():
            raise PlanError(
                f"'{prefix}{name}' is float in the checkpoint and integer in the "
                'model: quantize it with tools/quantize.py and load what that wrote'
            )


def _call_float(path: str, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Run the ``forward`` of a module that stays float, within a region or not."""
    forward = functools.partial(type(module).forward, module)
    location = current_location()
    if location is None:
        return forward(*args, **kwargs)
    return location.mode.call_float(path, forward, args, kwargs)


def _enter_module(path: str, module: nn.Module, args: Any) -> None:
    location = current_location()
    if location is not None:
        location.path.append(path)


def _leave_module(module: nn.Module, args: Any, output: Any) -> None:
    location = current_location()
    if location is not None:
        location.path.pop()
