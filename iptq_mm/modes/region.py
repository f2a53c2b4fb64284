"""A region: a module whose own code runs, unmodified, in a mode."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..kept_float import kept_float
from ..pixels import is_image, pixels_of
from ..qtensor import QTensor
from ..qtensor.context import Location, current_location, located
from .base import PIXELS, Mode
from .inputs.given import given_name, is_integers
from .leftovers import no_leftovers
from .parameters import can_be_seen_as_others, seen_as
from .real_parameters import derive_again, derived_are_kept


class Executor(Protocol):
    """Runs the calls of a region in place of the module's code, with the same results.

    :class:`iptq_mm.program.Session` is one.
    """

    def serves(self, mode: Mode) -> bool:
        """Whether it can run calls in this mode now."""

    def call(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[Any, list[Tensor]]:
        """Run a call; returns what :meth:`Region.run` returns."""


class Region:
    """A module that runs in a mode.

    Attributes:
        name: Path of the module in the model, ``backbone`` for instance.
        mode: The mode, None as long as the region waits for its plan.
        on_output: Called with the name and the float outputs of each call; for
            comparisons.
        session: Runs the calls in integer mode; None: the module's own code does,
            operation by operation.
        lock: Held while the module's own code runs: it may keep things in attributes
            from one line to the next.
    """

    def __init__(self, name: str, mode: Mode | None = None) -> None:
        self.name = name
        self.mode = mode
        self.session: Executor | None = None
        self.on_output: Callable[[str, list[Tensor]], None] | None = None
        self.lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy or a pickle: without lock and ``on_output``."""
        return {**vars(self), 'lock': None, 'on_output': None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`__getstate__`."""
        vars(self).update(state, lock=threading.RLock())

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
        names, given = itertools.count(), itertools.count()
        pixels = pixels_of(module)

        def enter(x: Any) -> Any:
            if is_real(x) or is_image(x, pixels):
                mode.images = len(x) if x.dim() else 1
                name = f'input:{next(names)}'
                if name == PIXELS and pixels is not None:
                    return mode.enter_image(name, x, pixels)
                mask = mode.enter_mask(name, x)
                if mask is not None:
                    return mask
                # Autocast before the region may have left half precision.
                return mode.enter(name, x.float() if x.element_size() < 4 else x)
            if is_integers(x):
                entered = mode.enter_given(given_name(next(given)), x)
                if isinstance(entered, QTensor):
                    mode.images = len(x) if x.dim() else 1
                return entered
            return x

        outputs: list[Tensor] = []

        def leave(x: Any) -> Any:
            if not isinstance(x, QTensor):
                return x
            x.check_not_overwritten()
            if x.given is not None:
                return mode.read_given(x)
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


def _quantized_parameters(module: nn.Module, mode: Mode) -> dict[int, QTensor]:
    """The QTensor that the module's code sees in place of each parameter, by ``id``."""
    # A copy for another device has dictionaries of its own making.
    can_be_seen_as_others(module)
    wrapped: dict[int, QTensor] = {}
    kept = kept_float(module)
    for path, child in module.named_modules():
        if kept and f'{path}.'.startswith(tuple(f'{k}.' for k in kept)):
            continue
        for name, value in child._parameters.items():
            if value is not None and id(value) not in wrapped:
                full = f'{path}.{name}' if path else name
                wrapped[id(value)] = mode.parameter(full, value)
                wrapped[id(value)].whole = True
    return wrapped
