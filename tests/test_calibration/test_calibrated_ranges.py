"""What the plan says that calibration clipped."""

import logging

import pytest
import torch
from region_models import calibrated, config, images, quantized, vit

from iptq_mm.calibration import calibrated_ranges, freeze_regions
from iptq_mm.calibration.calibrated_ranges import (
    calibrated_range,
    noticeable_clipping,
)
from iptq_mm.intmath import QParams
from iptq_mm.modes import bound_region
from iptq_mm.out_of_range import CalibratedRange, OutOfRange
from iptq_mm.plan import RegionPlan
from iptq_mm.record import RegionRecord
from iptq_mm.registry import OBSERVERS
from iptq_mm.statistics import Statistics


def test_range_that_clips():
    """The share is at least the exact one, and off by a histogram bin at most."""
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    statistics = Statistics()
    statistics.update(x)
    qparams = QParams.symmetric(2.0, 8)
    seen = OutOfRange()
    seen.see((x.double() / qparams.scale).round().long(), qparams.qmin, qparams.qmax)
    found = calibrated_range(statistics, qparams)
    assert seen.share <= found.share <= 1.05 * seen.share
    assert (found.below, found.above) == seen.farthest


def test_range_that_clips_nothing():
    statistics = Statistics()
    statistics.update(torch.tensor([-1.0, 0.5, 1.0]))
    assert calibrated_range(statistics, QParams.symmetric(1.0, 8)) == CalibratedRange()


def test_quantizers_of_a_plan():
    """Narrow quantizers clip some; those of 16 bits hold all."""
    observer = dict(type='percentile', percentile=75.0)
    cfg = config(activation=dict(bits=8, observer=observer))
    net = quantized(vit(), [images(2, 3, 32, 32, seed=s) for s in range(2)], cfg)
    plan = bound_region(net.backbone).mode.plan
    assert 'input:0' in plan.calibrated
    operands = {name for name in plan.calibrated if '<-' in name}
    assert plan.calibrated.keys() - operands <= {*plan.sites, *plan.inputs}
    for name, seen in plan.calibrated.items():
        narrow = name in plan.inputs or name in operands
        narrow = narrow or plan.sites[name].output.bits == 8
        assert narrow and 0 < seen.share < 1, name
    assert RegionPlan.from_tensor(plan.to_tensor()).calibrated == plan.calibrated


def test_older_plans_do_not_know():
    net = quantized(vit(), [images(2, 3, 32, 32)])
    data = bound_region(net.backbone).mode.plan.to_dict()
    del data['calibrated']
    plan = RegionPlan.from_dict(data)
    assert plan.calibrated is None and plan.to_dict() == data


def seen_by(*batches):
    statistics = Statistics()
    for batch in batches:
        statistics.update(batch)
    return statistics


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('bits', [4, 8])
def test_minmax_is_what_its_name_says(bits, symmetric):
    """No value of any batch is clipped, unlike by the average of their extremes."""
    generator = torch.Generator().manual_seed(0)
    batches = [w * torch.randn(4096, generator=generator) for w in (1, 0.5, 3, 0.7)]
    seen = seen_by(*batches)
    minmax = OBSERVERS.build(dict(type='minmax'))
    low, high = minmax.range(seen, bits, symmetric)
    assert float(low) <= min(float(x.min()) for x in batches)
    assert float(high) >= max(float(x.max()) for x in batches)
    qparams = minmax.qparams(seen, bits, symmetric)
    assert calibrated_range(seen, qparams).share == 0
    average = OBSERVERS.build(dict(type='ema', momentum=0.95))
    assert calibrated_range(seen, average.qparams(seen, bits, symmetric)).share > 0


def plan_and_record(values, qparams):
    plan, record = RegionPlan('Net'), RegionRecord()
    plan.inputs['input:0'] = qparams
    record.values['input:0'] = seen_by(values)
    return record, plan


def test_noticeable_clipping():
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    # At 4 deviations, 8 bits lose more by rounding; at 2, by far more by clipping.
    for deviations, noticed in ((5.0, False), (4.0, False), (2.0, True)):
        found = noticeable_clipping(
            *plan_and_record(x, QParams.symmetric(deviations, 8))
        )
        assert list(found) == (['input:0'] if noticed else []), deviations
    step = 2.0 / 127
    rounded = torch.round(x / step).clamp(-127, 127) * step
    clipped = x.clamp(-2.0, 2.0)
    ratio = (x - clipped).square().mean() / (step**2 / 12)
    assert found['input:0'] == pytest.approx(float(ratio), rel=0.05)
    assert (x - rounded).square().mean() > 100 * (clipped - rounded).square().mean()


@pytest.mark.parametrize('bits', [3, 4, 6, 8])
def test_the_least_error_is_not_noticed(bits):
    """``mse`` weighs both errors: it clips a lot of 3 bits, and rightly so."""
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    qparams = OBSERVERS.build(dict(type='mse')).qparams(seen_by(x), bits, True)
    assert noticeable_clipping(*plan_and_record(x, qparams)) == {}


def test_rare_outliers_are_left_out_without_a_word():
    x = torch.cat([torch.randn(100_000), torch.tensor([400.0])])
    qparams = QParams.symmetric(5.0, 8)
    assert noticeable_clipping(*plan_and_record(x, qparams)) == {}


PERCENTILE = dict(type='percentile', percentile=75.0)


@pytest.mark.parametrize('observer', [PERCENTILE, dict(type='minmax')])
def test_a_warning_where_ranges_clip_noticeably(observer, monkeypatch):
    said = []
    monkeypatch.setattr(calibrated_ranges, 'print_log', lambda *x: said.append(x))
    cfg = config(activation=dict(bits=8, observer=observer))
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    net, plan, record = calibrated(vit(), batches, cfg)
    freeze_regions(net, cfg, {'backbone': plan}, {'backbone': record})
    assert bool(said) == (observer is PERCENTILE)
    for text, _, level in said:
        assert len(said) == 1 and level == logging.WARNING
        assert text.startswith("region 'backbone': ")
        assert 'lose more by clipping the calibration data than by rounding' in text
        assert "dict(type='minmax')" in text
