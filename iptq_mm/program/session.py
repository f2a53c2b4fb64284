"""Running bound regions through programs, transparently."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..modes import Integer, Mode, regions_in
from ..modes.region import is_real
from ..pixels import is_image, pixels_of
from ..registry import BACKENDS
from .arguments import arguments_key, device_of, row_count_of, tensors_call
from .backend import Backend, Runner, restore
from .module_state import ModuleState
from .ports import run_real
from .recorder import TensorPool
from .row_sizes import peak_bytes, run_rows
from .row_wise import row_wise, with_rows
from .trace import Traced, trace

#: Programs to keep; images of ever new sizes must not fill the memory.
MAX_PROGRAMS = 32
#: Bytes that the values of all of them may take; one is kept in any case.
MAX_BYTES = 2**30


class _Prepared(NamedTuple):
    """A program that is ready to run."""

    traced: Traced
    run: Runner
    bytes: int


class _Last(NamedTuple):
    """What ran last.

    Attributes:
        key: By :func:`~.arguments.tensors_call`; None: the call was none of these.
        traced, run: The program.
    """

    key: tuple | None
    traced: Any
    run: Any


_NONE = _Last(None, None, None)


class Session:
    """Runs the calls of one region by programs, one for each set of input shapes.

    A program is traced at the first call with its shapes. What ``forward`` does
    besides computing its result happens then only. Where rows of the inputs are
    provably treated one by one (:mod:`.row_wise`), as in the heads for the boxes of a
    detector, programs of a few sizes serve any number of them.

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
        self._last = _NONE
        self._made_for: tuple = ()
        self._state: ModuleState | None = None
        self._by_rows: dict[tuple, Traced | None] = {}
        self._rows_meet = False

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
        """Whether it can stand in.

        Not where saturation is to be counted, nor where ``torch.jit.trace`` takes down
        what happens: it would see nothing of a program.
        """
        return (
            type(mode) is Integer
            and mode.saturation is None
            and not torch.jit.is_tracing()
        )

    def call(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[Any, list[Tensor]]:
        """Run ``forward``; see :meth:`iptq_mm.modes.Region.run`.

        Raises:
            UnsupportedOperationError: If an argument is neither tensor nor plain, or
                the module does what has no program.
        """
        self._forget_others(module)
        last = self._last
        key, reals = tensors_call(args, kwargs)
        if reals is None or key != last.key:
            leaves, spec = tree_flatten((args, kwargs))
            pixels = pixels_of(module)
            reals = [x for x in leaves if is_real(x) or is_image(x, pixels)]
            self._last = last = _Last(key, *self._program(module, leaves, spec))
        outputs = run_real(last.traced.program, last.run, reals)
        return last.traced.rebuild(outputs), outputs

    def _forget_others(self, module: nn.Module) -> None:
        """Forget the programs of other integers than the module has now."""
        if self._state is None or self._state.module() is not module:
            self._state = ModuleState(module)
        made_for = self._state.now()
        if made_for != self._made_for:  # other integers: what is here is void
            self._prepared.clear()
            self._by_rows.clear()
            self._last = _NONE
            self._made_for = made_for

    def _program(
        self, module: nn.Module, leaves: list, spec: Any
    ) -> tuple[Traced, Runner]:
        """The program for these arguments, made now if it is not known."""
        pixels = pixels_of(module)
        rows = row_count_of(leaves, pixels)
        key = arguments_key(leaves, spec, pixels)
        if key not in self._prepared and rows is not None:
            row_key = arguments_key(leaves, spec, pixels, rows=False)
            traced = self._traced_by_rows(module, leaves, spec, row_key, rows)
            if traced is not None:
                return traced, self._any_rows(row_key, traced, device_of(leaves))
        if key not in self._prepared:
            args, kwargs = tree_unflatten(leaves, spec)
            traced = trace(module, args, kwargs, self._pool)
            self._prepare(key, traced, device_of(leaves))
        self._prepared.move_to_end(key)
        return self._prepared[key][:2]

    def _traced_by_rows(
        self, module: nn.Module, leaves: list, spec: Any, key: tuple, rows: int
    ) -> Traced | None:
        """What serves any number of rows, None if nothing does or none is needed."""

        def trace_rows(count: int) -> Traced:
            examples = [
                x.new_zeros(count, *x.shape[1:]) if isinstance(x, Tensor) else x
                for x in leaves
            ]
            args, kwargs = tree_unflatten(examples, spec)
            return trace(module, args, kwargs, self._pool)

        # One image at a time needs nothing but its own program.
        if key not in self._by_rows and rows != 1 and not self._rows_meet:
            self._by_rows[key] = row_wise(trace_rows)
            self._rows_meet = self._by_rows[key] is None
            if len(self._by_rows) > MAX_PROGRAMS:
                del self._by_rows[next(iter(self._by_rows))]
        return self._by_rows.get(key)

    def _any_rows(self, key: tuple, traced: Traced, device: torch.device) -> Runner:
        """Runs a program for two rows on any number of them."""

        def sized(rows: int) -> Runner:
            mine = *key, rows
            if mine not in self._prepared:
                program = with_rows(traced.program, rows)
                self._prepare(mine, traced._replace(program=program), device)
            self._prepared.move_to_end(mine)
            return self._prepared[mine].run

        return lambda x: run_rows(traced.program, x, sized, self._backend.sizes)

    def _prepare(self, key: tuple, traced: Traced, device: torch.device) -> None:
        """Make a program ready, and forget the oldest ones if there are too many."""
        run = self._backend.prepare(traced.program, device)
        self._prepared[key] = _Prepared(traced, run, peak_bytes(traced.program))
        while len(self._prepared) > 1 and (
            len(self._prepared) > MAX_PROGRAMS
            or sum(p.bytes for p in self._prepared.values()) > MAX_BYTES
        ):
            self._prepared.popitem(last=False)


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
    sessions = {n: None if backend is None else Session(backend) for n in regions}
    restore(model)
    for name, region in regions.items():
        region.session = sessions[name]
    if backend is not None:
        BACKENDS.build(dict(type=backend)).quicken(model)
