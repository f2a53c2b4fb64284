"""Held-out calls that are run again and again, each time with a few other ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ....modes import Mode
from ....plan import RegionPlan
from .course import Course, Following, StrayedError
from .held_out import Call, HeldOut
from .mode import Ranged

#: Errors differ by less, where only the last bits of floats do.
_ALIKE = 0.1

#: Runs a call in a mode; gives its errors.
_Run = Callable[[Call, Mode], Tensor]


class Rerun:
    """Errors of plans on held-out images; what a plan does not change is left out.

    Args:
        held: The calls of a region.
        run: From :meth:`~.held_out.HeldOut.bound`.
    """

    def __init__(self, held: HeldOut, run: _Run) -> None:
        self._held, self._run = held, run
        self._courses = [Course() for _ in held.calls]
        self._plan: RegionPlan | None = None

    def begin(self, plan: RegionPlan) -> Tensor:
        """The errors of the plan that others are compared with, first part first."""
        self._plan = plan
        errors = [self._noted(plan, i) for i in range(len(self._held.calls))]
        first = self._held.first
        parts = [self._held.gathered(e) for e in (errors[:first], errors[first:])]
        return torch.cat(parts)

    def first(self, plan: RegionPlan) -> Tensor:
        """The errors of another plan on the images that are looked at first."""
        return self._errors(plan, range(self._held.first))

    def rest(self, plan: RegionPlan) -> Tensor:
        """The errors of another plan on all other images."""
        return self._errors(plan, range(self._held.first, len(self._held.calls)))

    def take(self, plan: RegionPlan) -> None:
        """From now on, this is the plan that others are compared with."""
        for course in self._courses:
            course.go_back(self._change(course, plan))
        self._plan = plan

    def _change(self, course: Course, plan: RegionPlan) -> int:
        assert self._plan is not None
        return course.first_change(self._plan, plan)

    def _errors(self, plan: RegionPlan, calls: Iterable[int]) -> Tensor:
        return self._held.gathered([self._again(plan, i) for i in calls])

    def _noted(self, plan: RegionPlan, number: int) -> Tensor:
        """The errors of a call that has no course yet."""
        call, course = self._held.calls[number], self._courses[number]
        errors = self._run(call, Following(plan, course))
        if number == 0 and course.cut:
            # The same, in two parts: else values pass between sites in hidden ways.
            for front in (len(course.sites) // 2, 0):
                mode = Following(plan, course, front)
                if not torch.allclose(self._run(call, mode), errors, rtol=_ALIKE):
                    self._cut_none()
                    break
                mode.finish()
            course.go_back(0)
        return errors

    def _again(self, plan: RegionPlan, number: int) -> Tensor:
        call, course = self._held.calls[number], self._courses[number]
        front = self._change(course, plan)
        course.go_back(front)
        mode = Following(plan, course, front)
        try:
            errors = self._run(call, mode)
        except StrayedError:
            self._cut_none()
            return self._run(call, Ranged(plan))
        mode.finish()
        return errors

    def _cut_none(self) -> None:
        """Run all of each call from now on."""
        for course in self._courses:
            course.go_back(0)
            course.cut = False
