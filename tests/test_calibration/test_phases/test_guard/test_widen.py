"""Inputs of linear layers whose 8 bits cost too much have 16, and only those."""

import math

import pytest
import torch
from region_models import Net, config, rows, spread
from torch import nn

from iptq_mm.calibration import (
    analyse,
    assign,
    calls_of,
    freeze_regions,
    observe,
    widen,
)
from iptq_mm.calibration.phases.guard import widen as widening
from iptq_mm.calibration.phases.guard.widen import widenable
from iptq_mm.program import use_backend
from iptq_mm.program.audit import audit_model
from iptq_mm.record import RegionRecord

HARD, EASY = 'hard/layer_norm:0', 'easy/layer_norm:0'


class Massive(nn.Module):
    """Two LayerNorms ahead of linear layers; one has a channel that nobody needs."""

    def __init__(self, largest: float = 300.0) -> None:
        super().__init__()
        self.easy, self.hard = nn.LayerNorm(16), nn.LayerNorm(16)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        spread(self)
        with torch.no_grad():
            self.hard.weight[3] = largest
            self.second.weight[:, 3] = 0

    def forward(self, x):
        x = x + self.first(self.easy(x))
        return x + self.second(self.hard(x))


def batches(seed=0):
    return [rows(2, 16, seed=seed + i).repeat(1, 1, 2) for i in range(6)]


def found(module, least_db=22.0, **given):
    net = Net(module).eval()
    cfg = config(activation={'bits': 8, 'least_db': least_db}, **given)
    records = observe(net, cfg, net, batches())
    with torch.no_grad():
        held = calls_of(net, records, net, batches())
        return net, cfg, records, widen(net, cfg, records, held)['backbone']


def test_only_what_costs_most_is_widened():
    net, cfg, records, done = found(Massive())
    assert done.values == [HARD] == records['backbone'].widened
    assert done.before < 15 and done.after >= 22
    x = torch.cat(batches(seed=100))
    expected = net(x).detach()
    analyse(net, cfg, records, net, batches())
    plans = assign(net, cfg, records)
    sites = plans['backbone'].sites
    assert sites[HARD].output.bits == 16 and sites[EASY].output.bits == 8
    # Like all wide values, it has the range of what was seen, around 0.
    assert sites[HARD].output.qmin == -sites[HARD].output.qmax
    freeze_regions(net, cfg, plans)
    with torch.no_grad():
        integers = net(x)
        error = (integers - expected).square().sum() / expected.square().sum()
        assert 10 * torch.log10(1 / error) > 20
        assert audit_model(net, lambda: net(x)).holds
        for backend in ('reference', 'native', 'onnx'):
            use_backend(net, backend)
            assert torch.equal(net(x), integers)


def test_nothing_is_widened_where_8_bits_do():
    _, _, records, done = found(Massive(largest=1.0))
    assert done.before > 22 and done.values == [] == records['backbone'].widened
    assert done.after == done.before


def test_without_it_nothing_changes():
    """The plan of a record is the one that it has without the phase."""
    net, cfg, records, _ = found(Massive(), least_db=0.0)
    plain = config(activation={'bits': 8})
    assert 'dB' not in plain.described() and 'dB' in cfg.described()
    others = observe(net, plain, net, batches())
    analyse(net, cfg, records, net, batches())
    analyse(net, plain, others, net, batches())
    assert assign(net, cfg, records) == assign(net, plain, others)


def test_values_need_not_make_up_for_others():
    """What an override gives bits stays, however bad the outputs are."""
    narrow = [dict(where=r'backbone\.second', activation=dict(bits=4))]
    net, cfg, records, done = found(Massive(), overrides=narrow)
    assert widenable(records['backbone'], cfg) == [EASY]
    assert done.before < 10 and done.values == []


def test_only_inputs_of_linear_layers_are_widened():
    record = RegionRecord(
        operations={'a': 'layer_norm', 'b': 'linear', 'c': 'conv2d', 'd': 'matmul'},
        sources={
            'a': ['input:0'],
            'b': ['a', 'parameter:w'],
            'c': ['b', 'parameter:v'],
            'd': ['b', 'a'],
        },
    )
    for name in ('input:0', 'a', 'b', 'c', 'd'):
        record.see_value(name, torch.ones(2))
    cfg = config(activation={'least_db': 20.0})
    assert widenable(record, cfg) == []  # a is an operand of a product of values, too
    record.sources['d'] = ['b', 'b']
    assert widenable(record, cfg) == ['a']
    record.producers['a'] = ('neck', 'x')
    assert widenable(record, cfg) == []


def test_what_spoils_an_output_is_widened_first(monkeypatch):
    """Its cost is infinite, which no sum tells: what is left is measured."""
    errors = {(): math.inf, ('a',): 1e-5, ('b',): math.inf, ('a', 'b'): 1e-6}
    search = object.__new__(widening._Search)
    search.config, search.values = config(activation={'least_db': 20.0}), ['a', 'b']
    monkeypatch.setattr(search, '_called', lambda: True, raising=False)
    monkeypatch.setattr(search, '_error', lambda v: errors[tuple(sorted(v))])
    monkeypatch.setattr(search, '_costs', lambda: {'a': math.inf, 'b': 1e-3})
    assert search.choose().values == ['a']


@pytest.mark.parametrize(('after_two', 'taken'), [(4e-3, 2), (9e-3, 8)])
def test_costs_may_add_up_to_too_little(after_two, taken, monkeypatch):
    """By their sum all eight would not do; two are enough if they clearly are."""
    values = [*'abcdefgh']
    search = object.__new__(widening._Search)
    search.config, search.values = config(activation={'least_db': 20.0}), values
    monkeypatch.setattr(search, '_called', lambda: True, raising=False)
    errors = [0.1, 0.05, after_two, 8e-3, 7.5e-3, 7e-3, 6.5e-3, 6e-3, 1e-3]
    monkeypatch.setattr(search, '_error', lambda v: errors[len(list(v))])
    costs = {value: 1e-2 - 1e-4 * i for i, value in enumerate(values)}
    monkeypatch.setattr(search, '_costs', lambda: costs)
    assert search.choose().values == values[:taken]


@pytest.mark.parametrize(
    ('clear_after', 'taken'), [(1, 1), (2, 2), (3, 3), (5, 5), (6, 6), (8, 8), (9, 8)]
)
def test_between_too_few_and_enough_it_is_measured_by_halves(
    clear_after, taken, monkeypatch
):
    """All eight would do by their sum; fewer that clearly do are found."""
    values = [*'abcdefgh']
    search = object.__new__(widening._Search)
    search.config, search.values = config(activation={'least_db': 20.0}), values
    monkeypatch.setattr(search, '_called', lambda: True, raising=False)
    errors = [0.1, *(4e-3 if n >= clear_after else 8e-3 for n in range(1, 8)), 4e-3]
    measured = []

    def error(found):
        measured.append(len(list(found)))
        return errors[measured[-1]]

    monkeypatch.setattr(search, '_error', error)
    costs = {value: 1.25e-2 - 1e-5 * i for i, value in enumerate(values)}
    monkeypatch.setattr(search, '_costs', lambda: costs)
    assert search.choose().values == values[:taken]
    assert len(measured) <= 10


def test_a_region_that_no_image_calls(monkeypatch):
    search = object.__new__(widening._Search)
    search.config = config(activation={'least_db': 20.0})
    monkeypatch.setattr(search, '_called', lambda: False, raising=False)
    assert search.choose() == widening.Widened(None, None)


def test_a_record_keeps_it():
    _, _, records, _ = found(Massive())
    record = records['backbone']
    again = RegionRecord.from_state_dict(record.state_dict())
    assert again.widened == record.widened == [HARD]
    state = record.state_dict()
    del state['widened']  # of an older version
    assert RegionRecord.from_state_dict(state).widened == []


@pytest.mark.parametrize('wrong', [-1.0, 100.0])
def test_a_ratio_has_limits(wrong):
    with pytest.raises(ValueError, match='least_db'):
        config(activation={'least_db': wrong})
