"""The record: merged, it is the record of one pass, and so is the plan."""

import io

import pytest
import torch
from region_models import (
    SEVERAL,
    Custom,
    Net,
    config,
    deit,
    images,
    mmdet_swin,
    rows,
)

from iptq_mm.calibration import analyse, assign, observe
from iptq_mm.record import RegionRecord


def observed(net, cfg, batches):
    return observe(net, cfg, net, batches)


def planned(net, cfg, records):
    return assign(net, cfg, records)['backbone'].to_dict()


@pytest.mark.parametrize('make', [deit, mmdet_swin], ids=['deit', 'mmdet_swin'])
@pytest.mark.parametrize('observer', ['percentile', 'mse', 'ema', 'minmax'])
def test_merged_ranges_are_those_of_one_pass(make, observer):
    net, batches = Net(make()), [images(2, 3, 32, 32, seed=s) for s in range(4)]
    cfg = config(SEVERAL, activation=dict(observer=dict(type=observer)))
    one = observed(net, cfg, batches)
    parts = [observed(net, cfg, part) for part in (batches[:1], batches[1:])]
    parts[0]['backbone'].merge(parts[1]['backbone'])
    for records in (one, parts[0]):
        analyse(net, cfg, records, net, batches)
    assert planned(net, cfg, one) == planned(net, cfg, parts[0])


def test_merged_analysis_is_that_of_one_pass():
    net, cfg = Net(deit()), config(SEVERAL)
    batches = [images(2, 3, 32, 32, seed=s) for s in range(3)]
    one, first, second = (observed(net, cfg, batches) for _ in range(3))
    analyse(net, cfg, one, net, batches)
    analyse(net, cfg, first, net, batches[:1])
    analyse(net, cfg, second, net, batches[1:])
    candidates = RegionRecord(
        candidates=second['backbone'].candidates, constants=second['backbone'].constants
    )
    first['backbone'].merge(candidates)
    assert planned(net, cfg, one) == planned(net, cfg, first)
    for site, errors in one['backbone'].candidates.items():
        for name, error in errors.items():
            other = first['backbone'].candidates[site][name]
            assert other.images == error.images and other.elements == error.elements
            assert other.error == pytest.approx(error.error, rel=1e-12)


def test_a_rank_without_analysis_images_gets_the_constants_of_another():
    net, cfg = Net(deit()), config(SEVERAL)
    batches = [images(2, 3, 32, 32)]
    with_images, without = (observed(net, cfg, batches) for _ in range(2))
    analyse(net, cfg, with_images, net, batches)
    analyse(net, cfg, without, net, [])
    other = with_images['backbone']
    without['backbone'].merge(
        RegionRecord(candidates=other.candidates, constants=other.constants)
    )
    assert planned(net, cfg, without) == planned(net, cfg, with_images)


def test_the_constants_for_the_widest_input_are_kept():
    record, other = RegionRecord(), RegionRecord()
    made = [
        dict(input=dict(scale=1.0, qmin=low, qmax=9), constants={'low': low})
        for low in (-9, -900, -90)
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        record, other = RegionRecord(), RegionRecord()
        record.keep_constants('s', 'f', made[order[0]])
        for i in order[1:]:
            other.keep_constants('s', 'f', made[i])
        record.merge(other)
        assert record.constants['s']['f']['constants'] == {'low': -900}


def test_state_dict_round_trip():
    net, cfg = Net(deit()), config(SEVERAL)
    batches = [images(2, 3, 32, 32)]
    records = observed(net, cfg, batches)
    analyse(net, cfg, records, net, batches)
    file = io.BytesIO()
    torch.save(records['backbone'].state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = {'backbone': RegionRecord.from_state_dict(state)}
    assert planned(net, cfg, again) == planned(net, cfg, records)
    assert again['backbone'].refused == records['backbone'].refused
    observe_again = RegionRecord.from_state_dict(state)
    observe_again.merge(again['backbone'])
    name = next(iter(observe_again.values))
    assert (
        observe_again.values[name].count == 2 * records['backbone'].values[name].count
    )


def test_size_does_not_grow_with_images():
    net, cfg = Net(Custom(lambda self, x: self.last(x))), config()
    few, many = (observed(net, cfg, [rows(seed=0)] * n) for n in (1, 20))

    def size(records):
        file = io.BytesIO()
        state = records['backbone'].state_dict()
        for value in state['values'].values():
            value['extremes'] = None  # a pair of numbers a batch
        torch.save(state, file)
        return len(file.getvalue())

    assert abs(size(many) - size(few)) < 1000  # larger counts take more digits


def test_consumers():
    net, cfg = Net(Custom(lambda self, x: (self.last(x) + x) @ x.mT)), config()
    record = observed(net, cfg, [rows()])['backbone']
    assert record.consumers() == {
        'input:0': [('first/linear:0', 0)],
        'first/linear:0': [('norm/layer_norm:0', 0)],
        'norm/layer_norm:0': [
            ('last/linear:0', 0),
            ('/add:0', 1),
            ('/matmul:0', 1),
        ],
        'last/linear:0': [('/add:0', 0)],
        '/add:0': [('/matmul:0', 0)],
        '/matmul:0': [],
    }
