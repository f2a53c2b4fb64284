"""Names of registered types that mean the same wherever they are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import MODELS as ROOT
from mmengine.registry import Registry

from ...calibration import ConfigError
from ...registry import MODELS


def region_scopes(
    model: ConfigDict, region: str, scope: str | None
) -> list[tuple[ConfigDict, str | None]]:
    """The parts of ``cfg.model`` that build a region, and the scope of each.

    Args:
        model: ``cfg.model``.
        region: A path in it. A list of parts (the stages of a cascade) has all of
            its members; one dict may stand for all stages, too.
        scope: The default scope of the config; a ``_scope_`` on the path counts more.

    Raises:
        ConfigError: If there are none.
    """
    node: Any = model
    try:
        for part in region.split('.'):
            scope = _scope(node) or scope
            node = node[int(part)] if part.isdigit() else node[part]
    except (KeyError, IndexError, TypeError):
        node = None
    found = list(_parts(node, scope))
    if not found or not all(isinstance(n, dict) and 'type' in n for n, _ in found):
        raise _not_built(model, region)
    return found


def region_holder(
    model: ConfigDict, region: str, scope: str | None
) -> tuple[ConfigDict, str | None, str]:
    """The innermost part of ``cfg.model`` with a type that builds a region within it.

    Args:
        model: ``cfg.model``.
        region: A path in the model; where it leaves the config, code makes the rest.
        scope: See :func:`region_scopes`.

    Returns:
        The part, its scope, and the path of the region within it.

    Raises:
        ConfigError: If there is none, or the config has nothing of its first name.
    """
    node: Any = model
    found, names = None, region.split('.')
    for i in range(len(names) + 1):
        scope = _scope(node) or scope
        if isinstance(node, dict) and 'type' in node and i < len(names):
            found = node, scope, '.'.join(names[i:])
        if i == len(names) or not isinstance(node, dict) or names[i] not in node:
            break
        node = node[names[i]]
    if found is None or names[0] not in model or found[2].split('.')[0].isdigit():
        raise _not_built(model, region)
    return found


def _not_built(model: ConfigDict, region: str) -> ConfigError:
    return ConfigError(
        f"region '{region}' is not built by the config: use a part that has a "
        f'dict(type=...) of its own in model, one of '
        f'{[k for k, v in model.items() if isinstance(v, dict) and "type" in v]}'
    )


def _parts(node: Any, scope: str | None) -> Iterator[tuple[Any, str | None]]:
    """The configs that a part stands for, as in calibration: itself, or its members."""
    scope = _scope(node) or scope
    if isinstance(node, dict) and 'task_heads' in node:
        node = node['task_heads']
    if isinstance(node, dict) and 'type' not in node:
        node = [member for key, member in node.items() if key != '_scope_']
    if isinstance(node, list | tuple):
        for member in node:
            yield from _parts(member, scope)
    else:
        yield node, scope


def _scope(node: Any) -> str | None:
    return node.get('_scope_') if isinstance(node, dict) else None


def full_type(kind: Any, scope: str | None) -> str:
    """The name of a model's type, in every scope.

    mmengine looks for a name in the registry of the scope, then in its parents. What
    it finds is named with the scope in which it was found; what no registry holds
    (configs in pure Python have classes), by its module.

    Args:
        kind: The type as the config has it.
        scope: In which it is read; None: there is no default scope, which mmengine
            takes for its own.

    Raises:
        ConfigError: If there is no such type, or no name by which it can be found.
    """
    found, names = _found(kind, scope)
    if found is None:
        raise ConfigError(
            f"there is no model '{kind}' in the scope '{scope}': name the module that "
            'registers it in custom_imports, or write its scope before the name'
        )
    module, name = (getattr(found, a, '') for a in ('__module__', '__qualname__'))
    for candidate in (*names, f'{module}.{name}'):
        if _get(MODELS, candidate) is found:
            return candidate
    raise ConfigError(
        f"the model '{kind}' ({found}) cannot be named in a config: register it under "
        'a name of its own, in a module that custom_imports names'
    )


def found_type(kind: Any, scope: str | None) -> Any:
    """The class or function of a type in ``cfg.model``; None if there is none."""
    return _found(kind, scope)[0]


def _found(kind: Any, scope: str | None) -> tuple[Any, list[str]]:
    """The class or function of a type, and its names in registries."""
    if not isinstance(kind, str):
        return kind, []
    with ROOT.switch_scope_and_registry(scope or ROOT.scope) as registry:
        registry.import_from_location()
        if '.' in kind:
            return _get(registry, kind), [kind]
        tree: list[Registry] = [registry]
    while tree[-1].parent is not None:
        tree.append(tree[-1].parent)
    if registry is ROOT:
        # Of a scope without a registry, mmengine asks that of the model's own code.
        tree += ROOT.children.values()
    for registry in tree:
        if kind in registry.module_dict:
            return registry.module_dict[kind], [f'{registry.scope}.{kind}']
    return None, []


def _get(registry: Registry, kind: str) -> Any:
    # Of what is not there, versions of mmengine say None or raise something.
    with contextlib.suppress(Exception):
        return registry.get(kind)
    return None


def type_name(kind: str | type) -> str:
    """The name of a type; configs in pure Python have classes."""
    return kind if isinstance(kind, str) else f'{kind.__module__}.{kind.__qualname__}'


def drop_own_scope(node: Any) -> None:
    """Take this package as a scope out of a config, in place.

    mmengine gives it to all that is inherited as ``iptq_mm::``. But shipped configs
    write it before the names that need it; datasets, for instance, are mm's.
    """
    if isinstance(node, dict):
        if node.get('_scope_') == MODELS.scope:
            del node['_scope_']
        node = [dict.__getitem__(node, key) for key in node]  # lazy ones stay lazy
    if isinstance(node, list | tuple):
        for member in node:
            drop_own_scope(member)
