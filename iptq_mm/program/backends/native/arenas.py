"""The memory in which native programs compute, shared by those that take turns."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import torch
from torch import Tensor, UntypedStorage


class Arenas:
    """Arenas for programs, each lent to one running program at a time.

    There is one as long as one program runs at a time, whatever the number of programs,
    of the size that the largest of them needs. Programs that run at the same time get
    one each.
    """

    def __init__(self) -> None:
        self._all: list[UntypedStorage] = []
        self._free: list[UntypedStorage] = []
        self._lock = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._numbers = count()
        self._largest: int | None = None

    def join(self, program: object, size: int) -> None:
        """Take note of a program that will need so many bytes as long as it lives."""
        number = next(self._numbers)
        self._sizes[number] = size
        self._largest = None
        weakref.finalize(program, self._leave, number)

    def tensors(self) -> list[Tensor]:
        """The memory of all arenas."""
        with self._lock:
            for memory in self._free:
                self._fit(memory)
            return [torch.empty(0, dtype=torch.uint8).set_(s) for s in self._all]  # type: ignore[call-overload]

    @contextmanager
    def lent(self, last: UntypedStorage | None = None) -> Iterator[UntypedStorage]:
        """An arena for as long as a program runs.

        Args:
            last: The arena that it had last, which is taken if it is free: a program
                has to adapt to another one.

        Yields:
            Memory that is large enough for every program that lives. Between two calls,
            its contents are void, and it may move.
        """
        memory = self._taken(last)
        try:
            yield memory
        finally:
            with self._lock:
                self._free.append(memory)

    def _taken(self, last: UntypedStorage | None) -> UntypedStorage:
        with self._lock:
            if not self._free:
                memory = UntypedStorage(0)
                self._all.append(memory)
            else:
                found = [i for i, memory in enumerate(self._free) if memory is last]
                memory = self._free.pop(found[0] if found else -1)
            self._fit(memory)
            return memory

    def _fit(self, memory: UntypedStorage) -> None:
        """Give an arena the size that the largest program needs."""
        size = self._largest
        if size is None:
            self._largest = size = max(list(self._sizes.values()), default=0)
        if memory.nbytes() != size:
            # Views of it that programs keep move along: nothing holds the old one.
            memory.resize_(size)

    def _leave(self, number: int) -> None:
        # Without the lock: the thread that collects garbage may hold it.
        self._sizes.pop(number, None)
        self._largest = None
