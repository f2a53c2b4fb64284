"""Ranges of inputs that suit the function, not only the values."""

import copy
import math

import pytest
import torch
from recalibrated import assigned, ranged, recalibrated
from region_models import Custom, Net, bound, config, images, rows, sqnr, vit
from torch import nn

from iptq_mm.calibration import assigned_again, choose_limits, freeze_regions
from iptq_mm.calibration.phases.assigned.function_ranges import LEAST_GAIN, SHARES
from iptq_mm.calibration.phases.assigned.function_ranges_mode import TryingRanges
from iptq_mm.calibration.planner import Planner
from iptq_mm.record import RegionRecord
from iptq_mm.statistics import Statistics
from iptq_mm.utils.exact_sum import ExactSum

#: The published constants, with the 8-bit inputs for which they were not made.
LITERAL = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm')],
)
SOUND = dict(
    gelu=[dict(type='interpolated_gelu')],
    softmax=[dict(type='table_softmax')],
    layer_norm=[dict(type='ibert_layernorm')],
)


def settings(candidates, where='site', **wide):
    calibration = dict(function_ranges=where)
    return config(candidates, wide=wide, calibration=calibration)


class Chain(Custom):
    """A linear layer, a GELU, a linear layer; ``also``: another reader of the input."""

    def __init__(self, also=False):
        super().__init__(None)
        self.also = also
        with torch.no_grad():
            self.first.weight.mul_(0.3)

    def forward(self, x):
        y = self.first(x)
        z = self.last(nn.functional.gelu(y))
        return z + y if self.also else z


def integer(net, cfg, plans):
    net = copy.deepcopy(net)
    freeze_regions(net, cfg, plans)
    return net


@pytest.mark.parametrize('where', ['site', 'output'])
def test_a_published_function_gains(where):
    net, batches = Net(Chain()).eval(), [rows(8, 16, seed=s) for s in range(3)]
    cfg, x = settings(LITERAL, where, gelu=8), rows(8, 16, seed=9)
    with torch.no_grad():
        records, plans = assigned(net, cfg, batches)
    better = ranged(net, cfg, records, plans, batches)
    with torch.no_grad():
        _, better = recalibrated(net, cfg, records, better, batches)
        real = net(x)
        before, after = (integer(net, cfg, p)(x) for p in (plans, better))
        assert sqnr(real, after) > sqnr(real, before) + 3
    assert torch.is_grad_enabled()


def test_the_only_reader_decides_for_the_producer():
    net, batches = Net(Chain()).eval(), [rows(8, 16)]
    cfg = settings(LITERAL, gelu=8)
    records, plans = assigned(net, cfg, batches)
    better = ranged(net, cfg, records, plans, batches)['backbone']
    limit = records['backbone'].function_limits['/gelu:0']
    made = better.sites['first/linear:0'].output
    assert not better.sites['/gelu:0'].inputs
    assert max(-made.qmin, made.qmax) * made.scale == pytest.approx(limit, rel=0.01)
    assert made.bits == 8


def test_beside_other_readers_only_the_function_is_clipped():
    net, batches = Net(Chain(also=True)).eval(), [rows(8, 16)]
    cfg = settings(LITERAL, gelu=8)
    records, plans = assigned(net, cfg, batches)
    better = ranged(net, cfg, records, plans, batches)['backbone']
    limit = records['backbone'].function_limits['/gelu:0']
    first = 'first/linear:0'
    assert better.sites[first].output == plans['backbone'].sites[first].output
    operand = better.sites['/gelu:0'].inputs[0]
    assert operand.bound * operand.scale == pytest.approx(limit, rel=0.01)
    assert operand.bits == 8


def test_sound_functions_keep_their_ranges():
    net, batches = Net(vit()).eval(), [images(2, 3, 32, 32)]
    cfg = settings(SOUND)
    records, plans = assigned(net, cfg, batches)
    better = ranged(net, cfg, records, plans, batches)
    assert not records['backbone'].function_limits
    assert better == plans


def test_inputs_with_a_factor_and_several_heads():
    """Scores are multiplied by a number on their way to the Softmax."""
    net, batches = Net(vit()).eval(), [images(2, 3, 32, 32, seed=s) for s in range(2)]
    cfg = settings(LITERAL, softmax=8, gelu=8)
    records, plans = assigned(net, cfg, batches)
    better = ranged(net, cfg, records, plans, batches)
    limits = records['backbone'].function_limits
    assert any('gelu' in site for site in limits)
    with torch.no_grad():
        _, better = recalibrated(net, cfg, records, better, batches)
        x = batches[0]
        before, after = (integer(net, cfg, p)(x) for p in (plans, better))
        assert sqnr(net(x), after) > sqnr(net(x), before)


def test_the_planned_range_is_among_those_that_are_tried():
    """The first error is that of the integer model as it is planned."""
    net, x = Net(Chain()).eval(), rows(8, 16)
    cfg = settings(LITERAL, gelu=8)
    records, plans = assigned(net, cfg, [x])
    record, plan = records['backbone'], plans['backbone']
    planner = Planner(record, cfg)
    mode = TryingRanges(plan, record, planner, SHARES)
    limits = mode._quantizers
    tried = []
    mode._quantizers = lambda visit: tried.extend(limits(visit)) or limits(visit)
    with torch.no_grad(), bound(net.backbone, mode):
        net(x)
        mode.finish()
    assert tried[0] == plan.sites['first/linear:0'].output
    assert len(tried) == 1 + len(SHARES)
    errors = [float(error) for error in mode.errors['/gelu:0']]
    assert math.isfinite(max(errors))
    assert min(errors) < 0.9 * errors[0]


@pytest.mark.parametrize('gain, kept', [(0.5, False), (2.0, True)])
def test_a_little_gain_changes_nothing(gain, kept):
    record, seen = RegionRecord(sources={'a/gelu:0': ['a/linear:0']}), Statistics()
    seen.update(torch.tensor([-4.0, 2.0]))
    record.values['a/linear:0'] = seen
    errors = [2.0] * len(SHARES) + [2.0 * (1 - gain * LEAST_GAIN)]
    choose_limits(record, {'a/gelu:0': [ExactSum(error) for error in errors]})
    expected = {'a/gelu:0': SHARES[-1] * 4.0} if kept else {}
    assert record.function_limits == expected


def test_limits_are_part_of_the_record():
    record = RegionRecord(function_limits={'a/gelu:0': 0.5})
    state = record.state_dict()
    assert RegionRecord.from_state_dict(state) == record
    del state['function_limits']  # as of version 0.2
    assert RegionRecord.from_state_dict(state) == RegionRecord()
    other = RegionRecord(function_limits={'b/gelu:0': 0.25})
    record.merge(other)
    assert record.function_limits == {'a/gelu:0': 0.5, 'b/gelu:0': 0.25}


def test_a_limit_is_a_magnitude_and_outlives_other_statistics():
    net, batches = Net(Chain()).eval(), [rows(8, 16)]
    cfg = settings(LITERAL, gelu=8)
    records, plans = assigned(net, cfg, batches)
    record = records['backbone']
    record.function_limits['/gelu:0'] = 0.25
    first = assigned_again(cfg, records, plans)['backbone']
    record.values['first/linear:0'].update(torch.tensor([-50.0, 50.0]))
    second = assigned_again(cfg, records, plans)['backbone']
    bounds = [p.sites['first/linear:0'].output for p in (first, second)]
    assert [q.bound * q.scale for q in bounds] == pytest.approx([0.25] * 2, rel=0.01)
