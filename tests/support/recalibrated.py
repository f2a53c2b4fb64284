"""Tiny models whose ranges are taken again with the chosen functions in place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn

from iptq_mm.calibration import (
    QuantizationConfig,
    analyse,
    assign,
    assigned_again,
    choose_limits,
    observe,
    passes,
    recalibrate,
    take_over,
    try_ranges,
)
from iptq_mm.plan import RegionPlan
from iptq_mm.record import RegionRecord

Records, Plans = dict[str, RegionRecord], dict[str, RegionPlan]


def assigned(
    net: nn.Module, cfg: QuantizationConfig, batches: Sequence[Any]
) -> tuple[Records, Plans]:
    """Records and plans after the functions were chosen, of all regions."""
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    return records, assign(net, cfg, records)


def ranged(
    net: nn.Module,
    cfg: QuantizationConfig,
    records: Records,
    plans: Plans,
    batches: Sequence[Any],
) -> Plans:
    """The plans once functions have chosen the ranges of their inputs."""
    found = try_ranges(net, cfg, records, plans, net, batches)
    for name, record in records.items():
        choose_limits(record, found[name])
    return assigned_again(cfg, records, plans)


def recalibrated(
    net: nn.Module,
    cfg: QuantizationConfig,
    records: Records,
    plans: Plans,
    batches: Sequence[Any],
    order: str = 'all',
) -> tuple[Records, Plans]:
    """New records and plans, as the phase makes them."""
    records = copy.deepcopy(records)
    for values in [*passes(records, order), None]:
        take_over(records, recalibrate(net, records, plans, net, batches, values))
        plans = assigned_again(cfg, records, plans)
    return records, plans
