"""The whole quantization of a model, with progress, resume and ranks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import nn

from ..calibration import (
    QuantizationConfig,
    analyse,
    assign,
    check_regions,
    freeze_regions,
    observe,
)
from ..plan import RegionPlan
from ..record import RegionRecord
from ..utils.files import atomic_save


@dataclass
class Quantization:
    """What :func:`quantize_model` did.

    Attributes:
        plans: By region.
        records: By region.
        seconds: By phase.
    """

    plans: dict[str, RegionPlan]
    records: dict[str, RegionRecord]
    seconds: dict[str, float] = field(default_factory=dict)

    def assignment(self) -> dict[str, str]:
        """The chosen function of every non-linear site, ``region:site``."""
        return {
            f'{region}:{site}': str(plan.function['type'])
            for region, plans in self.plans.items()
            for site, plan in plans.sites.items()
            if plan.function
        }


def quantize_model(
    model: nn.Module,
    config: QuantizationConfig,
    batches: Iterable[Any],
    state_file: str | os.PathLike | None = None,
    resume: bool = False,
) -> Quantization:
    """Quantize the regions of a float model, in place.

    Args:
        model: An mmengine model (its ``test_step`` runs a batch).
        config: What to quantize.
        batches: Calibration batches; gone through twice.
        state_file: Where to keep the records, so that an interrupted run can go
            on after the last finished phase.
        resume: Whether to use an existing ``state_file``.

    Returns:
        Plans, records and the time each phase took.

    Raises:
        ConfigError: See :func:`~iptq_mm.calibration.check_regions` and
            :func:`~iptq_mm.calibration.observe`.
        ValueError: If weights or activations hold NaN.
    """
    model = unwrapped(model)
    forward: Any = model.test_step
    check_regions(model, config)
    done = _load_state(state_file, config) if resume else {}
    seconds: dict[str, float] = dict(done.get('seconds', {}))
    records = {
        n: RegionRecord.from_state_dict(s) for n, s in done.get('records', {}).items()
    }

    def finish(phase: str, began: float) -> None:
        seconds[phase] = round(time.perf_counter() - began, 2)
        if state_file is not None and dist.is_main_process():
            state = {
                'config': repr(config),
                'seconds': seconds,
                'records': {n: r.state_dict() for n, r in records.items()},
            }
            atomic_save(state, state_file)

    total = len(batches) if isinstance(batches, Sized) else None
    if 'observe' not in seconds:
        began = time.perf_counter()
        progress = _progress(batches, 'observe', total)
        records = _merged(observe(model, config, forward, progress))
        finish('observe', began)
    if 'analyse' not in seconds:
        began = time.perf_counter()
        per_rank = config.calibration.analysis_images / dist.get_world_size()
        few = max(1, round(per_rank / config.calibration.batch_size))
        few = few if total is None else min(few, total)
        progress = _progress(islice(iter(batches), few), 'analyse', few)
        analyse(model, config, records, forward, progress)
        records = _merged_candidates(records)
        finish('analyse', began)
    began = time.perf_counter()
    plans = assign(model, config, records)
    freeze_regions(model, config, plans)
    seconds['assign and freeze'] = round(time.perf_counter() - began, 2)
    return Quantization(plans, records, seconds)


def unwrapped(model: nn.Module) -> Any:
    """The model inside a wrapper for distributed runs."""
    return model.module if is_model_wrapper(model) else model


def _progress(batches: Iterable, phase: str, total: int | None) -> Iterator:
    """Log about ten lines over a phase."""
    began, step = time.perf_counter(), max(1, (total or 100) // 10)
    for i, batch in enumerate(batches, 1):
        yield batch
        if i % step == 0 or i == total:
            spent = time.perf_counter() - began
            left = f', {spent / i * (total - i):.0f} s left' if total else ''
            print_log(
                f'{phase}: batch {i}/{total or "?"}, {spent:.0f} s{left}', 'current'
            )


def _merged(records: dict[str, RegionRecord]) -> dict[str, RegionRecord]:
    """The records of all ranks as one, the same on every rank."""
    if dist.get_world_size() == 1:
        return records
    gathered = dist.all_gather_object(records)
    merged = gathered[0]
    for other in gathered[1:]:
        for name, record in other.items():
            merged[name].merge(record)
    return merged


def _merged_candidates(records: dict[str, RegionRecord]) -> dict[str, RegionRecord]:
    """As :func:`_merged` for the errors alone: ranges are merged already."""
    if dist.get_world_size() == 1:
        return records
    for rank, other in enumerate(dist.all_gather_object(records)):
        for name, record in other.items():
            if rank == 0:
                records[name].candidates = record.candidates
            else:
                errors = RegionRecord(candidates=record.candidates)
                records[name].merge(errors)
    return records


def _load_state(
    path: str | os.PathLike | None, config: QuantizationConfig
) -> dict[str, Any]:
    if path is None or not Path(path).exists():
        return {}
    state = torch.load(path, weights_only=True)
    if state['config'] != repr(config):
        print_log(
            f'{path} was made with other settings: quantization starts anew', 'current'
        )
        return {}
    print_log(f'resumed after {list(state["seconds"])} from {path}', 'current')
    return state
