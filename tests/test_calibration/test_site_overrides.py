"""Overrides at the sites of a model."""

import copy

import pytest
import torch
from region_models import (
    SEVERAL,
    Net,
    calibrated,
    config,
    images,
    integer_mode,
    quantized,
    vit,
)
from torch import nn

from iptq_mm.calibration import ConfigError, check_effects, check_patterns
from iptq_mm.calibration.site_overrides import SiteOverrides
from iptq_mm.program import use_backend
from iptq_mm.record import RegionRecord


@pytest.fixture(scope='module')
def backbone():
    return vit(dims=16, size=16)


@pytest.fixture(scope='module')
def batches():
    return [images(2, 3, 16, 16, seed=s) for s in range(2)]


@pytest.fixture(scope='module')
def record(backbone, batches):
    return calibrated(backbone, batches, config(SEVERAL))[2]


def plan_with(backbone, batches, *overrides, **options):
    cfg = config(SEVERAL, overrides=list(overrides), **options)
    return calibrated(backbone, batches, cfg)[1]


def test_bits_of_weights_by_path_class_and_site(backbone, batches):
    plan = plan_with(
        backbone,
        batches,
        dict(where=r'backbone\.layers\.0', weight=dict(bits=4)),
        dict(where='Conv2d', weight=dict(bits=6)),
        dict(where=r'.*layers\.1\.attn\.qkv/linear:0', weight=dict(bits=3)),
    )
    bits = {n: p.bits for n, p in plan.parameters.items() if p.role == 'weight'}
    assert bits.pop('patch_embed.projection.weight') == 6
    assert bits.pop('layers.1.attn.qkv.weight') == 3
    assert bits and all(b == (4 if '.0.' in n[:9] else 8) for n, b in bits.items())


def test_of_two_overrides_the_later_counts(backbone, batches):
    plan = plan_with(
        backbone,
        batches,
        dict(where='.*', weight=dict(bits=4)),
        dict(where=r'.*\.qkv', weight=dict(bits=8)),
        dict(where=r'.*layers\.1\.attn.*', weight=dict(bits=5)),
    )
    assert plan.parameters['layers.0.attn.qkv.weight'].bits == 8
    assert plan.parameters['layers.1.attn.qkv.weight'].bits == 5
    assert plan.parameters['layers.1.ffn.layers.1.weight'].bits == 4


def test_groups_of_weights(backbone, batches):
    plan = plan_with(
        backbone,
        batches,
        dict(where=r'backbone\.layers\.0', weight=dict(group=8)),
        dict(where=r'.*layers\.1\.attn\.qkv/linear:0', weight=dict(bits=3, group=0)),
        dict(where=r'.*layers\.1\.ffn.*', weight=dict(bits=8)),
        weight=dict(bits=4, group=4),
    )
    found = {n: (p.bits, p.group) for n, p in plan.parameters.items()}
    assert found['layers.0.attn.qkv.weight'] == (4, 8)
    assert found['layers.1.attn.qkv.weight'] == (3, 0)
    assert found['layers.1.attn.proj.weight'] == (4, 4)
    assert found['layers.1.ffn.layers.1.weight'] == (8, 0)


def test_bits_of_activations(backbone, batches):
    plan = plan_with(
        backbone,
        batches,
        dict(where=r'backbone\.layers\.0\.attn', activation=dict(bits=4)),
        dict(where=r'backbone\.layers\.0\.attn\.qkv', activation=dict(bits=3)),
    )
    # Products are the only consumers of these values: they are made with those bits.
    assert plan.sites['layers.0.ln1/layer_norm:0'].output.bits == 3
    assert plan.sites['layers.0.attn.qkv/linear:0'].output.bits == 4
    assert plan.sites['layers.1.attn.qkv/linear:0'].output.bits == 8
    # Probabilities keep theirs.
    assert plan.sites['layers.0.attn/softmax:0'].output.bits == 16


def test_inputs_of_linear_layers_may_be_wide(backbone, batches):
    net = quantized(
        backbone,
        batches,
        config(
            SEVERAL,
            overrides=[
                dict(where=r'backbone\.layers\.0', activation=dict(bits=16)),
                dict(where=r'.*0\.ffn\.layers\.1', activation=dict(bits=6)),
            ],
        ),
    )
    sites = integer_mode(net).plan.sites
    # LayerNorm and attention before the layers, but not what attention takes.
    for site in ('ln1/layer_norm:0', 'attn/matmul:1', 'ln2/layer_norm:0'):
        assert sites[f'layers.0.{site}'].output.bits == 16
        assert sites[f'layers.1.{site}'].output.bits == 8
    assert sites['layers.0.attn.qkv/linear:0'].output.bits == 8
    assert sites['layers.0.ffn.layers.0.1/gelu:0'].output.bits == 6
    with torch.no_grad():
        expected = net(batches[0])
        for backend in ('reference', 'native'):
            use_backend(net, backend)
            assert all(map(torch.equal, net(batches[0]), expected))


class Two(nn.Module):
    """Two layers of one input."""

    def __init__(self):
        super().__init__()
        self.norm, self.q, self.k = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        x = self.norm(x)
        return self.q(x) + self.k(x)


@pytest.mark.parametrize('turned', [False, True])
def test_a_wide_input_has_fewer_bits_for_another_layer(turned):
    both = [
        dict(where=r'.*\.q', activation=dict(bits=16)),
        dict(where=r'.*\.k', activation=dict(bits=4)),
    ]
    overrides = both[::-1] if turned else both
    plan = plan_with(Two(), [torch.randn(2, 3, 8) for _ in range(2)], *overrides)
    assert plan.sites['norm/layer_norm:0'].output.bits == 16
    assert [q.bits for q in plan.sites['k/linear:0'].inputs.values()] == [4]
    assert not plan.sites['q/linear:0'].inputs


def test_no_override_changes_nothing(backbone, batches):
    plain = plan_with(backbone, batches)
    same = plan_with(
        backbone,
        batches,
        dict(where='.*', weight=dict(bits=8), activation=dict(bits=8)),
    )
    assert plain.to_dict() == same.to_dict()


def test_all_sites_by_overrides_are_the_bits_of_the_config(backbone, batches):
    # A function that narrows its input to 8 bits would be under or above the bits of
    # the config, which decides about its observer.
    wide = {**SEVERAL, 'gelu': [dict(type='poly_gelu')]}
    bits = dict(weight=dict(bits=4), activation=dict(bits=6))
    whole = config(wide, **bits)
    sites = config(wide, overrides=[dict(where='.*', **bits)])
    plans = [calibrated(backbone, batches, cfg)[1] for cfg in (whole, sites)]
    assert plans[0].to_dict() == plans[1].to_dict()


def test_functions(backbone, batches):
    plan = plan_with(
        backbone,
        batches,
        dict(where=r'.*layers\.0.*', function='poly_gelu'),
        dict(where=r'.*layers\.1.*', function=dict(type='shift_gelu')),  # no candidate
        dict(where='LayerNorm', function='ivit_layernorm'),
    )
    found = {n: p.function['type'] for n, p in plan.sites.items() if p.function}
    assert found['layers.0.ffn.layers.0.1/gelu:0'] == 'poly_gelu'
    assert found['layers.1.ffn.layers.0.1/gelu:0'] == 'shift_gelu'
    assert {f for n, f in found.items() if 'layer_norm' in n} == {'ivit_layernorm'}


def test_back_ends_agree_with_mixed_bits(backbone, batches):
    cfg = config(
        SEVERAL,
        overrides=[
            dict(where=rf'.*layers\.{i}\..*{part}.*', **bits)
            for i, part, bits in (
                (0, 'attn', dict(weight=dict(bits=3), activation=dict(bits=5))),
                (1, 'attn', dict(weight=dict(bits=5), activation=dict(bits=3))),
                (0, 'ffn', dict(weight=dict(bits=6), activation=dict(bits=4))),
                (1, 'ffn', dict(weight=dict(bits=4), activation=dict(bits=6))),
            )
        ],
    )
    net = quantized(backbone, batches, cfg)
    with torch.no_grad():
        expected = net(batches[0])
        for backend in ('reference', 'native'):
            use_backend(net, backend)
            assert all(map(torch.equal, net(batches[0]), expected))
    bits = {p.bits for p in integer_mode(net).plan.parameters.values()}
    assert {3, 4, 5, 6} <= bits


def test_patterns_that_match_nothing(backbone):
    net = Net(copy.deepcopy(backbone))
    for where, hint in (
        ('backbone.layer.0', "did you mean 'backbone.layers.0'"),
        ('LayerNrom', "did you mean 'LayerNorm'"),
        ('layers.0', "'.*'"),
    ):
        cfg = config(overrides=[dict(where=where, weight=dict(bits=4))])
        with pytest.raises(ConfigError, match='matches no module') as error:
            check_patterns(net, cfg)
        assert hint in str(error.value)
    check_patterns(net, config(overrides=[dict(where='.*/gelu:0', function='i_gelu')]))


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        (dict(where='.*/gelux:0', function='i_gelu'), 'matches no module'),
        (dict(where='LayerNorm', weight=dict(bits=4)), 'no weight'),
        (dict(where='LayerNorm', activation=dict(bits=4)), 'no linear layer'),
        (dict(where='Conv2d', activation=dict(bits=16)), 'no linear layer whose input'),
        (dict(where='.*/matmul:0', activation=dict(bits=16)), 'may have 16 bits'),
        (dict(where='Linear', function='i_gelu'), 'no site of the kind'),
    ],
)
def test_overrides_without_effect(record, override, message):
    with pytest.raises(ConfigError, match=message):
        check_effects(config(SEVERAL, overrides=[override]), {'backbone': record})


def test_the_record_keeps_what_patterns_match(record):
    again = RegionRecord.from_state_dict(record.state_dict())
    assert (again.region, again.modules) == ('backbone', record.modules)
    overrides = config(overrides=[dict(where='GELU', function='table_gelu')]).overrides
    assert SiteOverrides(overrides, again).functions().keys() == {
        'layers.0.ffn.layers.0.1/gelu:0',
        'layers.1.ffn.layers.0.1/gelu:0',
    }
    old = record.state_dict()
    del old['region'], old['modules']
    assert RegionRecord.from_state_dict(old).region == ''
