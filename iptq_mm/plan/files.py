"""Plans as JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from ..utils.files import atomic_write
from .region import PlanError, RegionPlan


def save_plan(plans: Mapping[str, RegionPlan], path: str | os.PathLike) -> None:
    """Write the plans of all regions as JSON, one site or parameter per line.

    Args:
        plans: Plans by region.
        path: The file.
    """
    regions = []
    for name, plan in plans.items():
        data = plan.to_dict()
        parts = [f'  "version": {data["version"]},\n  "module": "{data["module"]}"']
        known = [key for key in ('calibrated', 'kept_float') if key in data]
        for key in ('pixels', 'norms', *known):
            parts.append(f'  "{key}": {json.dumps(data[key])}')
        for key in ('inputs', 'sites', 'parameters'):
            lines = (
                f'    {json.dumps(n)}: {json.dumps(v)}' for n, v in data[key].items()
            )
            parts.append(f'  "{key}": {{\n' + ',\n'.join(lines) + '\n  }')
        regions.append(f'{json.dumps(name)}: {{\n' + ',\n'.join(parts) + '\n}')
    atomic_write(path, '{' + ',\n'.join(regions) + '}\n')


def load_plan(path: str | os.PathLike) -> dict[str, RegionPlan]:
    """The plans in a file that :func:`save_plan` wrote, by region.

    Raises:
        PlanError: If the file is no plan, or one of another version.
    """
    with open(path, encoding='utf-8') as file:
        try:
            data = json.load(file)
        except ValueError as error:
            raise PlanError(f'{path} is not a plan: {error}') from error
    if not isinstance(data, dict) or not data:
        raise PlanError(f'{path} is not a plan: it names no region')
    try:
        return {name: RegionPlan.from_dict(plan) for name, plan in data.items()}
    except PlanError as error:
        raise PlanError(f'{path}: {error}') from error
