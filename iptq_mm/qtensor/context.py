"""Where the running forward is: the active mode and the module path."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..modes.base import Mode


class Location:
    """Names sites within one call of a region.

    A site is ``<module path>/<operation>:<count>``, for instance
    ``layers.0.attn/softmax:0``; the count runs within the module, so that names
    do not depend on anything that happens elsewhere.
    """

    def __init__(self, mode: Mode, region: str) -> None:
        self.mode = mode
        self.region = region
        self.path = ['']
        self._counts: Counter[str] = Counter()

    def next_site(self, operation: str) -> str:
        """The name of the next site of this kind in the running module."""
        key = f'{self.path[-1]}/{operation}'
        self._counts[key] += 1
        return f'{key}:{self._counts[key] - 1}'


class _Running(threading.local):
    """The running locations of this thread, the innermost last."""

    def __init__(self) -> None:
        self.locations: list[Location] = []


_running = _Running()


@contextmanager
def located(location: Location) -> Iterator[Location]:
    """Make ``location`` the running one."""
    _running.locations.append(location)
    try:
        yield location
    finally:
        _running.locations.pop()


def current_location() -> Location | None:
    """The innermost running location, None outside every region."""
    return _running.locations[-1] if _running.locations else None


def current_mode() -> Mode:
    """The mode of the region that runs.

    Raises:
        UnsupportedOperationError: Outside every region.
    """
    from .errors import UnsupportedOperationError

    if not _running.locations:
        raise UnsupportedOperationError(
            'a QTensor left its region: every output of a region has to be a tensor '
            'or a list, tuple or dict of tensors'
        )
    return _running.locations[-1].mode


def describe_location() -> str:
    """Region and module path for error messages."""
    if not _running.locations:
        return 'outside every region'
    location = _running.locations[-1]
    return f"region '{location.region}', module '{location.path[-1] or '(itself)'}'"
