"""Products of values: the ``grid`` of a list of settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config.config import DELETE_KEY

from ...calibration import ConfigError
from ...functions import function_name

#: What a grid may vary beside dotted config keys.
AXES = ('seed', 'config', 'candidates')


def expanded(grids: Any) -> Iterator[dict[str, Any]]:
    """Settings of the products of grids, the last axis changing first.

    Args:
        grids: A dict of axes, or a list of such dicts. An axis is ``seed``,
            ``config``, ``candidates`` or a dotted config key, with a list of
            values, or a dict of values by name.

    Yields:
        Settings, as ``settings`` lists them. Names are made of the values.

    Raises:
        ConfigError: If a grid or an axis is something else.
    """
    for grid in [grids] if isinstance(grids, Mapping) else grids:
        if not isinstance(grid, Mapping):
            raise ConfigError(f'grid is a dict of lists, not {grid!r}')
        axes = [_points(key, values, grid) for key, values in grid.items()]
        for points in itertools.product(*axes):
            options: dict[str, Any] = {}
            name = ', '.join(name for name, _, _ in points)
            setting: dict[str, Any] = {'name': name, 'options': options}
            for _, key, value in points:
                (setting if key in AXES else options)[key] = value
            yield setting


def _points(
    key: str, values: Any, grid: Mapping[str, Any]
) -> list[tuple[str, str, Any]]:
    """Name, key and value of each point of an axis."""
    if isinstance(values, Mapping):
        return [(str(name), key, value) for name, value in values.items()]
    if not isinstance(values, list | tuple | range):
        raise ConfigError(f'grid[{key!r}] is a list, or a dict by name: not {values!r}')
    last = key.rpartition('.')[2]
    if sum(other.rpartition('.')[2] == last for other in grid) > 1:
        last = key
    return [(f'{last}={_shown(value)}', key, value) for value in values]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and 'type' in value:
        return function_name({k: v for k, v in value.items() if k != DELETE_KEY})
    if isinstance(value, str) and value.endswith('.py'):
        return Path(value).stem
    return str(value)
