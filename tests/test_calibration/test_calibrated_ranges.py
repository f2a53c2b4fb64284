"""What the plan says that calibration clipped."""

import torch
from region_models import config, images, quantized, vit

from iptq_mm.calibration.calibrated_ranges import calibrated_range
from iptq_mm.intmath import QParams
from iptq_mm.modes import bound_region
from iptq_mm.out_of_range import CalibratedRange, OutOfRange
from iptq_mm.plan import RegionPlan
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
