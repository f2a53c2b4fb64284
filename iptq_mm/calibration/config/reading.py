"""How dicts of a config are read, and what is said of mistakes in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


class ConfigError(ValueError):
    """A mistake in the quantization config; the message says what to write."""


def build(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a dict of its fields.

    Raises:
        ConfigError: If it is no dict, or has other keys; names ``where``.
    """
    if isinstance(given, cls):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f'{where} is a dict, not {given!r}')
    known = [f.name for f in fields(cls)]
    unknown = [k for k in given if k not in known]
    if unknown:
        raise ConfigError(f'{where} has no option {unknown[0]!r}; it has {known}')
    return cls(**given)


def plain(value: Any) -> Any:
    """Config dicts and lists as plain ones."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def check_type(registry: Any, cfg: Mapping[str, Any]) -> None:
    """Raise ConfigError unless ``cfg`` names something in a registry."""
    if not isinstance(cfg, Mapping) or 'type' not in cfg:
        raise ConfigError(f'{cfg!r} is no {registry.name}: write a dict with a type')
    if registry.get(cfg['type']) is None:
        raise ConfigError(
            f"there is no {registry.name} '{cfg['type']}'; there are "
            f'{sorted(registry.module_dict)}'
        )


def check_arguments(registry: Any, cfg: Mapping[str, Any]) -> None:
    """Raise ConfigError unless what ``cfg`` names can be built with its options."""
    try:
        registry.build(dict(cfg))
    except (TypeError, ValueError) as error:
        raise ConfigError(f'{registry.name} {dict(cfg)}: {error}') from error
