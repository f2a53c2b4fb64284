"""How dicts of a config are read, and what is said of mistakes in them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


class ConfigError(ValueError):
    """A mistake in the quantization config; the message says what to write."""


def build(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a dict of its fields.

    Raises:
        ConfigError: If it is no dict, has other keys, or a value of another type than
            the field; names ``where``.
    """
    if isinstance(given, cls):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f'{where} is a dict, not {given!r}')
    known = [f.name for f in fields(cls)]
    hints = get_type_hints(cls)
    for key, value in given.items():
        if key not in known:
            raise ConfigError(
                f'{where} has no option {key!r}; it has {known}{meant(key, known)}'
            )
        if not _fits(value, hints[key]):
            raise ConfigError(f'{where}.{key}={value!r}: give {_said(hints[key])}')
    return cls(**given)


def meant(name: Any, known: Collection[str]) -> str:
    """What somebody meant who wrote ``name``, as the end of a message; maybe empty."""
    close = get_close_matches(str(name), list(known), n=1)
    return f': did you mean {close[0]!r}?' if close else ''


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, h) for h in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is list:
        (inner,) = get_args(hint)
        return isinstance(value, list) and all(_fits(v, inner) for v in value)
    # Of what is named by a dict, the registries have more to say.
    return kind is dict or isinstance(value, kind)


def _said(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return ' or '.join(map(_said, get_args(hint)))
    if get_origin(hint) is list:
        return f'a list of {get_args(hint)[0].__name__}'
    kinds = {
        int: 'an integer',
        float: 'a number',
        bool: 'True or False',
        NoneType: 'None',
    }
    return kinds.get(hint, f'a {getattr(hint, "__name__", hint)}')


def plain(value: Any) -> Any:
    """Config dicts and lists as plain ones.

    Where there is nothing to delete, mmengine leaves ``_delete_`` in the config. What
    is inherited as ``iptq_mm::`` gets this package for its scope, which is no option.
    """
    if isinstance(value, Mapping):
        return {
            k: plain(v)
            for k, v in value.items()
            if k != '_delete_' and (k, v) != ('_scope_', 'iptq_mm')
        }
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def check_type(registry: Any, cfg: Mapping[str, Any], where: str = '') -> None:
    """Raise ConfigError unless ``cfg`` names something in a registry.

    Args:
        registry: The registry.
        cfg: A registry dict.
        where: Its key in the config, for the message.
    """
    at = f'{where}: ' if where else ''
    if not isinstance(cfg, Mapping) or 'type' not in cfg:
        raise ConfigError(
            f'{at}{cfg!r} is no {registry.name}: write a dict with a type'
        )
    registry.import_from_location()
    if str(cfg['type']) not in registry.module_dict:
        names = sorted(registry.module_dict)
        raise ConfigError(
            f"{at}there is no {registry.name} '{cfg['type']}'; there are "
            f'{names}{meant(cfg["type"], names)}'
        )


def check_arguments(
    registry: Any, cfg: Mapping[str, Any], where: str = '', merged: bool = False
) -> None:
    """Raise ConfigError unless what ``cfg`` names can be built with its options.

    Args:
        registry: The registry.
        cfg: A registry dict whose type is known.
        where: Its key in the config, for the message.
        merged: Whether configs merge it with what they inherit (a dict, in no list).
    """
    at = f'{where}: ' if where else ''
    kind = cfg['type']
    known = _options(registry, kind)
    unknown = [key for key in cfg if key not in ('type', *known)]
    if unknown:
        others = _with_options(registry, unknown) if merged else []
        advice = meant(unknown[0], known)
        if others:
            key = where.rpartition('.')[2]
            advice = (
                f'. {others[0]!r} has {", ".join(unknown)}: if a base config sets '
                f'that, drop what it says by {key}=dict(_delete_=True, '
                f"type='{kind}', ...)"
            )
        raise ConfigError(
            f"{at}{registry.name} '{kind}' has no option {unknown[0]!r}; it has "
            f'{known}{advice}'
        )
    try:
        registry.build(dict(cfg))
    except (TypeError, ValueError) as error:
        raise ConfigError(f'{at}{registry.name} {dict(cfg)}: {error}') from error


def _options(registry: Any, kind: str) -> list[str]:
    return list(inspect.signature(registry.module_dict[kind]).parameters)


def _with_options(registry: Any, options: list[str]) -> list[str]:
    return [
        kind
        for kind in sorted(registry.module_dict)
        if set(options) <= set(_options(registry, kind))
    ]
