"""Sessions: the quantized regions of a model run by programs, transparently."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...kept_float import kept_float
from ...modes import Integer, Mode, regions_in
from ...modes.inputs.entering import entering, given_count
from ...utils.collection import held_back_collection
from ..backends.base import Executable, backend_named
from ..backends.replacement import restore
from ..ir.graph import Program
from ..tracing.recorder import TensorPool
from ..tracing.trace import Traced, trace
from .arguments import arguments_key, device_of, row_count_of, tensors_call
from .dynamic_rows.proof import row_wise, with_rows
from .dynamic_rows.sizes import AnyRows
from .module_state import ModuleState
from .programs import MEMORY_MB, LastCall, PreparedProgram, ProgramCache
from .staged import Staged
from .watch import Watch


class Session:
    """Runs the calls of one region by programs, one for each set of input shapes.

    It is the :class:`~iptq_mm.modes.region.Executor` that :func:`use_backend` sets. A
    program is traced at the first call with its shapes; side effects of the module's
    ``forward`` happen at that call only. If the rows of the inputs are provably
    computed one by one (:mod:`.dynamic_rows`), as the boxes in the heads of a detector,
    programs for a few numbers of rows serve any number of them.

    Any number of threads may call it. One thread at a time makes a program; the others
    meanwhile run programs that are made already.

    Args:
        backend: Name of the back end in ``BACKENDS``.
        memory_mb: Megabytes that its programs may keep. If they need more, those that
            were not used longest are dropped, and made again when they are needed.

    Attributes:
        name: Name of the back end.
        memory_mb: See above.
        watching: Counts what is clipped, see :class:`.out_of_range`; None: nobody does.

    Raises:
        KeyError: If there is no such back end.
        ValueError: If ``memory_mb`` is no positive number.
    """

    def __init__(self, backend: str = 'reference', memory_mb: float = MEMORY_MB):
        self._backend = backend_named(backend)
        self.name, self.memory_mb = backend, memory_mb
        self._cache = ProgramCache(memory_mb=memory_mb)
        self._pool: TensorPool = WeakValueDictionary()
        self._state: ModuleState | None = None
        self._rows_meet = False
        self.watching: Watch | None = None
        # Making a program may ask for others, for other numbers of rows.
        self._making = threading.RLock()

    def __reduce__(self) -> tuple:
        # A copy of the model makes programs of its own.
        return Session, (self.name, self.memory_mb)

    @property
    def programs(self) -> tuple[PreparedProgram, ...]:
        """The programs that are kept for the present integers of the module.

        In the order of their last use, the latest at the end::

            for made in bound_region(model.backbone).session.programs:
                print(made.program)  # its nodes
                print(made.executable)  # what the back end made of them
        """
        return self._cache.prepared

    @property
    def bytes(self) -> int:
        """Bytes that these programs keep; what several of them share counts once."""
        return self._cache.bytes

    @property
    def any_rows(self) -> tuple[Program, ...]:
        """The programs that serve any number of rows, each as traced for two rows."""
        return self._cache.any_rows

    def check(self, device: torch.device | None = None) -> None:
        """Check that its back end can run here.

        Args:
            device: Of the model; None: any.

        Raises:
            RuntimeError: If it cannot; the message says what is missing.
        """
        self._backend.check()
        if device is not None:
            self._backend.check_device(device)

    def serves(self, mode: Mode) -> bool:
        """Whether programs can run a region in this mode now.

        Those of a region whose mode counts what it clips itself are left to the mode,
        and ``torch.jit.trace`` cannot trace programs.
        """
        return type(mode) is Integer and mode.log is None and not torch.jit.is_tracing()

    def call(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[Any, list[Tensor]]:
        """Run ``forward``; see :meth:`iptq_mm.modes.Region.run`.

        Raises:
            UnsupportedOperationError: If an argument is neither a tensor nor a plain
                value, or a rule of the module computes what no node stands for.
        """
        cache = self._cache_of(module)
        last = cache.last
        key, reals = tensors_call(args, kwargs, cache.given)
        if reals is None or key != last.key:
            leaves, spec = tree_flatten((args, kwargs))
            enter = entering(module, leaves)
            reals = [x for x, e in zip(leaves, enter, strict=True) if e]
            last = LastCall(key, *self._program(cache, module, leaves, spec))
            cache.last = last
        outputs = last.executable.run_real(reals)
        if self.watching is not None:
            self.watching.see(
                last.executable,
                self.name,
                reals,
                lambda: self._for_one_row(module, args, kwargs),
            )
        return last.traced.rebuild(outputs), outputs

    def _cache_of(self, module: nn.Module) -> ProgramCache:
        """The cache for the present integers of the module."""
        state = self._state
        if state is None or not state.is_of(module):
            state = self._state = ModuleState(module)
        made_for, cache = state.now(), self._cache
        if made_for != cache.made_for:  # other integers: these programs are void
            given = given_count(module)
            cache = self._cache = ProgramCache(made_for, given, self.memory_mb)
        return cache

    def _program(
        self, cache: ProgramCache, module: nn.Module, leaves: list, spec: Any
    ) -> tuple[Traced, Executable]:
        """The program for these arguments, made now if it is not kept."""
        enter = entering(module, leaves)
        key = arguments_key(leaves, spec, enter)
        found = cache.find(key)
        if found is not None:
            return found.traced, found.executable
        rows, device = row_count_of(leaves, enter), device_of(leaves)
        row_key = arguments_key(leaves, spec, enter, rows=False)
        any_rows = None if rows is None else cache.find_any_rows(row_key)
        if any_rows is not None:
            return any_rows, self._sized(cache, row_key, any_rows, device)
        with self._making, held_back_collection():
            found = cache.find(key)
            if found is not None:  # another thread made it meanwhile
                return found.traced, found.executable
            # A single image needs its own program only; and nothing is known of what a
            # module that stays float does to rows.
            if rows not in (None, 1) and not kept_float(module):
                any_rows = self._for_any_rows(cache, row_key, module, leaves, spec)
            if any_rows is not None:
                return any_rows, self._sized(cache, row_key, any_rows, device)
            args, kwargs = tree_unflatten(leaves, spec)
            traced = trace(module, args, kwargs, self._pool)
            executable = self._prepared(traced, device)
            cache.keep(key, traced, executable)
            return traced, executable

    def _prepared(self, traced: Traced, device: torch.device) -> Executable:
        """A program ready to run, with the modules that stay float in it."""

        def prepare(program: Program) -> Executable:
            return self._backend.prepare(program, device)

        if not traced.floats:
            return prepare(traced.program)
        conversions = self._backend.conversions()
        return Staged(traced.program, traced.floats, prepare, conversions)

    def _for_any_rows(
        self,
        cache: ProgramCache,
        key: tuple,
        module: nn.Module,
        leaves: list,
        spec: Any,
    ) -> Traced | None:
        """The program that serves any number of rows; None if there is none."""
        if not cache.knows_any_rows(key) and not self._rows_meet:
            traced = self._traced_row_wise(module, leaves, spec)
            cache.keep_any_rows(key, traced)
            self._rows_meet = traced is None
        return cache.find_any_rows(key)

    def _traced_row_wise(
        self, module: nn.Module, leaves: list, spec: Any
    ) -> Traced | None:
        """The program for two rows, if it serves any number of them."""

        def trace_rows(count: int) -> Traced:
            examples = [
                x.new_zeros(count, *x.shape[1:]) if isinstance(x, Tensor) else x
                for x in leaves
            ]
            args, kwargs = tree_unflatten(examples, spec)
            return trace(module, args, kwargs, self._pool)

        return row_wise(trace_rows)

    def _for_one_row(
        self, module: nn.Module, args: tuple, kwargs: dict
    ) -> Program | None:
        """The program for the first row of the arguments; None if there is none."""
        leaves, spec = tree_flatten((args, kwargs))
        if row_count_of(leaves, entering(module, leaves)) is None:
            return None
        part = [x[:1] if isinstance(x, Tensor) else x for x in leaves]
        args, kwargs = tree_unflatten(part, spec)
        try:
            with self._making:
                return trace(module, args, kwargs, self._pool).program
        # The module may take a certain number of rows only.
        except (RuntimeError, ValueError, IndexError):
            return None

    def _sized(
        self, cache: ProgramCache, key: tuple, traced: Traced, device: torch.device
    ) -> Executable:
        """A program for two rows that runs on any number of them."""

        def prepared(rows: int) -> Executable:
            mine = *key, rows
            found = cache.find(mine)
            if found is not None:
                return found.executable
            with self._making:
                found = cache.find(mine)
                if found is None:
                    program = with_rows(traced.program, rows)
                    executable = self._backend.prepare(program, device)
                    new = traced._replace(program=program)
                    found = cache.keep(mine, new, executable)
                return found.executable

        backend = self._backend
        return AnyRows(traced.program, prepared, backend.sizes, backend.conversions())


def use_backend(
    model: nn.Module, backend: str | None, memory_mb: float = MEMORY_MB
) -> None:
    """Run the quantized regions of a model by a back end.

    Args:
        model: A quantized model.
        backend: Name of a back end; None: the eager integer mode.
        memory_mb: See :class:`Session`; for each region.

    Raises:
        KeyError: If there is no such back end.
        ValueError: If the model has no quantized region, or one that is not in integer
            mode.
    """
    regions = regions_in(model)
    if not regions:
        raise ValueError(
            'the model has no quantized region: quantize it with tools/quantize.py, or '
            'build it from the integer.py that it wrote, first'
        )
    for name, region in regions.items():
        if backend is not None and not isinstance(region.mode, Integer):
            raise ValueError(
                f"region '{name}' is not in integer mode: load its checkpoint "
                '(integer.pth), or finish its quantization, first'
            )
    sessions = {
        n: None if backend is None else Session(backend, memory_mb) for n in regions
    }
    restore(model)
    for name, region in regions.items():
        region.session = sessions[name]
    if backend is not None:
        backend_named(backend).accelerate(model)
