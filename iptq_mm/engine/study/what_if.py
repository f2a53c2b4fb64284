"""Runs a classifier under many assignments of functions to sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...calibration import ConfigError, QuantizationConfig, assign
from ...calibration.planner import Planner
from ...modes import bind, bound_region
from ...modes.region import Region
from ...plan import RegionPlan
from ...record import RegionRecord
from ..quantize.model import Quantization
from .measurements import Measurement
from .replaying import ReplayingFloat, ReplayingInteger
from .site_candidates import Assignment


class WhatIf:
    """Runs a classifier with one assignment of functions after the other.

    On each batch the float model and the integer model of the reference
    assignment run once (:meth:`start`). What is asked then is computed from the
    first site on that differs.

    Args:
        model: The float classifier, in eval mode. It is bound, not changed.
        integer_model: The same one, quantized with any assignment.
        config: How.
        quantization: What :func:`~iptq_mm.engine.quantize.model.quantize_model` said.
        reference: Function of every non-linear site.

    Attributes:
        logits: Float logits of the batch, shape (images, classes).
    """

    def __init__(
        self,
        model: Any,
        integer_model: Any,
        config: QuantizationConfig,
        quantization: Quantization,
        reference: Assignment,
    ) -> None:
        self.model, self.integer_model, self.config = model, integer_model, config
        self.records = quantization.records
        self.parameters = {n: p.parameters for n, p in quantization.plans.items()}
        self.reference = reference
        self._plans: dict[str, dict[str, RegionPlan]] = {}
        self._integer: dict[str, ReplayingInteger] = {}
        self._float: dict[str, ReplayingFloat] = {}
        for name, plan in self.plans_of(reference).items():
            region = bound_region(integer_model.get_submodule(name))
            assert region is not None
            region.mode = self._integer[name] = ReplayingInteger(plan)
            self._float[name] = self._float_mode(name)
            bind(model.get_submodule(name), Region(name, self._float[name]))

    def start(self, batch: Any) -> Tensor:
        """Take a batch; the logits of the reference assignment in integers."""
        self._data = self.model.data_preprocessor(batch, False)
        for name, plan in self.plans_of(self.reference).items():
            self._integer[name].vary(plan)
            self._integer[name].keep()
            self._float[name].vary({})
            self._float[name].keep()
        self.logits = self._run(self.model)
        return self._run(self.integer_model)

    def in_integers(self, assignment: Assignment) -> Tensor:
        """Logits of an assignment in integers."""
        for name, plan in self.plans_of(assignment).items():
            self._integer[name].vary(plan)
        return self._run(self.integer_model)

    def in_floats(self, substitutes: Assignment) -> Tensor:
        """Logits when some sites have a candidate and all the rest is float."""
        for name, mode in self._float.items():
            mode.vary(substitutes.get(name, {}))
        return self._run(self.model)

    def plans_of(self, assignment: Assignment) -> dict[str, RegionPlan]:
        """The plans that the phases would make for an assignment."""
        key = repr({n: sorted(chosen.items()) for n, chosen in assignment.items()})
        if key not in self._plans:
            records = {
                name: _restricted(record, assignment.get(name, {}))
                for name, record in self.records.items()
            }
            plans = self._plans[key] = assign(self.model, self.config, records)
            for name, plan in plans.items():
                plan.parameters = self.parameters[name]  # they do not depend on it
        return self._plans[key]

    def _float_mode(self, name: str) -> ReplayingFloat:
        planner = Planner(self.records[name], self.config)
        plan = planner.plan(type(self.model.get_submodule(name)).__name__)
        # Preparing candidates notes refusals, which are known already.
        record, functions = replace(self.records[name]), self.config.functions()
        return ReplayingFloat(plan, functions, record, planner.qparams, lambda f, n: 1)

    @torch.no_grad()
    def _run(self, model: Any) -> Tensor:
        logits = model(**self._data, mode='tensor')
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ConfigError(
                'the study compares logits: it needs a classifier whose '
                "forward(mode='tensor') gives one tensor of (images, classes)"
            )
        return logits.double()


def measurement(logits: Tensor, reference: Tensor) -> Measurement:
    """Squared error of logits, and whether their class is the float one, by image.

    Args:
        logits: Shape (images, classes).
        reference: Float logits, the same shape.
    """
    same = logits.argmax(1) == reference.argmax(1)
    error = (logits - reference).square().sum(1)
    return Measurement(error.tolist(), same.int().tolist())


def _restricted(record: RegionRecord, chosen: Mapping[str, str]) -> RegionRecord:
    """A record in which each site has one candidate, for any criterion to choose."""
    candidates = {
        site: {chosen[site]: errors[chosen[site]]}
        for site, errors in record.candidates.items()
    }
    return replace(record, candidates=candidates)


def with_site(
    reference: Assignment, region: str, site: str, candidate: str
) -> Assignment:
    """The reference assignment with another candidate at one site."""
    return {**reference, region: {**reference[region], site: candidate}}


def best_sqnr(records: Mapping[str, RegionRecord]) -> Assignment:
    """The candidate of the best SQNR at every site."""
    return {
        region: {
            site: max(candidates, key=lambda name, c=candidates: c[name].sqnr_db)  # type: ignore[misc]
            for site, candidates in record.candidates.items()
        }
        for region, record in records.items()
    }
