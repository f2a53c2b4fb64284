"""Binding a region's module to a mode, without touching its code."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..pixels import is_image, pixels_of
from ..plan import PlanError
from ..qtensor import QTensor
from ..qtensor.context import Location, current_location, located
from .attributes import Attributes
from .base import Mode
from .leftovers import forget_hidden, no_leftovers
from .parameters import can_be_seen_as_others, seen_as, usual_parameters
from .real_parameters import derive_again, derived_are_kept, real_parameters

#: The input that may be pixels.
PIXELS = 'input:0'


class Session(Protocol):
    """Runs the calls of a region in another way, with the same results."""

    def serves(self, mode: Mode) -> bool:
        """Whether it can stand in for this mode now."""

    def call(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[Any, list[Tensor]]:
        """What :meth:`Region.run` returns."""


class Region:
    """A module that runs in a mode.

    Attributes:
        name: Path of the module in the model, ``backbone`` for instance.
        mode: The mode, None as long as the region waits for its plan.
        on_output: Called with the name and the float outputs of each call; for
            comparisons.
        session: Runs integer mode as a program, None: operation by operation as the
            module's code calls them.
        lock: Held while the module's own code runs: it may keep things in attributes
            from one line to the next.
    """

    def __init__(self, name: str, mode: Mode | None = None) -> None:
        self.name = name
        self.mode = mode
        self.session: Session | None = None
        self.on_output: Callable[[str, list[Tensor]], None] | None = None
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle has: nobody waits for it or listens to it."""
        return {**vars(self), 'lock': None, 'on_output': None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`__getstate__`."""
        vars(self).update(state, lock=threading.Lock())

    def call(
        self, module: nn.Module, forward: Callable, args: tuple, kwargs: dict
    ) -> Any:
        """Run ``forward`` with quantized inputs and parameters.

        Raises:
            RuntimeError: If the region has no mode yet, or runs inside another.
        """
        if self.mode is None:
            raise RuntimeError(
                f"region '{self.name}' is not quantized yet: load a checkpoint that "
                'tools/quantize.py wrote, or quantize the model, before using it'
            )
        if current_location() is not None:
            raise RuntimeError(f"region '{self.name}' lies inside another region")
        if self.session is not None and self.session.serves(self.mode):
            result, outputs = self.session.call(module, args, kwargs)
        else:
            with self.lock:
                result, outputs = self.run(self.mode, module, forward, args, kwargs)
        if self.on_output is not None:
            self.on_output(self.name, outputs)
        return result

    def run(
        self,
        mode: Mode,
        module: nn.Module,
        forward: Callable,
        args: tuple,
        kwargs: dict,
    ) -> tuple[Any, list[Tensor]]:
        """Run ``forward`` in a mode.

        Returns:
            What it returns, and the float outputs in it.
        """
        if not derived_are_kept(module):
            derive_again(module, mode)
        names = iter(range(1 << 30))
        pixels = pixels_of(module)

        def enter(x: Any) -> Any:
            if is_real(x) or is_image(x, pixels):
                mode.images = len(x) if x.dim() else 1
                name = f'input:{next(names)}'
                if name == PIXELS and pixels is not None:
                    image = mode.enter(name, pixels.centred(x))
                    image.zero = pixels.zero
                    return image
                # Autocast before the region may have left half precision.
                return mode.enter(name, x.float() if x.element_size() < 4 else x)
            return x

        outputs: list[Tensor] = []

        def leave(x: Any) -> Any:
            if not isinstance(x, QTensor):
                return x
            x.check_not_overwritten()
            outputs.append(mode.leave(x))
            return outputs[-1]

        # Integer products run exactly in float32, which autocast would narrow.
        full = torch.autocast(_device(module), enabled=False)
        with (
            full,
            located(Location(mode, self.name)),
            no_leftovers(module, mode),
            seen_as(_quantized_parameters(module, mode)),
        ):
            args, kwargs = tree_map(enter, (args, kwargs))
            return tree_map(leave, forward(*args, **kwargs)), outputs


def is_real(x: Any) -> bool:
    """Whether ``x`` is a tensor of floats."""
    return isinstance(x, Tensor) and x.is_floating_point()


def _device(module: nn.Module) -> str:
    return next((p.device.type for p in module.parameters()), 'cpu')


class _Bound:
    """Mixed into the class of a bound module: the way into :meth:`Region.call`."""

    iptq_region: Region

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.iptq_region.call(self, super().forward, args, kwargs)  # type: ignore

    def train(self, mode: bool = True) -> Any:
        """As the module's own; integers run as in evaluation, whatever is asked."""
        running = self.iptq_region.mode
        mode = mode and (running is None or running.trains)
        with real_parameters(self, running):  # type: ignore[arg-type]
            return super().train(mode)  # type: ignore[misc]

    def eval(self) -> Any:
        """As the module's own, which may be no call of ``train``."""
        with real_parameters(self, self.iptq_region.mode):  # type: ignore[arg-type]
            return super().eval()  # type: ignore[misc]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The module as of its own class, which pickles can name; bound when read."""
        own, bound = own_class(self), type(self)  # type: ignore[arg-type]
        reduced: Any = super().__reduce_ex__(protocol)
        make, arguments, *rest = reduced
        arguments = tuple(own if x is bound else x for x in arguments)
        return _made_bound, (make, *arguments), *rest


@functools.cache
def _bound_class(cls: type) -> type:
    """A subclass of ``cls``; ``isinstance`` checks of mm code keep working."""
    return type(cls.__name__, (_Bound, cls), {'__module__': cls.__module__})


def _made_bound(make: Callable, *arguments: Any) -> Any:
    """A module of a bound class, as a pickle or a copy makes it."""
    module = make(*arguments)
    own: Any = type(module)
    module.__class__ = _bound_class(own)
    return module


def own_class(module: nn.Module) -> type:
    """The class that a bound module had before."""
    return type(module).__mro__[2]


def bind(module: nn.Module, region: Region) -> None:
    """Make ``module`` run as ``region`` from now on."""
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
    module.iptq_handles = handles  # type: ignore[assignment]


def unbind(module: nn.Module) -> None:
    """Undo :func:`bind`."""
    for handle in module.iptq_handles:  # type: ignore[union-attr]
        handle.remove()
    module.__class__ = own_class(module)
    usual_parameters(module)
    del module.iptq_region, module.iptq_handles


def bound_region(module: nn.Module) -> Region | None:
    """The region that a module is bound to, if any."""
    return module.iptq_region if isinstance(module, _Bound) else None  # type: ignore


def own_forward(module: nn.Module) -> Callable:
    """``forward`` as the class of a bound module has it."""
    return super(_Bound, module).forward  # type: ignore[misc]


def regions_in(model: nn.Module) -> dict[str, Region]:
    """The regions that modules of a model are bound to, by name."""
    regions = (bound_region(module) for module in model.modules())
    return {region.name: region for region in regions if region is not None}


@contextmanager
def running(model: nn.Module, modes: Mapping[str, Mode]) -> Iterator[None]:
    """Run the regions named by ``modes`` in these modes; restore them after."""
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
    """Let no checkpoint round its floats into integers; a part of one, neither.

    Raises:
        PlanError: If it would.
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


def _enter_module(path: str, module: nn.Module, args: Any) -> None:
    location = current_location()
    if location is not None:
        location.path.append(path)


def _leave_module(module: nn.Module, args: Any, output: Any) -> None:
    location = current_location()
    if location is not None:
        location.path.pop()


def _quantized_parameters(module: nn.Module, mode: Mode) -> dict[int, QTensor]:
    """What the module's code sees in the place of each parameter, by ``id``."""
    # A copy for another device has dictionaries of its own making.
    can_be_seen_as_others(module)
    wrapped: dict[int, QTensor] = {}
    for path, child in module.named_modules():
        for name, value in child._parameters.items():
            if value is not None and id(value) not in wrapped:
                full = f'{path}.{name}' if path else name
                wrapped[id(value)] = mode.parameter(full, value)
                wrapped[id(value)].whole = True
    return wrapped
