"""Bits and ranges around ReLU."""

import torch
from region_models import Custom, calibrated, config, rows
from torch import nn

from iptq_mm.calibration.planner import Planner
from iptq_mm.intmath import QParams


def planned(body, cfg=None, **parts):
    with torch.no_grad():
        batches = [rows(seed=s) for s in range(3)]
        _, plan, record = calibrated(Custom(body, **parts), batches, cfg)
    return plan, record


def outputs(plan):
    return {site: p.output for site, p in plan.sites.items()}


INNER = dict(inner=nn.Linear(16, 16))


def test_all_codes_of_8_bits_are_positive():
    plan, record = planned(lambda m, x: m.last(m.inner(x).relu()), **INNER)
    before, after = outputs(plan)['inner/linear:0'], outputs(plan)['/relu:0']
    assert (after.qmin, after.qmax) == (0, 255)
    assert before.scale == after.scale and not plan.sites['/relu:0'].inputs
    seen = record.values['inner/linear:0']
    # Nothing of the negative part is clipped: it would count as saturated.
    assert abs(before.qmin * before.scale - seen.minimum) <= before.scale
    assert after.qmax * after.scale > 0.99 * record.values['/relu:0'].maximum


def test_what_others_use_keeps_its_own_scale():
    plan, _ = planned(
        lambda m, x: (m.last(m.inner(x).relu()), m.inner(x).relu() + m.inner(x)),
        **INNER,
    )
    found = outputs(plan)
    # The second call of the layer is used by ReLU, the third by the sum alone.
    assert found['inner/linear:1'].scale == found['/relu:1'].scale
    assert found['/relu:1'].bits == 15 and found['/relu:0'].bits == 8

    def shared(m, x):
        y = m.inner(x)
        return m.last(y.relu()) + y

    plan, _ = planned(shared, **INNER)
    found = outputs(plan)
    assert found['inner/linear:0'].bits == 16 and found['/relu:0'].qmin == 0
    assert found['inner/linear:0'].scale == found['/relu:0'].scale
    narrowed = plan.sites['last/linear:0'].inputs[0]
    assert (narrowed.qmin, narrowed.qmax) == (0, 255)


def test_two_relus_of_one_value_take_the_coarser_scale():
    def body(m, x):
        y = m.inner(x)
        return m.last(y.relu()), m.last((-y).relu())

    plan, record = planned(body, **INNER)
    found = outputs(plan)
    scale = found['inner/linear:0'].scale
    assert found['/relu:0'].scale == found['/relu:1'].scale == scale
    most = max(record.values[f'/relu:{i}'].maximum for i in (0, 1))
    assert abs(scale * 255 - most) < 0.02 * most
    for i in (0, 1):
        q = found[f'/relu:{i}']
        assert q.qmin == 0 and q.qmax <= 255
        assert q.qmax * scale >= record.values[f'/relu:{i}'].maximum - 2 * scale


def test_symmetric_and_wide_results():
    body = lambda m, x: m.last(m.inner(x).relu())  # noqa: E731
    plan, _ = planned(body, config(activation=dict(symmetric=True)), **INNER)
    assert outputs(plan)['/relu:0'].qmax == 127
    plan, _ = planned(lambda m, x: m.last(x).relu())  # leaves the region
    assert outputs(plan)['/relu:0'] == QParams(
        outputs(plan)['last/linear:0'].scale, 0, 32767
    )


def test_a_value_that_another_region_decides():
    _, record = planned(lambda m, x: m.last(m.inner(x).relu()), **INNER)
    handed = QParams(2.0**-10, -32767, 32767)
    planner = Planner(record, config(), {'inner/linear:0': handed})
    plan = planner.plan('Custom')
    q = plan.sites['/relu:0'].output
    assert q.scale == handed.scale and q.qmax > 255
    assert plan.sites['last/linear:0'].inputs[0].qmax == 255


def test_nothing_but_negative_values():
    plan, record = planned(lambda m, x: m.last((m.inner(x) * 0 - 1.0).relu()), **INNER)
    assert record.values['/relu:0'].maximum == 0
    q = outputs(plan)['/relu:0']
    assert q.qmin == 0 < q.qmax
