"""``iptq_mm::`` before the path of a config that another one inherits.

mmengine looks up such names in a table of packages, and refuses what is not there. The
configs themselves are found as those of any mm package, in the folder ``.mim`` of the
installed one.
"""

from __future__ import annotations

from types import ModuleType

from .after_import import after_import

_TABLE = 'mmengine.config.utils'
_PACKAGE = __name__.partition('.')[0]


def register_config_scope() -> None:
    """Let mmengine know the configs of this package, now or when it is imported.

    Importing mmengine's configs takes long, and not everyone who imports this package
    reads one. Calling it again is harmless.
    """
    after_import(_TABLE, _add)


def _add(module: ModuleType) -> None:
    # Versions before 0.4 of mmengine have the older name alone.
    for name in ('MODULE2PACKAGE', 'PKG2PROJECT'):
        table = getattr(module, name, None)
        if isinstance(table, dict):
            table.setdefault(_PACKAGE, _PACKAGE)
