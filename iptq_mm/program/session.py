"""Running bound regions through programs, transparently."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from ..intmath import QParams
from ..modes import Integer, Mode, bound_region, regions_in
from ..qtensor import UnsupportedOperationError
from ..registry import BACKENDS
from .backend import Backend, Runner
from .recorder import TensorPool
from .trace import Traced, trace

#: Programs to keep; images of ever new sizes must not fill the memory.
MAX_PROGRAMS = 32

_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)


class _Prepared(NamedTuple):
    """A program that is ready to run."""

    traced: Traced
    run: Runner


class Session:
    """Runs the calls of one region by programs, one for each set of input shapes.

    A program is traced at the first call with its shapes. What ``forward`` does
    besides computing its result happens then only.

    Args:
        backend: Name of the back end in ``BACKENDS``.

    Raises:
        KeyError: If there is no such back end.
    """

    def __init__(self, backend: str = 'reference') -> None:
        BACKENDS.import_from_location()
        if backend not in BACKENDS.module_dict:
            raise KeyError(
                f"no back end '{backend}': there are {sorted(BACKENDS.module_dict)}"
            )
        self.name = backend
        self._backend: Backend = BACKENDS.build(dict(type=backend))
        self._prepared: OrderedDict[tuple, _Prepared] = OrderedDict()
        self._pool: TensorPool = WeakValueDictionary()
        self._made_for: tuple = ()

    def __reduce__(self) -> tuple:
        # A copy of the model makes programs of its own.
        return Session, (self.name,)

    def check(self) -> None:
        """Find out whether its back end can run here.

        Raises:
            RuntimeError: If it cannot; the message says what is missing.
        """
        self._backend.check()

    def serves(self, mode: Mode) -> bool:
        """Whether it can stand in: not where saturation is to be counted."""
        return type(mode) is Integer and mode.saturation is None

    def call(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[Any, list[Tensor]]:
        """Run ``forward``; see :meth:`iptq_mm.modes.Region.run`.

        Raises:
            UnsupportedOperationError: If an argument is neither tensor nor plain, or
                the module does what has no program.
        """
        leaves, spec = tree_flatten((args, kwargs))
        reals = [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]
        traced, run = self._program(module, args, kwargs, leaves, spec)
        program = traced.program
        with torch.no_grad(), torch.autocast(_device(reals).type, enabled=False):
            integers = []
            for port, x in zip(program.inputs, reals, strict=True):
                value = program.values[port.value]
                qparams = QParams(port.scale, value.low, value.high)
                # Autocast before the region may have left half precision.
                integers.append(qparams.quantize(x.float() if x.itemsize < 4 else x))
            outputs = [
                (q.to(torch.float32) * port.scale).contiguous()
                for port, q in zip(program.outputs, run(integers), strict=True)
            ]
        return traced.rebuild(outputs), outputs

    def _program(
        self, module: nn.Module, args: tuple, kwargs: dict, leaves: list, spec: Any
    ) -> _Prepared:
        """The program for these arguments, made now if it is not known."""
        made_for = _state(module)
        if made_for != self._made_for:  # other integers: what is here is void
            self._prepared.clear()
            self._made_for = made_for
        # A narrow float32 product must be no product of the compiled code.
        key = (
            spec,
            torch.get_float32_matmul_precision(),
            *(_described(x) for x in leaves),
        )
        if key not in self._prepared:
            traced = trace(module, args, kwargs, self._pool)
            reals = [
                x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()
            ]
            run = self._backend.prepare(traced.program, _device(reals))
            self._prepared[key] = _Prepared(traced, run)
            if len(self._prepared) > MAX_PROGRAMS:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return self._prepared[key]


def use_backend(model: nn.Module, backend: str | None) -> None:
    """Run the quantized regions of a model by a back end.

    Args:
        model: A quantized model.
        backend: Name of a back end; None: the eager integer mode.

    Raises:
        KeyError: If there is no such back end.
        ValueError: If the model has no quantized region.
    """
    regions = regions_in(model)
    if not regions:
        raise ValueError('the model has no quantized region: quantize it first')
    for name, region in regions.items():
        if backend is not None and not isinstance(region.mode, Integer):
            raise ValueError(f"region '{name}' is not in integer mode")
    for region in regions.values():
        region.session = None if backend is None else Session(backend)


def _device(reals: list[Tensor]) -> torch.device:
    return reals[0].device if reals else torch.device('cpu')


def _state(module: nn.Module) -> tuple:
    """What tells whether plan, parameters or buffers were replaced or changed."""
    region = bound_region(module)
    assert region is not None
    tensors = itertools.chain(module.parameters(), module.buffers())
    versions = ((t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors)
    return (region.mode, *versions)


def _described(x: Any) -> tuple:
    """What of an argument a program depends on."""
    if isinstance(x, Tensor):
        if x.is_floating_point():
            return 'real', tuple(x.shape), x.device
        return 'tensor', x.dtype, tuple(x.shape), x.cpu().numpy().tobytes(), x.device
    if isinstance(x, _PLAIN):
        return type(x), x
    raise UnsupportedOperationError(
        f'an argument of type {type(x).__name__}: a program is made for tensors and '
        'plain values; choose a smaller region, or use_backend(model, None)'
    )
