"""Modes that run many assignments on a batch, each from the first changed site on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...calibration.phases.analyse_mode import Analysing, Visit
from ...modes.base import Mode
from ...modes.integer import Integer
from ...operations import NonLinear, Operation
from ...plan import RegionPlan
from ...qtensor import QTensor


class Replaying(Mode):
    """Mixed into a mode: values of the kept run are not computed again.

    A call replays the kept one as long as its inputs are the same, to the bit,
    up to the first site in ``changed``; from there on it computes.

    Attributes:
        keeping: Whether calls are kept now, and nothing replayed.
        changed: Sites that are not to be replayed.
    """

    keeping: bool = True
    changed: frozenset[str] | set[str] = frozenset()
    _kept: dict[str, QTensor]
    _replays: bool = False
    _site: str | None = None

    def keep(self) -> None:
        """Forget the kept run; the calls that follow are kept."""
        self._kept, self.keeping = {}, True

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        x = super().enter(name, value)  # type: ignore[safe-super]
        if name == 'input:0':
            self._replays = not self.keeping
        kept = self._kept.get(name)
        self._replays = (
            self._replays
            and kept is not None
            and kept.qparams == x.qparams
            and torch.equal(kept.payload, x.payload)
        )
        self._keep(name, x)
        return x

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self._site = super().next_site(operation)
        self._replays &= site in self._kept and site not in self.changed
        if self._replays:
            self._site = None
            return _copy(self._kept[site])
        x = super().run(operation, inputs, attributes)  # type: ignore[safe-super]
        self._keep(site, x)
        return x

    def next_site(self, operation: Operation) -> str:
        """See the base class; counts a site once, though two classes ask."""
        site, self._site = self._site, None
        assert site is not None
        return site

    def _keep(self, name: str, x: QTensor) -> None:
        if self.keeping:
            self._kept[name] = _copy(x)


class ReplayingInteger(Replaying, Integer):
    """Integers, for plans that differ in the functions of a few sites."""

    def __init__(self, plan: RegionPlan) -> None:
        super().__init__(plan)
        self.reference = plan
        self.keep()

    def vary(self, plan: RegionPlan) -> None:
        """Run another plan of the same region from now on.

        Args:
            plan: Its parameters have to be those of the first plan.
        """
        self.keeping = False
        self.changed = _differences(plan, self.reference)
        # Constants serve as long as nothing about their site changes.
        self.constants.drop(_differences(plan, self.plan))
        self.plan = plan


class Substituting(Analysing):
    """Float values, but for the candidates named by ``substitutes``."""

    substitutes: Mapping[str, str] = {}

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(site, operation, inputs, attributes)
        if site in self.substitutes:
            assert isinstance(operation, NonLinear)
            visit = Visit(site, operation, inputs, attributes, value, value.numel())
            value = self.substitute(visit, self.substitutes[site])
        return QTensor(value, self.plan.sites[site].output, site)

    def substitute(self, visit: Visit, name: str) -> Tensor:
        """The real values that a candidate gives.

        Raises:
            ValueError: If it cannot serve the site.
        """
        function = self.candidates[visit.operation.kind][name]
        made = self._made(visit, name, function)
        if made is None:
            raise ValueError(f"site '{visit.site}': {name} cannot serve it")
        return self.candidate(visit, function, *made)


class ReplayingFloat(Replaying, Substituting):
    """Float values, but for candidates at a few sites."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep()

    def vary(self, substitutes: Mapping[str, str]) -> None:
        """Put these candidates in the place of the float functions, by site."""
        self.keeping = False
        self.substitutes, self.changed = substitutes, set(substitutes)


def _copy(x: QTensor) -> QTensor:
    """The same value in a tensor of its own, safe from later changes of the other."""
    return QTensor(x.payload, x.qparams, x.source)


def _differences(plan: RegionPlan, other: RegionPlan) -> set[str]:
    """Sites that two plans treat differently."""
    return {
        site
        for site, mine in plan.sites.items()
        if mine.to_dict() != other.sites[site].to_dict()
    }
