"""Steps of a measurement that has to end in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTime(Exception):
    """There is no time left for a step."""


class Deadline:
    """The time that is left.

    Args:
        seconds: How long everything may take.
        clock: Reads the time in seconds.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._end = clock, clock() + seconds

    @property
    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self._end - self._clock()

    @contextmanager
    def step(self, most: float | None = None) -> Iterator[None]:
        """Interrupt the block at the end.

        Args:
            most: Seconds that it may take at most.

        Raises:
            OutOfTime: In the block, when its time is over, or before it.
        """
        seconds = min(self.left, most or self.left)
        if seconds <= 0:
            raise OutOfTime

        def stop(*_: Any) -> None:
            raise OutOfTime

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
