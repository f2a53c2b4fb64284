"""Running bound regions through programs, transparently."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...modes import Integer, Mode, regions_in
from ...modes.region import is_real
from ...pixels import is_image, pixels_of
from ...registry import BACKENDS
from ..backends.base import Backend, Runner, restore
from ..tracing.recorder import TensorPool
from ..tracing.trace import Traced, trace
from .arguments import arguments_key, device_of, row_count_of, tensors_call
from .boundary import run_real
from .dynamic_rows.proof import row_wise, with_rows
from .dynamic_rows.sizes import run_rows
from .module_state import ModuleState
from .programs import Last, Programs


class Session:
    """Runs the calls of one region by programs, one for each set of input shapes.

    A program is traced at the first call with its shapes. What ``forward`` does
    besides computing its result happens then only. Where rows of the inputs are
    provably treated one by one (:mod:`.row_wise`), as in the heads for the boxes of a
    detector, programs of a few sizes serve any number of them.

    Any number of threads may call; one at a time makes a program, the others go on with
    those that are there.

    Args:
        backend: Name of the back end in ``BACKENDS``.

    Attributes:
        programs: Those of the integers that the module has now.

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
        self.programs = Programs()
        self._backend: Backend = BACKENDS.build(dict(type=backend))
        self._pool: TensorPool = WeakValueDictionary()
        self._state: ModuleState | None = None
        self._rows_meet = False
        # Making one may ask for others, of other numbers of rows.
        self._making = threading.RLock()

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
        programs = self._programs_of(module)
        last = programs.last
        key, reals = tensors_call(args, kwargs)
        if reals is None or key != last.key:
            leaves, spec = tree_flatten((args, kwargs))
            pixels = pixels_of(module)
            reals = [x for x in leaves if is_real(x) or is_image(x, pixels)]
            last = Last(key, *self._program(programs, module, leaves, spec))
            programs.last = last
        outputs = run_real(last.traced.program, last.run, reals)
        return last.traced.rebuild(outputs), outputs

    def _programs_of(self, module: nn.Module) -> Programs:
        """Programs of the integers that the module has now."""
        state = self._state
        if state is None or not state.is_of(module):
            state = self._state = ModuleState(module)
        made_for, programs = state.now(), self.programs
        if made_for != programs.made_for:  # other integers: what is here is void
            programs = self.programs = Programs(made_for)
        return programs

    def _program(
        self, programs: Programs, module: nn.Module, leaves: list, spec: Any
    ) -> tuple[Traced, Runner]:
        """The program for these arguments, made now if it is not known."""
        pixels = pixels_of(module)
        key = arguments_key(leaves, spec, pixels)
        ready = programs.find(key)
        if ready is not None:
            return ready.traced, ready.run
        rows, device = row_count_of(leaves, pixels), device_of(leaves)
        row_key = arguments_key(leaves, spec, pixels, rows=False)
        by_rows = None if rows is None else programs.by_rows.get(row_key)
        if by_rows is not None:
            return by_rows, self._any_rows(programs, row_key, by_rows, device)
        with self._making:
            ready = programs.find(key)
            if ready is not None:  # another thread made it meanwhile
                return ready.traced, ready.run
            # One image at a time needs nothing but its own program.
            if rows not in (None, 1):
                by_rows = self._by_rows(programs, row_key, module, leaves, spec)
            if by_rows is not None:
                return by_rows, self._any_rows(programs, row_key, by_rows, device)
            args, kwargs = tree_unflatten(leaves, spec)
            traced = trace(module, args, kwargs, self._pool)
            run = self._backend.prepare(traced.program, device)
            programs.keep(key, traced, run)
            return traced, run

    def _by_rows(
        self, programs: Programs, key: tuple, module: nn.Module, leaves: list, spec: Any
    ) -> Traced | None:
        """What serves any number of rows, None if nothing does."""
        if key not in programs.by_rows and not self._rows_meet:
            traced = self._traced_by_rows(module, leaves, spec)
            programs.keep_by_rows(key, traced)
            self._rows_meet = traced is None
        return programs.by_rows.get(key)

    def _traced_by_rows(
        self, module: nn.Module, leaves: list, spec: Any
    ) -> Traced | None:
        """What serves any number of rows, None if nothing does."""

        def trace_rows(count: int) -> Traced:
            examples = [
                x.new_zeros(count, *x.shape[1:]) if isinstance(x, Tensor) else x
                for x in leaves
            ]
            args, kwargs = tree_unflatten(examples, spec)
            return trace(module, args, kwargs, self._pool)

        return row_wise(trace_rows)

    def _any_rows(
        self, programs: Programs, key: tuple, traced: Traced, device: torch.device
    ) -> Runner:
        """Runs a program for two rows on any number of them."""

        def sized(rows: int) -> Runner:
            mine = *key, rows
            ready = programs.find(mine)
            if ready is not None:
                return ready.run
            with self._making:
                ready = programs.find(mine)
                if ready is None:
                    program = with_rows(traced.program, rows)
                    run = self._backend.prepare(program, device)
                    ready = programs.keep(mine, traced._replace(program=program), run)
                return ready.run

        return lambda x: run_rows(traced.program, x, sized, self._backend.sizes)


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
