"""Measuring several contenders on a machine whose clock is not steady.

Minutes apart, the same code may take 19 or 25 ms. Within a round the contenders take
turns, so that a ratio of two of them compares times of the same seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

#: Threads of the previous contender may spin for a while before they sleep.
PAUSE = 0.02


class Spread(NamedTuple):
    """Median and the bounds of 80 % of some figures."""

    low: float
    median: float
    high: float


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    turn: float = 0.25,
    calls: int = 12,
    pause: float = PAUSE,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time contenders in turns, in another order each round.

    A turn is a pause and then as many calls as fit in it, two at least. The first
    finds the caches full of another's data and its own threads asleep: it is not
    counted, unless it alone takes longer than a turn.

    Args:
        contenders: What to call, by name. They have been called before.
        rounds: How often each has its turn.
        turn: Seconds of a turn.
        calls: Most calls that count in a turn.
        pause: Seconds without work before each turn.
        seed: Decides about the order.
        clock: Seconds that go by.

    Returns:
        For each contender its seconds in each round, the median of a turn.
    """
    order, rng = list(contenders), random.Random(seed)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            time.sleep(pause)
            seconds[name].append(_turn(contenders[name], turn, calls, clock))
    return seconds


def _turn(
    call: Callable[[], object], turn: float, calls: int, clock: Callable[[], float]
) -> float:
    """Median seconds of a call."""
    taken: list[float] = []
    left = turn
    while len(taken) <= calls and (left > 0 or len(taken) < 2):
        began = clock()
        call()
        taken.append(clock() - began)
        left -= taken[-1]
        if taken[0] >= turn:
            return taken[0]
    return median(taken[1:])


def ratios(reference: list[float], other: list[float]) -> list[float]:
    """By round, how many times faster ``other`` is."""
    return [r / o for r, o in zip(reference, other, strict=True)]


def spread(figures: list[float]) -> Spread:
    """Median, and between what 80 % of the figures lie.

    Raises:
        ValueError: If there is no figure.
    """
    if not figures:
        raise ValueError('no figures: measure one round at least')
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    tenths = quantiles(figures, n=10, method='inclusive')
    return Spread(tenths[0], median(figures), tenths[-1])
