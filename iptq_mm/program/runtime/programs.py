"""The cache of a session's programs, for any number of threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from ..backends.base import Executable
from ..ir.graph import Program
from ..tracing.trace import Traced
from .dynamic_rows.sizes import peak_bytes

#: Programs to keep; images of ever new sizes must not fill the memory.
MAX_PROGRAMS = 32
#: Bytes that the values of all programs may take; one program is kept in any case.
MAX_BYTES = 2**30


class PreparedProgram(NamedTuple):
    """A program that is ready to run.

    Attributes:
        traced: The program, and how to nest its outputs.
        executable: The program as the back end runs it.
        bytes: The most bytes that its values take at any time.
    """

    traced: Traced
    executable: Executable
    bytes: int

    @property
    def program(self) -> Program:
        """The program."""
        return self.traced.program


class LastCall(NamedTuple):
    """The call that ran last.

    Attributes:
        key: Its key by :func:`~.arguments.tensors_call`; None if it has none.
        traced: Its program.
        executable: The same, ready to run.
    """

    key: tuple | None
    traced: Any
    executable: Any


class ProgramCache:
    """Programs of a region for one state of its parameters.

    Attributes:
        given: How many tensors of integers are values of the region.
        made_for: That state, see :meth:`~.module_state.ModuleState.now`.
        last: The call that ran last, in any thread. It is replaced by one assignment,
            so that no thread sees half of it.
    """

    def __init__(self, made_for: tuple = (), given: int = 0) -> None:
        self.given = given
        self.made_for = made_for
        self.last = LastCall(None, None, None)
        self._any_rows: dict[tuple, Traced | None] = {}
        self._prepared: OrderedDict[tuple, PreparedProgram] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def prepared(self) -> tuple[PreparedProgram, ...]:
        """The programs, the one used last at the end."""
        with self._lock:
            return tuple(self._prepared.values())

    @property
    def any_rows(self) -> tuple[Program, ...]:
        """The programs that serve any number of rows, each as traced for two."""
        with self._lock:
            return tuple(t.program for t in self._any_rows.values() if t is not None)

    def find(self, key: tuple) -> PreparedProgram | None:
        """The program with this key, None if it is not kept."""
        with self._lock:
            found = self._prepared.get(key)
            if found is not None:
                self._prepared.move_to_end(key)
            return found

    def keep(
        self, key: tuple, traced: Traced, executable: Executable
    ) -> PreparedProgram:
        """Keep a program, and drop those that were not used longest if necessary."""
        new = PreparedProgram(traced, executable, peak_bytes(traced.program))
        with self._lock:
            self._prepared[key] = new
            while len(self._prepared) > 1 and (
                len(self._prepared) > MAX_PROGRAMS
                or sum(p.bytes for p in self._prepared.values()) > MAX_BYTES
            ):
                self._prepared.popitem(last=False)
        return new

    def knows_any_rows(self, key: tuple) -> bool:
        """Whether :meth:`keep_any_rows` was called with this key."""
        return key in self._any_rows

    def find_any_rows(self, key: tuple) -> Traced | None:
        """The program with this key that serves any number of rows, if there is one.

        Args:
            key: By :func:`~.arguments.arguments_key`, without the number of rows.
        """
        return self._any_rows.get(key)

    def keep_any_rows(self, key: tuple, traced: Traced | None) -> None:
        """Keep a program that serves any number of rows; None: there is none."""
        with self._lock:
            self._any_rows[key] = traced
            if len(self._any_rows) > MAX_PROGRAMS:
                del self._any_rows[next(iter(self._any_rows))]
