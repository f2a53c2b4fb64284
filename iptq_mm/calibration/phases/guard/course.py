"""Calls that are run again from where their ranges change.

The guard runs the same calls many times, and plans that it compares differ in a few
quantizers. What comes before the first of them is the same each time. So a call keeps
the values that cross a *front*, a position in the order of its sites: those of sites
before it that sites behind it, or the outputs, use. Sites before the front compute
nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ....operations import Operation
from ....plan import RegionPlan
from ....qtensor import QTensor
from .mode import Ranged

#: Behind every front: an output is used there.
_ALWAYS = 2**62


class StrayedError(RuntimeError):
    """A call did not take the way that it took before."""


@dataclass
class Course:
    """The way that one call of a region takes.

    Attributes:
        sites: Its sites, in the order of execution.
        shapes: Shapes of what they make.
        used: By site, the position of the last one that uses what it makes.
        cut: Whether what comes before a front can be left out: no module that stays
            float took part.
        front: Number of sites that need not compute.
        values: What those made that others use, by site.
    """

    sites: list[str] = field(default_factory=list)
    shapes: list[torch.Size] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    cut: bool = True
    front: int = 0
    values: dict[str, Tensor] = field(default_factory=dict)

    def first_change(self, one: RegionPlan, other: RegionPlan) -> int:
        """Position of the first site at which two plans differ; 0 if inputs do."""
        if not self.cut or one.inputs != other.inputs:
            return 0
        for position, site in enumerate(self.sites):
            a, b = one.sites[site], other.sites[site]
            if a.output != b.output or a.inputs != b.inputs:
                return position
        return len(self.sites)

    def go_back(self, position: int) -> None:
        """Forget a front that lies behind a position."""
        if self.front > position:
            self.front, self.values = 0, {}


class Following(Ranged):
    """:class:`~.mode.Ranged` along a course: what comes before its front is left out.

    Args:
        plan: See the base class; the same before the front as when that was reached.
        course: Of the call. An empty one is noted; else the front moves.
        front: Where the front shall be afterwards, if it is not there yet.
    """

    def __init__(self, plan: RegionPlan, course: Course, front: int = 0) -> None:
        super().__init__(plan)
        self._course, self._next = course, 0
        self._notes, self._front = not course.sites, max(front, course.front)
        self._crossing: dict[str, Tensor] = {}

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        course, position = self._course, self._next
        self._next += 1
        if self._notes:
            for x in inputs:
                if x is not None:
                    course.used[x.source] = position
            made = super().run(operation, inputs, attributes)
            course.sites.append(made.source)
            course.shapes.append(made.payload.shape)
            return made
        if position >= course.front:
            made = super().run(operation, inputs, attributes)
        else:
            site = self.next_site(operation)
            value = course.values.get(site)
            if value is None:  # nobody looks at it
                device = next(x.payload.device for x in inputs if x is not None)
                value = torch.zeros((), device=device).expand(course.shapes[position])
            made = QTensor(value, self.plan.sites[site].output, site)
        if position >= len(course.sites) or course.sites[position] != made.source:
            raise StrayedError(made.source)
        if position < self._front <= course.used.get(made.source, -1):
            self._crossing[made.source] = made.payload
        return made

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        if self._notes:
            self._course.used[value.source] = _ALWAYS
        return super().leave(value)

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class; what a float module makes of it is not known here."""
        self._course.cut = False
        return super().hand_out(value)

    def finish(self) -> None:
        """The call has ended: its front is where it shall be."""
        if not self._notes and self._course.cut:
            self._course.front, self._course.values = self._front, self._crossing
