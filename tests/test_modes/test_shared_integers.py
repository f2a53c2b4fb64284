"""Integers from region to region."""

import gc

import pytest
import torch
from region_models import config, rows, same, spread
from torch import nn

from iptq_mm.calibration import assign, freeze_regions, observe
from iptq_mm.calibration.phases.analyse import analyse
from iptq_mm.calibration.region_order import producers_first
from iptq_mm.intmath import QParams
from iptq_mm.modes import regions_in, shared_integers
from iptq_mm.modes.shared_integers import integers_for_consumer, share_integers
from iptq_mm.program import Session, use_backend
from iptq_mm.record import RegionRecord

Q = QParams(0.25, -127, 127)


def handed(real: torch.Tensor) -> torch.Tensor:
    return share_integers(real, (real / Q.scale).to(torch.int8), Q)


def test_the_same_tensor():
    x = handed(torch.tensor([1.0, -2.0]))
    assert integers_for_consumer(x, Q).tolist() == [4, -8]
    assert torch.equal(integers_for_consumer(x, Q), Q.quantize(x))


def test_other_scale_other_range_other_tensor():
    x = handed(torch.tensor([1.0]))
    assert integers_for_consumer(x, QParams(0.5, -127, 127)) is None
    assert integers_for_consumer(x, QParams(0.25, -7, 7)) is None
    assert integers_for_consumer(x.clone(), Q) is None
    assert integers_for_consumer(x + 0, Q) is None


def test_changed_by_the_model():
    x = handed(torch.tensor([1.0]))
    x.mul_(2)
    assert integers_for_consumer(x, Q) is None


def test_nothing_is_kept():
    x = handed(torch.tensor([1.0]))
    count = len(shared_integers._shared)
    del x
    gc.collect()
    assert len(shared_integers._shared) < count


def test_another_tensor_at_the_same_place():
    """Identities are those of tensors that live: nobody inherits integers."""
    for _ in range(100):
        x = handed(torch.tensor([1.0]))
        del x
        other = torch.tensor([3.0])
        assert integers_for_consumer(other, Q) is None
    # Even if nothing had taken notice of the end of the first one.
    x = handed(torch.tensor([1.0]))
    key, kept = id(other), shared_integers._shared[id(x)]
    shared_integers._shared[key] = kept
    assert integers_for_consumer(other, Q) is None
    del shared_integers._shared[key]


class First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x):
        return self.norm(self.fc(x)), self.fc(x)


class Second(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(8, 4), nn.LayerNorm(8)

    def forward(self, pair):
        return self.fc(pair[0]), self.norm(pair[1])


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        # In the other order: who gives has to be planned first.
        self.head, self.backbone = Second(), First()

    def forward(self, x, between=lambda pair: pair):
        return self.head(between(self.backbone(x)))


@pytest.fixture
def chain():
    model = spread(Chain())
    cfg = config(regions=['head', 'backbone'])
    batches = [rows(seed=s) for s in range(3)]
    records = observe(model, cfg, model, batches)
    analyse(model, cfg, records, model, batches)
    plans = assign(model, cfg, records)
    freeze_regions(model, cfg, plans)
    return model, plans


def test_plans_agree(chain):
    model, plans = chain
    assert list(plans) == ['head', 'backbone']
    backbone, head = plans['backbone'], plans['head']
    assert head.inputs['input:0'] == backbone.sites['norm/layer_norm:0'].output
    assert head.inputs['input:1'] == backbone.sites['fc/linear:1'].output
    # What wants eight bits requantizes.
    assert head.sites['fc/linear:0'].inputs[0].bits == 8


@pytest.mark.parametrize('backend', [None, 'reference'])
@torch.no_grad()
def test_no_float_between(chain, backend, monkeypatch):
    model, _ = chain
    x = rows(seed=7)
    expected = model(x, lambda pair: tuple(t.clone() for t in pair))  # floats
    use_backend(model, backend)
    if backend:
        model(x)  # programs are made
    quantized = []
    original = QParams.quantize

    def quantize(self, value):
        quantized.append(value)
        return original(self, value)

    monkeypatch.setattr(QParams, 'quantize', quantize)
    found = model(x)
    assert same(found, expected)
    assert len(quantized) == 1 and quantized[0] is x
    sessions = [region.session for region in regions_in(model).values()]
    assert all(isinstance(s, Session) == bool(backend) for s in sessions)


def test_order():
    def record(*givers):
        return RegionRecord(producers={f'input:{i}': g for i, g in enumerate(givers)})

    records = {
        'c': record(('b', 'x'), None),
        'b': record(('a', 'x'), ('b', 'y')),
        'a': record(None),
        'd': record(('e', 'x')),
        'e': record(('d', 'x')),
    }
    order = [name for name, _ in producers_first(records)]
    assert order.index('a') < order.index('b') < order.index('c')
    assert sorted(order) == sorted(records)


def test_inputs_from_several_places():
    record = RegionRecord()
    record.see_input('input:0', ('a', 'x'))
    record.see_input('input:0', ('a', 'x'))
    assert record.producers == {'input:0': ('a', 'x')}
    other = RegionRecord(producers={'input:0': ('a', 'y')})
    record.merge(other)
    assert record.producers == {'input:0': None}
    again = RegionRecord.from_state_dict(record.state_dict())
    assert again.producers == record.producers
