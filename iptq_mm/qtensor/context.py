"""The running call of a region: its mode, its module path and its site names."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Location:
    """The place in the model that one call of a region has reached.

    It names sites. A site is ``<module path>/<operation>:<count>``, for instance
    ``layers.0.attn/softmax:0``. The count starts at 0 in every module, so that a name
    does not depend on anything that happens in other modules.

    Attributes:
        mode: The mode of the region. It is typed where it is read, by
            :func:`iptq_mm.qtensor.mode.current_mode`: the type needs QTensor, which
            needs this module.
        region: Name of the region.
        path: Paths of the running modules, the innermost last.
    """

    def __init__(self, mode: Any, region: str) -> None:
        self.mode = mode
        self.region = region
        self.path = ['']
        self._counts: Counter[str] = Counter()

    def next_number(self, what: str) -> int:
        """How often this was asked for the same thing in this call before."""
        self._counts[what] += 1
        return self._counts[what] - 1

    def next_site(self, operation: str) -> str:
        """The name of the next site of an operation in the running module."""
        key = f'{self.path[-1]}/{operation}'
        return f'{key}:{self.next_number(key)}'


class _Running(threading.local):
    """The running locations of this thread, the innermost last."""

    def __init__(self) -> None:
        self.locations: list[Location | None] = []


_running = _Running()


@contextmanager
def located(location: Location) -> Iterator[Location]:
    """Make ``location`` the running one within the ``with`` block."""
    _running.locations.append(location)
    try:
        yield location
    finally:
        _running.locations.pop()


@contextmanager
def outside_regions() -> Iterator[None]:
    """Be outside every region within the ``with`` block: float code runs there."""
    _running.locations.append(None)
    try:
        yield
    finally:
        _running.locations.pop()


def current_location() -> Location | None:
    """The innermost running location of this thread; None outside every region."""
    return _running.locations[-1] if _running.locations else None


def describe_location() -> str:
    """Region and module path of the running location, for error messages."""
    location = current_location()
    if location is None:
        return 'outside every region'
    return f"region '{location.region}', module '{location.path[-1] or '(itself)'}'"
