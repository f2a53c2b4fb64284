"""Ranges of the model that runs the chosen functions on quantized values."""

import copy

import pytest
import torch
from recalibrated import assigned, recalibrated
from region_models import (
    FAMILIES,
    SEVERAL,
    Custom,
    Net,
    bound,
    config,
    images,
    integer_mode,
    rows,
    sqnr,
    vit,
)
from torch import nn

from iptq_mm.calibration import assigned_again, freeze_regions, passes, take_over
from iptq_mm.calibration.phases.assigned import recalibrate as phase
from iptq_mm.calibration.phases.assigned.recalibrate_mode import Recalibrating
from iptq_mm.functions import function_name
from iptq_mm.intmath import QParams
from iptq_mm.modes import regions_in
from iptq_mm.out_of_range import OutOfRangeLog
from iptq_mm.record import RegionRecord
from iptq_mm.statistics import Statistics

pytestmark = pytest.mark.usefixtures('no_grad')

#: A function that is garbage for inputs as coarse as these.
COARSE = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='table_softmax')],
    layer_norm=[dict(type='ibert_layernorm')],
)


class Chain(Custom):
    """A linear layer, a GELU, a linear layer."""

    def forward(self, x):
        return self.last(nn.functional.gelu(self.first(x)))


def frozen(net, cfg, plans):
    net = copy.deepcopy(net)
    freeze_regions(net, cfg, plans)
    return net


def outside(net, batches):
    """How many values of an integer model saturate."""
    mode = integer_mode(net)
    mode.log = OutOfRangeLog()
    for batch in batches:
        net(batch)
    return sum(
        seen.outside for name, seen in mode.log.sites.items() if name in mode.plan.sites
    )


@pytest.mark.parametrize('family', FAMILIES)
def test_the_mode_computes_what_the_integers_do(family):
    net, x = Net(FAMILIES[family]()), images(2, 3, 32, 32)
    cfg = config(SEVERAL)
    records, plans = assigned(net, cfg, [x])
    mode = Recalibrating(plans['backbone'], records['backbone'], ())
    with bound(net.backbone, mode):
        simulated = net(x)
    integers = frozen(net, cfg, plans)(x)
    assert sqnr(integers, simulated) > sqnr(integers, net(x)) + 6
    assert not mode.found.values


def test_a_garbled_function_is_simulated_to_the_bit():
    """Integers, not something like them: the float GELU is 20 dB away."""
    net, x = Net(Chain(None)), rows(8, 16)
    cfg = config(COARSE, wide=dict(gelu=8))
    records, plans = assigned(net, cfg, [x])
    integer = frozen(net, cfg, plans)
    mode = Recalibrating(plans['backbone'], records['backbone'], ())
    with bound(net.backbone, mode):
        simulated = net(x)
    assert sqnr(net(x), integer(x)) < 10
    assert sqnr(integer(x), simulated) > 30


@pytest.mark.parametrize('order', ['all', 'order'])
def test_ranges_hold_what_a_function_makes(order):
    net, batches = Net(Chain(None)), [rows(8, 16, seed=s) for s in range(3)]
    cfg = config(
        COARSE, wide=dict(gelu=8), activation=dict(observer={'type': 'minmax'})
    )
    records, plans = assigned(net, cfg, batches)
    new, better = recalibrated(net, cfg, records, plans, batches, order)
    before = outside(frozen(net, cfg, plans), batches)
    after = outside(frozen(net, cfg, better), batches)
    assert before > 50 and after < before / 10
    seen, old = new['backbone'].values, records['backbone'].values
    assert seen['/gelu:0'].maximum > 1.1 * old['/gelu:0'].maximum
    # The image itself is the same.
    assert seen['input:0'].state_dict()['minimum'] == old['input:0'].minimum


def test_values_are_observed_before_they_saturate():
    net, x = Net(Chain(None)), rows(8, 16)
    cfg = config()
    records, plans = assigned(net, cfg, [x])
    plans['backbone'].sites['first/linear:0'].output = QParams(0.01, -8, 7)
    values = frozenset(records['backbone'].operations)
    found = phase.recalibrate(net, records, plans, net, [x], {'backbone': values})[
        'backbone'
    ].values
    assert found['first/linear:0'].maximum > 1
    assert found['/gelu:0'].maximum < 0.1


def test_constants_are_those_of_the_new_ranges():
    candidates = {**COARSE, 'gelu': [dict(type='poly_gelu')]}
    net, batches = Net(vit()), [images(2, 3, 32, 32, seed=s) for s in range(2)]
    cfg = config(candidates, wide=dict(gelu=8, softmax=8))
    records, plans = assigned(net, cfg, batches)
    # As if the float model had shown other ranges.
    for site, kind in records['backbone'].operations.items():
        if kind in ('linear', 'matmul'):
            records['backbone'].values[site].update(torch.tensor([-9.0, 9.0]))
    plans = assigned_again(cfg, records, plans)
    new, again = recalibrated(net, cfg, records, plans, batches)
    seen = frozen(net, cfg, again)
    seen(batches[0])
    record, sites = new['backbone'], again['backbone'].sites
    checked = 0
    for site, plan in sites.items():
        if plan.function and plan.operation != 'layer_norm':
            source = sites[record.sources[site][0]].output
            # The plan of the old ranges would leave the constants to run time, where
            # nothing is known of the data.
            arrived = plan.inputs.get(0, source)
            assert plan.constants_for(arrived) or plan.operation == 'softmax'
            kept = record.constants[site][function_name(plan.function)]
            assert kept['constants'] == plan.constants
            assert plan.made_for == QParams.from_dict(kept['input'])
            assert plan.made_for.scale != plans['backbone'].sites[site].made_for.scale
            checked += 1
    assert checked == 4


def test_functions_and_parameters_stay():
    net, batches = Net(vit()), [images(2, 3, 32, 32)]
    cfg = config(SEVERAL)
    records, plans = assigned(net, cfg, batches)
    _, again = recalibrated(net, cfg, records, plans, batches)
    before, after = plans['backbone'], again['backbone']
    assert before.parameters == after.parameters
    for site, plan in before.sites.items():
        assert after.sites[site].function == plan.function


def test_in_order_every_value_is_observed_once():
    records, _ = assigned(Net(vit()), config(), [images(2, 3, 32, 32)])
    parts = passes(records, 'order')
    assert 1 < len(parts) <= phase.MOST_PASSES
    everything = [v for part in parts for v in part['backbone']]
    assert len(everything) == len(set(everything))
    assert set(everything) == records['backbone'].values.keys()
    (whole,) = passes(records, 'all')
    assert whole['backbone'] == set(everything)
    order = [*records['backbone'].operations]
    last = [max(order.index(v) for v in p['backbone'] if v in order) for p in parts]
    assert last == sorted(last) and 'input:0' in parts[0]['backbone']


def test_in_order_sites_get_the_new_ranges_of_those_before(monkeypatch):
    """A range that is far too small spoils what comes after it, in one pass."""
    monkeypatch.setattr(phase, 'MOST_PASSES', 100)
    net, x = Net(Chain(None)), rows(8, 16)
    cfg = config(activation=dict(observer={'type': 'minmax'}))
    records, _ = assigned(net, cfg, [x])
    record, small = records['backbone'], Statistics()
    small.update(torch.tensor([-0.01, 0.01]))
    last = record.values['last/linear:0'].maximum
    record.values['first/linear:0'] = small
    plans = assigned(net, cfg, [x])[1]
    plans = assigned_again(cfg, records, plans)
    at_once, _ = recalibrated(net, cfg, records, plans, [x], 'all')
    one_by_one, _ = recalibrated(net, cfg, records, plans, [x], 'order')
    assert at_once['backbone'].values['last/linear:0'].maximum < 0.7 * last
    assert one_by_one['backbone'].values['last/linear:0'].maximum > 0.95 * last


def test_what_never_came_keeps_its_statistics():
    seen, other = Statistics(), Statistics()
    seen.update(torch.tensor([1.0]))
    records = {'head': RegionRecord(values={'a': seen, 'b': seen})}
    found = {'head': RegionRecord(values={'a': other})}  # a call without boxes
    take_over(records, found)
    assert records['head'].values['a'] is seen
    other.update(torch.tensor([2.0]))
    take_over(records, found)
    assert records['head'].values == {'a': other, 'b': seen}


def test_regions_that_feed_regions():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = Chain(None), nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.backbone(x))

    net, batches = Two().eval(), [rows(8, 16, seed=s) for s in range(2)]
    cfg = config(COARSE, regions=['head', 'backbone'], wide=dict(gelu=8))
    records, plans = assigned(net, cfg, batches)
    for order in ('all', 'order'):
        _, again = recalibrated(net, cfg, records, plans, batches, order)
        made = again['backbone'].sites['last/linear:0'].output
        assert again['head'].inputs['input:0'] == made
        assert made != plans['backbone'].sites['last/linear:0'].output
        integer = frozen(net, cfg, again)
        integer(batches[0])
        assert sorted(regions_in(integer)) == ['backbone', 'head']


def test_a_function_that_cannot_serve_the_new_ranges():
    net, x = Net(Chain(None)), rows(8, 16)
    cfg = config()
    records, plans = assigned(net, cfg, [x])
    plans['backbone'].sites['/gelu:0'].function = dict(type='poly_gelu')
    plans['backbone'].sites['/gelu:0'].output = QParams(1e-30, -127, 127)
    with pytest.raises(OverflowError, match="site '/gelu:0'.*poly_gelu.*recalibrate"):
        phase.recalibrate(net, records, plans, net, [x])


def test_a_range_that_was_searched_stays_where_it_is():
    before, after = Statistics(), Statistics()
    before.update(torch.tensor([-1.0, 2.0]))
    after.update(torch.tensor([-8.0, 1.0]))
    record = RegionRecord(values={'a': before, 'b': before}, clipping={'a': 0.5})
    take_over({'r': record}, {'r': RegionRecord(values={'a': after, 'b': after})})
    assert record.clipping == {'a': 0.5 * 2 / 8}  # 1.0 before and now
