"""The ``candidates``: the integer functions to choose among."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...functions import function_name
from ...registry import FUNCTIONS
from .reading import ConfigError, check_arguments, check_type, meant

#: Of each kind that a config does not name, by type: ``configs/_base_/candidates/
#: tables.py``.
DEFAULT = {
    'gelu': ['i_gelu', 'shift_gelu', 'poly_gelu', 'table_gelu', 'interpolated_gelu'],
    'softmax': [
        'i_softmax',
        'log_int_softmax',
        'shiftmax',
        'bit_softmax',
        'table_softmax',
    ],
    'layer_norm': ['ibert_layernorm', 'fqvit_layernorm', 'ivit_layernorm'],
    'unary': ['table_unary', 'interpolated_unary'],
}


def given_once(inside: Any, beside: Any) -> Any:
    """The candidates of a config, which may be in one of two places.

    Raises:
        ConfigError: If they are in both.
    """
    if inside and beside:
        raise ConfigError(
            'candidates are given twice, in quantization and beside it (configs of '
            '_base_/candidates do the latter): take quantization.candidates out, or '
            'drop those beside it by candidates=dict(_delete_=True)'
        )
    return inside or beside or {}


def named_candidates(given: Any) -> dict[str, dict[str, dict]]:
    """Candidates by kind and by their names, as plans and tables have them.

    Args:
        given: By kind, a list of registry dicts. Kinds that are not there have those
            of :data:`DEFAULT`.

    Raises:
        ConfigError: If a kind has none, or one is no function of its kind.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f'candidates is a dict, by kind, not {given!r}')
    defaults = {
        kind: [{'type': name} for name in names]
        for kind, names in DEFAULT.items()
        if kind not in given
    }
    named: dict[str, dict[str, dict]] = {}
    for kind, functions in {**given, **defaults}.items():
        where = f'candidates.{kind}'
        if not _available(kind):
            raise ConfigError(
                f'{where}: there is no integer function for {kind}; there are for '
                f'{[*DEFAULT]}{meant(kind, DEFAULT)}'
            )
        if not functions:
            raise ConfigError(
                f'{where} is empty: name at least one integer function, one of '
                f'{_available(kind)}'
            )
        if not isinstance(functions, list):
            raise ConfigError(f'{where} is a list of dicts, not {functions!r}')
        named[kind] = {}
        for cfg in functions:
            check_function(kind, cfg, where)
            named[kind][function_name(cfg)] = cfg
    return named


def check_function(kind: str, cfg: Any, where: str) -> None:
    """Raise ConfigError unless a registry dict names a function of a kind.

    Args:
        kind: The kind.
        cfg: The registry dict.
        where: Its key in the config, for the message.
    """
    check_type(FUNCTIONS, cfg, where)
    if FUNCTIONS.get(cfg['type']).kind != kind:
        raise ConfigError(
            f"{where}: '{cfg['type']}' is no function for {kind}; those are "
            f'{_available(kind)}'
        )
    check_arguments(FUNCTIONS, cfg, where)


def _available(kind: str) -> list[str]:
    FUNCTIONS.import_from_location()
    return sorted(n for n, f in FUNCTIONS.module_dict.items() if f.kind == kind)
