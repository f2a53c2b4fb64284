"""Ranges that are learned: a factor of the scale of each value of few bits."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...intmath.qparams import as_float32
from ...out_of_range import FIT_LOW
from ...plan import RegionPlan
from .straight_through import FEW_BITS

#: Name of the parameter of a region that holds the factors.
RANGES_KEY = 'quantization_ranges'


def values_with_ranges(plan: RegionPlan, outputs: Collection[str] = ()) -> list[str]:
    """The sites whose ranges can be learned: those of few bits.

    ReLU keeps the scale of its input, so that both are left out. So are values of more
    bits, whose steps are far too small to be a matter of range, and values around a
    function that was fitted to calibration data: it cannot be fitted again here.

    Args:
        plan: The region's plan.
        outputs: Values that leave the region, whose scales other regions share.
    """
    scales = {p.output.scale for p in plan.sites.values() if p.operation == 'relu'}
    fitted = [p for p in plan.sites.values() if FIT_LOW in (p.constants or {})]
    kept = [p.made_for for p in fitted] + [p.output for p in fitted]
    return [
        site
        for site, p in plan.sites.items()
        if p.output.bits <= FEW_BITS
        and p.output.scale not in scales
        and p.output not in kept
        and site not in outputs
    ]


class LearnedRanges:
    """The scales of some of a region's values, by a parameter that is trained.

    The scale of value ``i`` is ``2**f[i]`` times what it was at first. Its integers
    keep their range, so that both ends of the real range move alike.

    Args:
        plan: The region's plan, which gets the scales of the moment. Constants that are
            for the scales at first are taken out of it.
        sites: The values.
    """

    def __init__(self, plan: RegionPlan, sites: Sequence[str] = ()) -> None:
        self.sites = list(sites)
        self._places = {site: i for i, site in enumerate(self.sites)}
        self._plan = plan
        self._first = {site: plan.sites[site].output.scale for site in sites}
        self._factors: Tensor | None = None
        for site in sites:
            plan.sites[site].constants = plan.sites[site].made_for = None

    def take(self, factors: Tensor) -> bool:
        """Give the plan the scales that the parameter says; whether any changed.

        Args:
            factors: The parameter, shape (sites,).
        """
        self._factors = factors
        exact = torch.exp2(factors.detach().double()).tolist()
        changed = False
        for site, factor in zip(self.sites, exact, strict=True):
            planned = self._plan.sites[site]
            old, scale = planned.output, as_float32(self._first[site] * factor)
            if scale != old.scale:
                planned.output = replace(old, scale=scale)
                changed = True
        return changed

    def first_plan(self) -> RegionPlan:
        """A copy of the plan with the scales that it had at first."""
        plan = copy.deepcopy(self._plan)
        for site, scale in self._first.items():
            planned = plan.sites[site]
            planned.output = replace(planned.output, scale=scale)
        return plan

    def of(self, site: str) -> Tensor | None:
        """The element of the parameter for a site; None: its range is not learned."""
        if site not in self._places or self._factors is None:
            return None
        return self._factors[self._places[site]]
