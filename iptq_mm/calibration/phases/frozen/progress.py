"""How far the phase freeze is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from mmengine.logging import print_log

from ....utils.durations import duration

#: Seconds between two lines.
EVERY = 20.0
#: Is told what part of the phase is done, a text about it, and whether the log is to
#: have it as a line.
Shown = Callable[[float, str, bool], None]


class Progress:
    """Says how many weights are rounded, and about how long the rest takes.

    Args:
        costs: By region, in their order, of each weight, in proportion to the time that
            it takes.
        show: Is told of each weight; None: a line in the log where one is due.
    """

    def __init__(
        self, costs: Mapping[str, Sequence[float]], show: Shown | None = None
    ) -> None:
        self._known = any(map(sum, costs.values()))
        # Where nothing is known, one weight is like another.
        alike = {name: [1.0] * len(each) for name, each in costs.items()}
        self._costs = costs if self._known else alike
        self._total = sum(map(sum, self._costs.values()))
        self._show = show or _line
        self._began = self._said = time.perf_counter()
        self._before = 0.0

    def region(self, name: str) -> Callable[[], None]:
        """What to call after each weight of a region.

        Args:
            name: Of the region; those before it are finished.
        """
        costs, began = self._costs[name], time.perf_counter()
        before, count = self._before, 0
        self._before += sum(costs)

        def one_more() -> None:
            nonlocal count
            count += 1
            now, done = time.perf_counter(), before + sum(costs[:count])
            part = done / self._total
            if count == len(costs):
                text = f'{name}: {count} weights, {duration(now - began)}'
                self._show(part, text, True)
                return
            left = ''
            if part and self._known:
                rest = (now - self._began) * (1 - part) / part
                left = f', {duration(rest)} left'
            due = now - self._said >= EVERY
            self._said = now if due else self._said
            spent = duration(now - self._began)
            text = f'{name}: weight {count}/{len(costs)}, {spent}{left}'
            self._show(part, text, due)

        return one_more


def _line(done: float, text: str, due: bool) -> None:
    if due:
        print_log(f'freeze: {text}', 'current')
