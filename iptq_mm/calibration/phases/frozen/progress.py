"""Progress of the phase freeze in the log."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mmengine.logging import print_log

#: Seconds between two lines.
EVERY = 20.0


class Progress:
    """Says how many weights of a region are rounded, and about how long the rest takes.

    Args:
        region: Its name.
        costs: Of each weight, in proportion to the time that it takes.
    """

    def __init__(self, region: str, costs: Sequence[float]) -> None:
        self._region, self._costs = region, costs
        self._began = self._said = time.perf_counter()
        self._done = 0

    def one_more(self) -> None:
        """Note that the next weight is rounded."""
        self._done += 1
        now, count = time.perf_counter(), len(self._costs)
        spent, part = now - self._began, sum(self._costs[: self._done])
        if self._done == count:
            self._say(f'{count} weights, {spent:.0f} s')
        elif now - self._said >= EVERY:
            self._said = now
            left = ''
            if part:
                left = f', {spent * (sum(self._costs) - part) / part:.0f} s left'
            self._say(f'weight {self._done}/{count}, {spent:.0f} s{left}')

    def _say(self, what: str) -> None:
        print_log(f'freeze: {self._region}: {what}', 'current')
