"""The weights of a region become integers, each on the rank that has its moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from mmengine import dist
from torch import Tensor

from ....plan import ParameterPlan, RegionPlan
from ....rounding import NearestRounding, Rounding
from ....rounding.base import Rounded
from ..measure_mode import SeenInputs
from .kept import Kept
from .sharing import rounds_of


class Job(NamedTuple):
    """A weight that is to be rounded.

    Attributes:
        weight: The real weight; dimension 0 is the output channel.
        plan: Its plan.
        seen: Its inputs; None: they were not measured.
        corrected: Whether its bias will make up for the mean error.
    """

    weight: Tensor
    plan: ParameterPlan
    seen: SeenInputs | None
    corrected: bool


class Rounds(NamedTuple):
    """Rounds weights as the config has it.

    Weights without moments, of grouped convolutions or with too many inputs, are
    rounded to the nearest if the rounding needs any.

    Attributes:
        rounding: The rounding.
        settings: Describes it.
        kept: Weights that were rounded before.
    """

    rounding: Rounding
    settings: str
    kept: Kept

    def all(
        self,
        plan: RegionPlan,
        jobs: Mapping[str, Job],
        rounded_one: Callable[[], Any] = int,
    ) -> dict[str, Rounded]:
        """All weights of a region in integers, the same on all ranks.

        Where moments decide, the ranks share the weights. They exchange the integers
        after each round, so that each of them has all if the run has to be resumed.

        Args:
            plan: Of the region.
            jobs: Its weights, by name.
            rounded_one: Called after each weight.
        """
        by_moments = {
            name: job.seen.moments.features
            for name, job in jobs.items()
            if self.rounding.needs_inputs and job.seen is not None
        }
        made: dict[str, Rounded] = {}
        for name in (n for n in jobs if n not in by_moments):
            made[name] = self._without_moments(jobs[name])
            rounded_one()
        rank, ranks = dist.get_dist_info()
        for names in rounds_of(plan, by_moments, ranks):
            key = ''
            if rank < len(names):
                name = names[rank]
                made[name], key = self._by_moments(jobs[name])
            if ranks > 1:
                keys = dist.all_gather_object(key)
                self._exchange(names, keys, jobs, made)
            for _ in names:
                rounded_one()
            self.kept.save_now_and_then()
        return made

    def _without_moments(self, job: Job) -> Rounded:
        scale, bits, group = job.plan.scales(), job.plan.bits, job.plan.group
        if self.rounding.needs_inputs:
            return NearestRounding()(job.weight, scale, bits, group=group)
        return self.rounding(
            job.weight, scale, bits, centred=job.corrected, group=group
        )

    def _by_moments(self, job: Job) -> tuple[Rounded, str]:
        """The integers, and the key under which they are kept."""
        assert job.seen is not None
        scale, bits, group = job.plan.scales(), job.plan.bits, job.plan.group
        return self.kept.round(
            *(self.rounding, self.settings, job.weight, scale, bits),
            *(job.seen.moments, job.corrected, group),
        )

    def _exchange(
        self,
        names: Iterable[str],
        keys: list[str],
        jobs: Mapping[str, Job],
        made: dict[str, Rounded],
    ) -> None:
        """Give every rank what the owners of these weights have made."""
        for owner, name in enumerate(names):
            weight = jobs[name].weight
            if name in made:
                codes, scale = (t.cpu().contiguous() for t in made[name])
            else:
                codes = torch.empty(weight.shape, dtype=torch.int8)
                scale = torch.empty(len(weight), dtype=torch.float64)
            dist.broadcast(codes, owner)
            dist.broadcast(scale, owner)
            rounded = Rounded(codes, scale)
            self.kept.take(keys[owner], rounded)
            made[name] = Rounded(codes.to(weight.device), scale.to(weight.device))
