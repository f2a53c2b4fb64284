"""Calls that are run again from where plans differ have the errors of whole ones."""

import pytest
import torch
from guard_cases import observed
from region_models import images, vit
from torch import nn

from iptq_mm.calibration.phases.guard.course import Course, Following, StrayedError
from iptq_mm.calibration.phases.guard.held_out import calls_of
from iptq_mm.calibration.phases.guard.mode import Ranged
from iptq_mm.calibration.phases.guard.rerun import Rerun
from iptq_mm.calibration.phases.guard.settings import Settings
from iptq_mm.kept_float import keep_float

BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(4)]


@pytest.fixture
def case():
    """Held-out calls of a ViT, and plans that differ in one value each."""
    net, cfg, records = observed(vit(), BATCHES[:2], bits=4)
    settings = Settings(records['backbone'], cfg, {})
    held = calls_of(net, records, net, BATCHES, first=1)['backbone']
    base = settings.uniform(0)
    plans = [settings.plan({**base, value: 1}) for value in settings.values]
    return held, settings.plan(base), plans


def test_errors_are_those_of_whole_calls(case):
    held, plan, plans = case
    with held.bound() as run:
        again = Rerun(held, run)
        assert torch.equal(again.begin(plan), held_errors(held, run, plan))
        # In and against the order of execution, and from another plan on.
        for other in [*plans, *plans[::-1]]:
            found = torch.cat([again.first(other), again.rest(other)])
            assert torch.equal(found, held_errors(held, run, other))
        again.take(plans[3])
        for other in plans[::2]:
            found = torch.cat([again.first(other), again.rest(other)])
            assert torch.equal(found, held_errors(held, run, other))


def held_errors(held, run, plan):
    return torch.cat([run(call, Ranged(plan)) for call in held.calls])


def test_what_comes_before_a_change_is_not_computed(case, monkeypatch):
    held, plan, plans = case
    computed = []
    compute = Following.compute
    monkeypatch.setattr(
        Following, 'compute', lambda *args: computed.append(args[1]) or compute(*args)
    )
    with held.bound() as run:
        again = Rerun(held, run)
        again.begin(plan)
        last = plans[-1]
        again.first(last)
        computed.clear()
        again.first(last)
    sites = [*plan.sites]
    changed = [s for s in sites if plan.sites[s] != last.sites[s]]
    assert computed == sites[sites.index(changed[0]) :] and len(computed) < 5


def test_the_first_images_are_those_of_the_first_batches(case):
    held = case[0]
    assert (len(held.calls), held.first) == (4, 1)
    assert [call.images for call in held.calls] == [2] * 4


def test_another_way_is_noticed(case):
    held, plan, _ = case
    with held.bound() as run:
        way = Course()
        run(held.calls[0], Following(plan, way))
        way.sites[3] = 'another'
        with pytest.raises(StrayedError):
            run(held.calls[0], Following(plan, way))


def test_a_region_that_hides_values_is_run_whole(case):
    """As if nobody used what sites make: the comparison at the beginning shows it."""
    held, plan, plans = case

    class Forgetful(dict):
        def get(self, key, default=None):
            return -1

    with held.bound() as run:
        again = Rerun(held, run)
        for way in again._courses:
            way.used = Forgetful()
        again.begin(plan)
        assert not any(way.cut for way in again._courses)
        found = torch.cat([again.first(plans[-1]), again.rest(plans[-1])])
        assert torch.equal(found, held_errors(held, run, plans[-1]))


class Kept(nn.Module):
    """A linear layer ahead of one that stays float."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        return self.last(self.second(self.first(x)))


def test_nothing_is_left_out_ahead_of_a_float_module():
    module = Kept()
    keep_float(module, ['second'])
    batches = [torch.randn(2, 4, 8) for _ in range(2)]
    net, cfg, records = observed(module, batches, bits=4)
    settings = Settings(records['backbone'], cfg, {})
    held = calls_of(net, records, net, batches)['backbone']
    with held.bound() as run:
        again = Rerun(held, run)
        again.begin(settings.plan(settings.uniform(0)))
        assert not any(way.cut for way in again._courses)
