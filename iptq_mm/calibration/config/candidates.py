"""The ``candidates`` dict: the integer functions to choose among."""

from __future__ import annotations

from typing import Any

from ...functions import function_name
from ...registry import FUNCTIONS
from .reading import ConfigError, check_arguments, check_type


def named_candidates(candidates: dict[str, Any]) -> dict[str, dict[str, dict]]:
    """Candidates by kind and by their names, as plans and tables have them.

    Args:
        candidates: By kind, a list of registry dicts.

    Raises:
        ConfigError: If a kind has none, or one is no function of its kind.
    """
    named: dict[str, dict[str, dict]] = {}
    for kind in ('gelu', 'softmax', 'layer_norm'):
        if not candidates.get(kind):
            raise ConfigError(
                f'candidates.{kind} is empty: name at least one integer function, '
                f'one of {_available(kind)}'
            )
    for kind, functions in candidates.items():
        named[kind] = {}
        for cfg in functions:
            check_type(FUNCTIONS, cfg)
            if FUNCTIONS.get(cfg['type']).kind != kind:
                raise ConfigError(
                    f"'{cfg['type']}' is no function for {kind}; those are "
                    f'{_available(kind)}'
                )
            check_arguments(FUNCTIONS, cfg)
            named[kind][function_name(cfg)] = cfg
    return named


def _available(kind: str) -> list[str]:
    FUNCTIONS.import_from_location()
    return sorted(n for n, f in FUNCTIONS.module_dict.items() if f.kind == kind)
