"""The cache of a session's programs, for any number of threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor

from ..backends.base import Executable
from ..ir.graph import Program
from ..tracing.trace import Traced

#: Programs to keep; images of ever new sizes must not fill the memory. Images of COCO
#: have about 45 sizes.
MAX_PROGRAMS = 64
#: Megabytes that all programs of a region may keep, unless a user says otherwise.
MEMORY_MB = 1024


class PreparedProgram(NamedTuple):
    """A program that is ready to run.

    Attributes:
        traced: The program, and how to nest its outputs.
        executable: The program as the back end runs it.
    """

    traced: Traced
    executable: Executable

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


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the memory of tensors, what several of them share only once."""
    different = {id(tensor): tensor for tensor in tensors}  # programs share most
    storages = (tensor.untyped_storage() for tensor in different.values())
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


class ProgramCache:
    """Programs of a region for one state of its parameters.

    Those that were not used longest are dropped when there are too many, or when they
    keep too much memory. One program is kept in any case.

    Args:
        made_for: That state, see :meth:`~.module_state.ModuleState.now`.
        given: How many tensors of integers are values of the region.
        memory_mb: Megabytes that all programs may keep: weights and constants, those
            that several programs share only once, and memory for their values.

    Raises:
        ValueError: If ``memory_mb`` is no positive number.

    Attributes:
        made_for: That state.
        given: How many tensors of integers are values of the region.
        last: The call that ran last, in any thread. It is replaced by one assignment,
            so that no thread sees half of it.
    """

    def __init__(
        self,
        made_for: tuple = (),
        given: int = 0,
        memory_mb: float = MEMORY_MB,
    ) -> None:
        if not memory_mb > 0:
            raise ValueError(
                f'memory_mb={memory_mb}: programs cannot keep so many megabytes; give '
                f'a positive number ({MEMORY_MB} by default)'
            )
        self.given = given
        self.made_for = made_for
        self._most = memory_mb * 2**20
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
        new = PreparedProgram(traced, executable)
        with self._lock:
            self._prepared[key] = new
            while len(self._prepared) > MAX_PROGRAMS:
                self._prepared.popitem(last=False)
            while len(self._prepared) > 1 and self._bytes() > self._most:
                self._prepared.popitem(last=False)
        return new

    @property
    def bytes(self) -> int:
        """Bytes that the programs keep; what several of them share counts once."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        executables = [made.executable for made in self._prepared.values()]
        return sum(e.own_bytes for e in executables) + storage_bytes(
            tensor for e in executables for tensor in e.held()
        )

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
