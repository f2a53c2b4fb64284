"""The programs that a session keeps, for any number of threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from ..backends.base import Runner
from ..tracing.trace import Traced
from .dynamic_rows.sizes import peak_bytes

#: Programs to keep; images of ever new sizes must not fill the memory.
MAX_PROGRAMS = 32
#: Bytes that the values of all of them may take; one is kept in any case.
MAX_BYTES = 2**30


class Ready(NamedTuple):
    """A program that is ready to run."""

    traced: Traced
    run: Runner
    bytes: int


class Last(NamedTuple):
    """What ran last.

    Attributes:
        key: By :func:`~.arguments.tensors_call`; None: the call was none of these.
        traced, run: The program.
    """

    key: tuple | None
    traced: Any
    run: Any


class Programs:
    """Programs of a region for one state of its parameters.

    Attributes:
        made_for: That state, see :meth:`~.module_state.ModuleState.now`.
        last: What ran last, in any thread; one assignment, so that no thread sees half
            of it.
        ready: The programs by key, the latest used last.
        by_rows: By what of the arguments but their rows a program depends on, one that
            serves any number of rows; None: nothing does.
    """

    def __init__(self, made_for: tuple = ()) -> None:
        self.made_for = made_for
        self.last = Last(None, None, None)
        self.by_rows: dict[tuple, Traced | None] = {}
        self.ready: OrderedDict[tuple, Ready] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple) -> Ready | None:
        """A program by its key, None if it is not kept."""
        with self._lock:
            ready = self.ready.get(key)
            if ready is not None:
                self.ready.move_to_end(key)
            return ready

    def keep(self, key: tuple, traced: Traced, run: Runner) -> Ready:
        """Keep a program, and forget the oldest ones if there are too many."""
        ready = Ready(traced, run, peak_bytes(traced.program))
        with self._lock:
            self.ready[key] = ready
            while len(self.ready) > 1 and (
                len(self.ready) > MAX_PROGRAMS
                or sum(p.bytes for p in self.ready.values()) > MAX_BYTES
            ):
                self.ready.popitem(last=False)
        return ready

    def keep_by_rows(self, key: tuple, traced: Traced | None) -> None:
        """Keep what serves any number of rows, or that nothing does."""
        with self._lock:
            self.by_rows[key] = traced
            if len(self.by_rows) > MAX_PROGRAMS:
                del self.by_rows[next(iter(self.by_rows))]
