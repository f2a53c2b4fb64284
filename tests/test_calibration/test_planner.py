"""Bits, ranges and functions of the sites of a plan."""

import pytest
import torch
from region_models import CANDIDATES, SEVERAL, Custom, attempt, calibrated, config, rows
from torch import nn
from torch.nn import functional as F

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.phases.assign import choose_functions
from iptq_mm.intmath import QParams


def transformer(self, x):
    """A block: attention and two layers, with residuals."""
    q, k, v = self.qkv(x).chunk(3, -1)
    x = x + self.last((q @ k.mT * 0.25).softmax(-1) @ v)
    return x + self.second(F.gelu(self.inner(self.norm(x))))


PARTS = dict(qkv=nn.Linear(16, 48), inner=nn.Linear(16, 32), second=nn.Linear(32, 16))


def planned(cfg=None, body=transformer, **parts):
    batches = [rows(seed=s) for s in range(3)]
    with torch.no_grad():
        return calibrated(Custom(body, **(parts or PARTS)), batches, cfg)[1]


def bits(plan):
    return {site: p.output.bits for site, p in plan.sites.items()}


def test_bits_follow_what_a_value_is_used_for():
    plan = planned()
    assert plan.inputs['input:0'].bits == 8
    assert bits(plan) == {
        'first/linear:0': 16,  # into a LayerNorm
        'norm/layer_norm:0': 16,  # a residual, too
        'qkv/linear:0': 8,  # products alone
        '/matmul:0': 16,  # into Softmax
        '/softmax:0': 16,
        '/matmul:1': 8,
        'last/linear:0': 16,
        '/add:0': 16,
        'norm/layer_norm:1': 8,
        'inner/linear:0': 8,  # GELU's table takes 8 bits
        '/gelu:0': 8,
        'second/linear:0': 16,
        '/add:1': 16,  # leaves the region
    }
    narrowed = {
        s: {i: q.bits for i, q in p.inputs.items()} for s, p in plan.sites.items()
    }
    assert {s: i for s, i in narrowed.items() if i} == {'qkv/linear:0': {0: 8}}


def test_a_function_of_wide_inputs_gets_them():
    plan = planned(config({**CANDIDATES, 'gelu': [dict(type='shift_gelu')]}))
    assert bits(plan)['inner/linear:0'] == 16


def test_ranges_are_asymmetric_where_a_zero_point_costs_nothing():
    plan = planned()
    outputs = {s: p.output for s, p in plan.sites.items()}
    assert outputs['/gelu:0'].qmin > -127 < outputs['/gelu:0'].qmax - 127
    assert outputs['/softmax:0'].qmin == 0
    assert outputs['/matmul:0'].qmin == -outputs['/matmul:0'].qmax
    assert outputs['qkv/linear:0'].qmin == -127  # also an operand of matmul
    symmetric = planned(config(activation=dict(symmetric=True)))
    for site, p in symmetric.sites.items():
        q = p.output
        assert q.qmin == -q.qmax or site == '/softmax:0', site


def test_other_bits():
    plan = planned(
        config(
            weight=dict(bits=4),
            activation=dict(bits=6),
            wide=dict(bits=12, attention=8),
        )
    )
    found = bits(plan)
    assert found['qkv/linear:0'] == 6 and found['/add:0'] == 12
    assert found['/softmax:0'] == 8
    assert plan.parameters['qkv.weight'].bits == 4
    assert plan.parameters['qkv.bias'].bits == 24


def test_a_value_that_was_always_zero_has_an_ordinary_scale():
    plan = planned(body=lambda self, x: self.last(x - x), x=nn.Identity())
    assert plan.sites['/add:0'].output == QParams.asymmetric(0.0, 1.0, 8)
    assert attempt(lambda self, x: self.last(x - x) + x) > 25


def test_every_nonlinear_site_gets_a_candidate():
    plan = planned(config(SEVERAL))
    for site, p in plan.sites.items():
        kinds = [c['type'] for c in SEVERAL.get(p.operation, [])]
        assert (p.function['type'] in kinds) if kinds else p.function is None, site


def test_no_candidate_can_serve():
    class Wide(Custom):
        def forward(self, x):
            return super().forward(x) + self.norm(self.first(x) + 9.0)

    with (
        torch.no_grad(),
        pytest.raises(
            ConfigError, match=r"'norm/layer_norm:1': none of the cand.*bits"
        ),
    ):
        calibrated(Wide(lambda self, x: x), [rows()])


def test_the_criterion_decides():
    def chosen(**options):
        with torch.no_grad():
            _, _, record = calibrated(
                Custom(transformer, **PARTS), [rows()], config(SEVERAL)
            )
        return choose_functions(record, config(SEVERAL, **options))

    names = dict(gelu='i_gelu', softmax='shiftmax', layer_norm='ivit_layernorm')
    first = chosen(criterion=dict(type='fixed', names=names))
    assert set(first.values()) == set(names.values())
    assert chosen(criterion=dict(type='cost')).keys() == first.keys()


def test_roles_of_parameters():
    def body(self, x):
        x = x * self.scale + self.p
        return self.last(x) + self.last.bias + self.norm(x)

    scale = nn.Parameter(torch.ones(16))
    plan = planned(body=body, scale=scale, unused=nn.Linear(3, 3))
    roles = {n: (p.role, p.bits) for n, p in plan.parameters.items()}
    assert roles == {
        'first.weight': ('weight', 8),
        'first.bias': ('bias', 24),
        'norm.weight': ('norm', 24),
        'norm.bias': ('norm', 24),
        'last.weight': ('weight', 8),
        'last.bias': ('bias', 24),  # the wider one of two roles
        'p': ('table', 16),
        'scale': ('table', 16),
        'unused.weight': ('table', 16),
        'unused.bias': ('table', 16),
    }
    assert len(plan.parameters['first.weight'].scale) == 16
    assert isinstance(plan.parameters['p'].scale, float)


def test_a_weight_in_another_role_is_an_error():
    with pytest.raises(
        ValueError, match=r"'last.weight' is a weight and also used as \['table'\]"
    ):
        planned(body=lambda self, x: self.last(x) + self.last.weight[0])


def test_shared_parameters():
    class Shared(Custom):
        def __init__(self):
            super().__init__(lambda self, x: self.other(x) + self.last(x))
            self.other = nn.Linear(16, 16)
            self.other.weight = self.last.weight
            self.again = self.last

    with torch.no_grad():
        _, plan, _ = calibrated(Shared(), [rows()])
    assert 'other.weight' not in plan.parameters and 'last.weight' in plan.parameters
    assert {'other/linear:0', 'last/linear:0'} <= plan.sites.keys()


def test_a_value_of_more_bits_is_not_clipped_as_few_bits_are():
    """The observer of a config suits its bits; others have the one of 8 bits."""
    clipping = dict(type='percentile', percentile=90.0)
    override = dict(where=r'backbone\.inner/linear:0', activation=dict(bits=8))
    few = dict(bits=6, observer=clipping)
    mixed = planned(config(activation=few, overrides=[override]))
    uniform = planned(config(activation=few))
    eight = planned(config(activation=dict(bits=8)))
    site = 'norm/layer_norm:1'
    assert bits(mixed)[site] == 8 and bits(uniform)[site] == 6
    assert mixed.sites[site].output == eight.sites[site].output
    assert mixed.sites['qkv/linear:0'].output == uniform.sites['qkv/linear:0'].output
    reach = [p.sites[site].output.scale * 2 ** bits(p)[site] for p in (uniform, mixed)]
    assert reach[0] < 0.9 * reach[1]
