"""The state of a module that its programs depend on."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from ...modes import bound_region
from ...native.library import prefetch

_LINE = 64


class ModuleState:
    """Tells whether plan, parameters or buffers of a region were replaced or changed.

    This runs at every call of a region, and has to be fast beside a small network. The
    dictionaries that hold the module's tensors are found once, not at every call. A
    program leaves none of the tensors in the CPU's caches, so they are prefetched.

    Args:
        module: The region's module.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, region = weakref.ref(module), bound_region(module)
        assert region is not None
        self._region = weakref.ref(region)
        places = [
            (tensors, name, value)
            for child in module.modules()
            for tensors in (child._parameters, child._buffers)
            for name, value in tensors.items()
            if value is not None
        ]
        self._tensors: list[dict[str, Any]] = [tensors for tensors, _, _ in places]
        self._names = [name for _, name, _ in places]
        values = [value for _, _, value in places]
        counted = not any(value.is_inference() for value in values)
        self._version: Callable[[Tensor], int]
        self._version = attrgetter('_version') if counted else _version
        self._lines = _lines(values)

    def is_of(self, module: nn.Module) -> bool:
        """Whether this is the state of this module, as it is bound now."""
        return self._module() is module and self._region() is bound_region(module)

    def now(self) -> tuple:
        """The present state: equal to an earlier one if nothing was changed since."""
        region = self._region()
        assert region is not None
        prefetch(self._lines)
        found = map(dict.get, self._tensors, self._names)
        values: list[Tensor] = [value for value in found if value is not None]
        addresses = tuple(map(Tensor.data_ptr, values))
        return region.mode, addresses, tuple(map(self._version, values))


def _version(value: Tensor) -> int:
    """Version of a tensor; inference tensors have none."""
    return 0 if value.is_inference() else value._version


def _lines(values: list[Tensor]) -> ctypes.Array:
    """Addresses of the cache lines that hold the storage and version of tensors."""
    found: list[int] = []
    for value in values:
        parts = id(value), value._cdata, value.untyped_storage()._cdata
        found += (part + _LINE * line for part in parts for line in range(3))
    return (ctypes.c_void_p * len(found))(*found)
