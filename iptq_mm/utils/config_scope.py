"""``iptq_mm::`` before the path of a config that another one inherits.

mmengine looks up such names in a table of packages, and refuses what is not there. The
configs themselves are found as those of any mm package, in the folder ``.mim`` of the
installed one.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

_TABLE = 'mmengine.config.utils'
_PACKAGE = __name__.partition('.')[0]


def register_config_scope() -> None:
    """Let mmengine know the configs of this package, now or when it is imported.

    Importing mmengine's configs takes long, and not everyone who imports this package
    reads one. Calling it again is harmless.
    """
    module = sys.modules.get(_TABLE)
    if module is not None:
        _add(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _add(module: ModuleType) -> None:
    # Versions before 0.4 of mmengine have the older name alone.
    for name in ('MODULE2PACKAGE', 'PKG2PROJECT'):
        table = getattr(module, name, None)
        if isinstance(table, dict):
            table.setdefault(_PACKAGE, _PACKAGE)


class _Finder(MetaPathFinder):
    """Waits for the import of mmengine's table, once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as everyone does, but add the package after its import."""
        if fullname != _TABLE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader = None if spec is None else spec.loader
        if loader is None:
            return spec
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _add(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
