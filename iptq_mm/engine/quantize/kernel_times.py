"""Measured times of the candidates, as the cost that criteria weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn

from ...calibration import ConfigError, QuantizationConfig
from ...calibration.planner import Planner
from ...calibration.region_order import inputs_from_producers, producers_first
from ...calibration.site_overrides import SiteOverrides
from ...functions import Constants, FunctionSite, IntegerFunction
from ...intmath import QParams
from ...plan import RegionPlan
from ...program.runtime.function_times import (
    LoneFunction,
    check_function_times,
    function_times,
)
from ...record import RegionRecord
from ...registry import CRITERIA

#: What decides about the time of a function at a site.
_Key = tuple[str, int, int, int, int]


def wants_times(config: QuantizationConfig) -> bool:
    """Whether the criterion counts nanoseconds."""
    return CRITERIA.build(dict(config.criterion)).cost_unit == 'nanoseconds'


def check_times(config: QuantizationConfig) -> None:
    """Find out, before calibration, whether times can be measured if they are wanted.

    Raises:
        ConfigError: If not.
    """
    if wants_times(config):
        try:
            check_function_times()
        except RuntimeError as error:
            raise ConfigError(
                "quantization.criterion counts the native kernels' nanoseconds, but "
                f"{error}: install a C++ compiler, or use cost='operations'"
            ) from error


def measure_times(
    model: nn.Module, config: QuantizationConfig, records: Mapping[str, RegionRecord]
) -> None:
    """Note the time of every candidate at every site, see :func:`function_times`.

    The first process measures, and all get its times. Sites whose inputs have the same
    kind, shape and widths have the same times.

    Args:
        model: The float model.
        config: Has the candidates.
        records: After the analysis; ``nanoseconds`` of their candidates are set.
    """
    found: list[Any] = [None]
    if dist.is_main_process():
        found = [_measured(model, config, records)]
    dist.broadcast_object_list(found)
    for name, record in records.items():
        for site, candidates in record.candidates.items():
            for function, errors in candidates.items():
                errors.nanoseconds = found[0][name][site][function]


def _measured(
    model: nn.Module, config: QuantizationConfig, records: Mapping[str, RegionRecord]
) -> dict[str, dict[str, dict[str, float]]]:
    """Nanoseconds by region, site and candidate."""
    functions = config.functions()
    plans: dict[str, RegionPlan] = {}
    known: dict[_Key, dict[str, float]] = {}
    times: dict[str, dict[str, dict[str, float]]] = {}
    for name, record in producers_first(records):
        planner = Planner(record, config, inputs_from_producers(record, plans))
        module = model.get_submodule(name)
        plan = plans[name] = planner.plan(type(module).__name__)
        times[name] = {}
        overrides = SiteOverrides(config.overrides, record)
        given = overrides.functions()
        for site, candidates in record.candidates.items():
            kind, (rows, length) = record.operations[site], record.rows[site]
            source, out = record.sources[site][0] or '', plan.sites[site].output
            made = plan.inputs.get(source) or plan.sites[source].output
            key = kind, rows, length, made.bits, out.bits
            if not candidates.keys() <= known.get(key, {}).keys():
                lone = {
                    function: LoneFunction(
                        kind,
                        overrides.function(site) or config.candidates[kind][function],
                        *prepared,
                        rows,
                        length,
                    )
                    for function, prepared in _prepared(
                        module,
                        record,
                        site,
                        planner,
                        given.get(site) or functions[kind],
                        made,
                        out,
                    )
                }
                spent = function_times(list(lone.values()))
                known[key] = {
                    **known.get(key, {}),
                    **dict(zip(lone, spent, strict=True)),
                }
            times[name][site] = known[key]
    return times


def _prepared(
    module: nn.Module,
    record: RegionRecord,
    site: str,
    planner: Planner,
    functions: Mapping[str, IntegerFunction],
    made: QParams,
    out: QParams,
) -> Iterator[tuple[str, tuple[QParams, QParams, Constants]]]:
    """Quantizers and constants of the candidates of a site, by name."""
    for name in record.candidates[site]:
        kept = record.constants.get(site, {}).get(name)
        if kept is not None:
            x = QParams.from_dict(kept['input'])
            yield name, (x, out, kept['constants'])
            continue
        function, source = functions[name], record.sources[site][0] or ''
        wide = made.bits <= function.max_input_bits
        x = made if wide else planner.qparams(source, function.max_input_bits)
        gamma, beta = (_parameter(module, record, site, i) for i in (1, 2))
        size = record.rows[site][1]
        ones = torch.ones(size, dtype=torch.float64)
        known = FunctionSite(
            x,
            out,
            gamma=ones if gamma is None else gamma,
            beta=0 * ones if beta is None else beta,
        )
        yield name, (x, out, function.prepare(known))


def _parameter(
    module: nn.Module, record: RegionRecord, site: str, position: int
) -> Tensor | None:
    """A parameter of a site; None if it has none, or one that is put together."""
    sources = record.sources[site]
    source = sources[position] if position < len(sources) else None
    name = (source or '').removeprefix('parameter:')
    value = dict(module.named_parameters()).get(name)
    if value is None or value.numel() != record.rows[site][1]:
        return None
    return value.detach().double().cpu().flatten()
