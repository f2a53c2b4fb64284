"""The search: measure once, solve for each budget, write configs and the front."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ...calibration import ConfigError
from ...calibration.config import WIDE
from ...calibration.config.parts import check_group
from ...calibration.phases.sensitivity.effects import Sensitivities
from ...calibration.phases.sensitivity.forms import weight_forms
from ...program.runtime.function_times import check_function_times
from ...utils.files import atomic_write
from ..loading.models import check_checkpoint, read_config
from .budgets import read_budgets
from .choices import function_units, product_units, uniform
from .costs import CostTable, measured
from .measure import measure_model
from .points import Point, config_text, write_front
from .solve import solve


def search_bits(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    budgets: Sequence[str],
    work_dir: str | None = None,
    costs: str | None = None,
    weights: Sequence[int] = (3, 4, 5, 6, 8),
    activations: Sequence[int] = (4, 6, 8),
    groups: Sequence[int] = (),
    functions: bool = False,
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Choose the bits of every site, so that the outputs err least within budgets.

    The sensitivity of each site to each width is measured in one pass; a 0/1 program
    then chooses. An interrupted search, or one with other budgets, uses what was
    measured. With several budgets, all points are written, and the Pareto front.

    Args:
        config: Config of a float model with a quantization dict.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        budgets: See :func:`~.budgets.read_budgets`.
        work_dir: Where to write; None: ``work_dirs/<config name>_bits``.
        costs: A table that tools/measure_costs.py wrote; None: it is measured here.
        weights: Bits that weights may have.
        activations: Bits that operands of products may have; 16 is for inputs of
            linear layers.
        groups: Sizes of groups that weights may have beside that of the config.
        functions: Whether functions are chosen by the same budgets; else the config's
            criterion chooses them when a point is quantized.
        cfg_options: Overrides, by dotted key.

    Returns:
        Path of the config; with several budgets, of ``front.md``.

    Raises:
        ConfigError: If the config or a budget asks for something impossible.
        FileNotFoundError: If a file is missing.
    """
    for widths, more in ((weights, []), (activations, [WIDE])):
        for width in widths:
            if not 2 <= width <= 8 and width not in more:
                raise ConfigError(f'{width} bits: use 2 to 8{" or 16" if more else ""}')
    if all(width == WIDE for width in activations):
        raise ConfigError(
            f'--activations {WIDE} alone: not every operand may have so many bits; '
            'name one of 2 to 8, too'
        )
    for group in groups:
        check_group(group, None, '--groups: weight')
    read_budgets(budgets, [])  # mistakes in them show now
    cfg = read_config(config, checkpoint, cfg_options)
    check_checkpoint(cfg)
    if functions:
        try:
            check_function_times()
        except RuntimeError as error:
            raise ConfigError(
                f'--functions weighs the times of native kernels, but {error}: install '
                'a C++ compiler, or leave it out'
            ) from error
    table = None if costs is None else CostTable.load(costs)
    folder = Path(work_dir or f'work_dirs/{Path(config).stem}_bits')
    group = ((cfg.get('quantization') or {}).get('weight') or {}).get('group') or 0
    forms = weight_forms(weights, [group, *groups])
    found, records = measure_model(cfg, folder, forms, activations, functions)
    table = table or _measured(found, folder / 'costs.json')
    units = product_units(found, table, weights, activations, group, groups)
    if functions:
        units += function_units({n: r.candidates for n, r in records.items()})
    wanted = read_budgets(budgets, units)
    if not table.nanoseconds and any('ms' in budget for budget in wanted):
        raise ConfigError(
            'a budget of ms needs the times of kernels, but there is no native library '
            'here: install a C++ compiler, or give a table by --costs'
        )
    base = _base(cfg, config, folder, cfg_options)
    before = (cfg.get('quantization') or {}).get('overrides') or []
    before = [one.to_dict() if hasattr(one, 'to_dict') else one for one in before]
    points = []
    for number, budget in enumerate(wanted):
        name = 'bits' if len(wanted) == 1 else f'bits_{number:02}'
        point = Point(name, budget, solve(units, budget))
        text = config_text(point, units, base, folder, before)
        atomic_write(folder / f'{name}.py', text)
        points.append(point)
    same = []
    for weight in weights:
        for activation in (bits for bits in activations if bits != WIDE):
            chosen = uniform(units, weight, activation)
            same.append(Point(f'W{weight}A{activation}', {}, chosen))
    front = write_front(points, same, folder, config)
    return front if len(points) > 1 else folder / f'{points[0].name}.py'


def _measured(found: Sensitivities, path: Path) -> CostTable:
    """The table in a file, measured now if that has not all kernels."""
    if path.exists():
        table = CostTable.load(path)
        if table.has_all(found):
            return table
    try:
        table = measured(found)
    except RuntimeError as error:
        print_log(f'no times of kernels: {error}', 'current')
        return CostTable()
    table.save(path)
    return table


def _base(
    cfg: Any, config: str | os.PathLike, folder: Path, options: dict[str, Any] | None
) -> str | os.PathLike:
    """The config that points inherit: a whole one, if options changed it."""
    if not options:
        return config
    path = folder / 'base.py'
    atomic_write(path, cfg.pretty_text)
    return path
