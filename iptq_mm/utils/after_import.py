"""What has to be done to another package's module, once that is imported."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any


def after_import(name: str, action: Callable[[ModuleType], None]) -> None:
    """Do something to a module: now, or right after its import.

    Nothing is imported for it. Calling it again with the same function is harmless.

    Args:
        name: Of the module.
        action: What to do.
    """
    module = sys.modules.get(name)
    waiting = [(f.name, f.action) for f in sys.meta_path if isinstance(f, _Finder)]
    if module is not None:
        action(module)
    elif (name, action) not in waiting:
        sys.meta_path.insert(0, _Finder(name, action))


class _Finder(MetaPathFinder):
    """Waits for the import of a module, once."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self.name, self.action = name, action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as everyone does, but act after its import."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader = None if spec is None else spec.loader
        if loader is None:
            return spec
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.action(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
