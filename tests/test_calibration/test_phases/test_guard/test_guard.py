"""Ranges that lose on held-out images are not used."""

import copy

import pytest
import torch
from guard_cases import MASSIVE, Residual, observed, tokens
from region_models import Net, quantized, rows, spread, sqnr, vit
from torch import nn

from iptq_mm.calibration import guard
from iptq_mm.calibration.phases.guard.held_out import _relative, calls_of
from iptq_mm.calibration.phases.guard.mode import Ranged
from iptq_mm.calibration.phases.guard.settings import Settings
from iptq_mm.calibration.planner import Planner
from iptq_mm.modes.base import FloatMode

CLIPPING = dict(type='percentile', percentile=99.0)
CALIBRATING = [tokens(seed) for seed in range(16)]
HELD_OUT = [tokens(seed) for seed in range(16, 24)]


def guarded(module, **given):
    net, cfg, records = observed(module, CALIBRATING, **given)
    with torch.no_grad():
        found = guard(net, cfg, records, calls_of(net, records, net, HELD_OUT))[
            'backbone'
        ]
    return net, cfg, records['backbone'], found


def test_clipping_that_harms_is_not_used():
    _, cfg, record, found = guarded(Residual(), observer=CLIPPING)
    assert found.ways['minmax'] > found.ways['as configured'] + 5
    assert found.kept >= found.ways['minmax']
    seen = record.values[MASSIVE]
    q = Planner(record, cfg).operand(MASSIVE, 8)
    assert q.qmax * q.scale == pytest.approx(seen.maximum, rel=0.05)
    assert MASSIVE in found.changed and MASSIVE in record.observers


def test_the_integers_gain():
    module = Residual()
    net, cfg, _, _ = guarded(copy.deepcopy(module), observer=CLIPPING)
    records = observed(module, CALIBRATING, observer=CLIPPING)[2]
    x = torch.cat([tokens(seed) for seed in range(30, 40)])
    with torch.no_grad():
        expected = module(x)
        plain = quantized(module, CALIBRATING, without(cfg))
        guard(net, cfg, records, calls_of(net, records, net, HELD_OUT))
        from iptq_mm.calibration import analyse, assign, freeze_regions

        analyse(net, cfg, records, net, CALIBRATING)
        freeze_regions(net, cfg, assign(net, cfg, records))
        assert sqnr(expected, net(x)) > sqnr(expected, plain(x)) + 5


def without(cfg):
    other = copy.deepcopy(cfg)
    other.activation.guard_images = 0
    return other


def test_a_limit_of_a_search_that_harms_is_not_used():
    net, cfg, records = observed(Residual(), CALIBRATING, observer=dict(type='minmax'))
    record = records['backbone']
    # To first order it costs little to clip what a LayerNorm divides by.
    record.clipping[MASSIVE] = 0.2
    with torch.no_grad():
        found = guard(net, cfg, records, calls_of(net, records, net, HELD_OUT))[
            'backbone'
        ]
    assert found.ways['minmax'] > found.ways['as configured'] + 5
    assert found.kept >= found.ways['minmax']
    assert MASSIVE not in record.clipping


def test_clipping_that_helps_stays():
    """Only at the massive value itself, of which the outputs see nothing."""
    _, _, record, found = guarded(
        Residual(harmless=True),
        observer=CLIPPING,
        bits=4,
        guard_observers=[dict(type='minmax')],
    )
    assert found.ways['as configured'] > found.ways['minmax']
    assert MASSIVE not in record.observers and found.kept >= found.ways['as configured']


def test_nothing_changes_where_nothing_gains():
    module = spread(Residual())
    batches = [rows(2, 16, seed=s).clamp(-2, 2) for s in range(8)]
    net, cfg, records = observed(module, batches, observer=dict(type='minmax'))
    with torch.no_grad():
        found = guard(net, cfg, records, calls_of(net, records, net, batches))[
            'backbone'
        ]
    assert records['backbone'].observers == {} == found.changed
    assert found.kept == found.ways['as configured']


def test_values_of_a_block_are_a_group():
    module = vit()
    x = torch.randn(2, 3, 32, 32)
    _, cfg, records = observed(module, [x])
    settings = Settings(records['backbone'], cfg, {})
    groups = settings.groups(module)
    assert {'layers.0', 'layers.1'} < set(groups)
    assert sorted(v for g in groups.values() for v in g) == sorted(settings.values)
    assert all(v.startswith('layers.0.') for v in groups['layers.0'])
    assert len(groups['layers.0']) > 3


def test_floats_have_no_error_and_fewer_bits_have_more():
    net, cfg, records = observed(Residual(), CALIBRATING)
    images = calls_of(net, records, net, HELD_OUT)['backbone']
    assert not images.errors(FloatMode()).any()
    means = []
    for bits in (8, 6, 4):
        cfg.activation.bits = bits
        plan = Planner(records['backbone'], cfg).plan('')
        errors = images.errors(Ranged(plan))
        assert len(errors) == 16  # images
        means.append(float(errors.mean()))
    assert means[0] * 4 < means[1] and means[1] * 4 < means[2]


def test_calls_are_copies_and_hooks_are_gone():
    class Spoiling(Net):
        def forward(self, x):
            y = self.backbone(x)
            x.zero_()
            return y

    module = Residual()
    net, cfg, records = observed(module, CALIBRATING[:1])
    del net
    spoiling = Spoiling(module).eval()
    batches = [b.clone() for b in HELD_OUT]
    found = calls_of(spoiling, records, spoiling, batches)['backbone']
    assert all(
        torch.equal(call.arguments[0][0], x)
        for call, x in zip(found.calls, HELD_OUT, strict=True)
    )
    assert not module._forward_pre_hooks


@pytest.mark.parametrize(
    ('real', 'made', 'images', 'expected'),
    [
        (torch.tensor([[3.0], [4.0]]), torch.tensor([[3.0], [2.0]]), 2, [0.0, 0.25]),
        (torch.tensor([[3.0], [4.0]]), torch.tensor([[3.0], [4.0]]), 3, [0.0]),
        (torch.tensor([[0.0], [4.0]]), torch.tensor([[3.0], [4.0]]), 2, [0.0]),
        (torch.ones(2, 1), torch.ones(3, 1), 2, [torch.inf] * 2),
        (torch.ones(2, 1), torch.tensor([[torch.nan], [1.0]]), 2, [torch.inf, 0.0]),
    ],
)
def test_errors_by_image(real, made, images, expected):
    assert _relative(real, made, images).tolist() == expected


def test_the_model_is_as_before():
    module = Residual()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    net, *_ = guarded(module, observer=CLIPPING)
    assert all(torch.equal(v, before[k]) for k, v in net.backbone.state_dict().items())
    assert type(net.backbone) is Residual and isinstance(net.backbone, nn.Module)
