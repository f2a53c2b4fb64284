"""Variants of a run: the same numbers as runs of their own, with less work."""

import pytest
from region_models import (
    SEVERAL,
    Custom,
    calibrated,
    config,
    deit,
    images,
    mmdet_swin,
    rows,
    same,
)

from iptq_mm.calibration import freeze_regions
from iptq_mm.calibration.config.candidates import DEFAULT
from iptq_mm.engine.study.replaying import ReplayingInteger
from iptq_mm.intmath import QParams
from iptq_mm.modes import Integer, bound_region
from iptq_mm.plan import RegionPlan

pytestmark = pytest.mark.usefixtures('no_grad')

#: Sites whose plan has these are given others.
OTHERS = {
    'gelu': dict(type='shift_gelu'),
    'softmax': dict(type='bit_softmax'),
    'layer_norm': dict(type='fqvit_layernorm'),
}


@pytest.fixture
def computed(monkeypatch):
    """Counts the operations that integer modes compute."""
    counts = [0]
    original = Integer.run

    def run(self, *args):
        counts[0] += 1
        return original(self, *args)

    monkeypatch.setattr(Integer, 'run', run)
    return counts


def variants(plan):
    """For every non-linear site, the plan with another function there."""
    for site, chosen in plan.sites.items():
        if chosen.operation in OTHERS:
            other = RegionPlan.from_dict(plan.to_dict())
            other.sites[site].function = OTHERS[chosen.operation]
            other.sites[site].constants = None
            yield other


@pytest.mark.parametrize('make', [deit, mmdet_swin])
@pytest.mark.slow
def test_variants_are_what_they_would_be_alone(make, computed):
    batch, other = images(2, 3, 32, 32), images(2, 3, 40, 32, seed=1)
    cfg = config(SEVERAL)
    net, plan, _ = calibrated(make(), [batch, other], cfg)
    freeze_regions(net, cfg, {'backbone': plan})
    region = bound_region(net.backbone)
    mode = region.mode = ReplayingInteger(plan)
    reference = net(batch)
    full = computed[0]
    assert full == len(plan.sites)
    mode.vary(plan)
    assert same(net(batch), reference) and computed[0] == full
    measurements = []
    for variant in list(variants(plan))[::3]:
        computed[0] = 0
        region.mode = mode
        mode.vary(variant)
        replayed, work = net(batch), computed[0]
        region.mode = Integer(variant)
        assert same(net(batch), replayed)
        measurements.append((work, same(replayed, reference)))
    work = [w for w, _ in measurements]
    assert work == sorted(work, reverse=True) and full > work[0] > work[-1] > 0
    assert not all(equal for _, equal in measurements)
    # Other inputs have nothing in common with what was kept.
    computed[0] = 0
    region.mode = mode
    mode.vary(plan)
    assert not same(net(batch * 1.01), reference) and computed[0] == full
    mode.keep()
    kept = net(other)
    mode.vary(plan)
    computed[0] = 0
    assert same(net(other), kept) and computed[0] == 0


def test_what_is_kept_survives_operations_in_place():
    def body(self, x):
        y = self.last(x)
        y += x
        y *= 2.0
        return y + self.norm(y)

    batch, cfg = rows(), config(SEVERAL)
    net, plan, _ = calibrated(Custom(body), [batch], cfg)
    freeze_regions(net, cfg, {'backbone': plan})
    mode = bound_region(net.backbone).mode = ReplayingInteger(plan)
    reference = net(batch)
    mode.vary(plan)
    for _ in range(3):
        assert same(net(batch), reference)


def test_an_input_in_other_steps_is_another_input():
    batch, cfg = rows(), config(SEVERAL)
    net, plan, _ = calibrated(Custom(lambda self, x: self.last(x)), [batch], cfg)
    freeze_regions(net, cfg, {'backbone': plan})
    mode = bound_region(net.backbone).mode = ReplayingInteger(plan)
    reference = net(batch)
    wider = RegionPlan.from_dict(plan.to_dict())
    q = wider.inputs['input:0']
    wider.inputs['input:0'] = QParams(q.scale * 2, q.qmin, q.qmax)
    mode.vary(wider)
    varied = net(2 * batch)  # the same integers, but they stand for more
    bound_region(net.backbone).mode = Integer(wider)
    assert same(varied, net(2 * batch)) and not same(varied, reference)


def test_kinds_are_all_covered():
    # A kind with a single function has no other to vary with.
    choices = {k for k, names in DEFAULT.items() if len(names) > 1}
    assert choices - {'unary'} == set(OTHERS)  # which no model here has
