"""Elementwise functions in all of torch's spellings."""

import pytest
import torch
from region_models import Custom, attempt, quantized, rows, same
from torch import nn
from torch.nn import functional as F

from iptq_mm.functions import CURVES
from iptq_mm.modes import bound_region
from iptq_mm.program import trace, use_backend
from iptq_mm.program.audit import audit_program
from iptq_mm.qtensor import UnsupportedOperationError
from iptq_mm.qtensor.rules.unary import _SPELLINGS

SPELLINGS = {
    'sigmoid': torch.sigmoid,
    'sigmoid of a module': nn.Sigmoid(),
    'sigmoid in place': lambda x: x.sigmoid_(),
    'silu': F.silu,
    'silu in place': nn.SiLU(inplace=True),
    'swish': lambda x: x * torch.sigmoid(x),
    'hardswish': nn.Hardswish(inplace=True),
    'hardsigmoid': nn.Hardsigmoid(),
    'hardtanh': lambda x: F.hardtanh(x, -0.5, 1.0),
    'tanh': lambda x: x.tanh(),
    'leaky_relu': nn.LeakyReLU(0.2, inplace=True),
    'relu6': nn.ReLU6(inplace=True),
    'relu6 as a function': F.relu6,
    'mish': F.mish,
    'gelu by tanh': nn.GELU(approximate='tanh'),
    'elu': lambda x: F.elu(x, 0.5, True),
    'selu': F.selu,
    'softplus': nn.Softplus(),
    'exp': torch.exp,
    'clamp': lambda x: x.clamp(-1, 2),
    'clamp_': lambda x: x.clamp_(max=0.5),
    'clip': lambda x: torch.clip(x, -0.3, 0.3),
    'clamp_min': lambda x: x.clamp_min(-0.1),
    'sqrt': lambda x: (x * x).sqrt(),
    'rsqrt': lambda x: torch.rsqrt(x * x + 1),
    'log': lambda x: (x * x + 1).log(),
    'reciprocal': lambda x: 1 / (x.sigmoid() + 1),
    'quotient': lambda x: x / (x.sigmoid() + 1),
    'square': lambda x: x**2,
    'cube': lambda x: torch.pow(x, 3),
    'fourth': lambda x: x.pow(4),
    'root': lambda x: x.square() ** 0.5,
    'power': lambda x: (x * x) ** 0.75,
}


@pytest.mark.parametrize('name', SPELLINGS)
def test_spellings(name):
    assert attempt(lambda m, x: SPELLINGS[name](m.last(x))) > 30


def test_every_curve_has_a_spelling():
    assert {*_SPELLINGS, 'clamp', 'pow'} == set(CURVES)


def test_in_place_is_in_place():
    def body(m, x):
        y = m.last(x)
        F.silu(y, inplace=True)
        return y

    with torch.no_grad():
        net = quantized(Custom(body), [rows()])
        assert net(rows()).min() > -0.3


@pytest.mark.parametrize(
    'body',
    [
        lambda m, x: x.clamp(m.p, None),
        lambda m, x: x.clamp(max=torch.ones(1)),
        lambda m, x: torch.div(x, 2, rounding_mode='floor'),
        lambda m, x: 2**x,
    ],
)
def test_what_has_no_rule(body):
    with pytest.raises(UnsupportedOperationError):
        attempt(body)


GATES = ['silu', 'hardswish', 'sigmoid', 'mish', 'relu6', 'tanh']


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('name', GATES)
def test_back_ends_agree(name, bits):
    """After a product, and by itself; read by a product, and by a sum."""
    names = dict(type='table_unary' if bits == 8 else 'interpolated_unary')

    def body(m, x):
        y = SPELLINGS[name](m.last(x))
        return m.inner(y) + SPELLINGS[name](y + x)

    from region_models import CANDIDATES, config

    with torch.no_grad():
        net = quantized(
            Custom(body, inner=nn.Linear(16, 16)),
            [rows(seed=s) for s in range(2)],
            config({**CANDIDATES, 'unary': [names]}),
        )
        assert not audit_program(trace(net.backbone, (rows(),)).program).findings
        x = rows(seed=7) * 3  # beyond what was calibrated
        expected = net(x)
        for backend in ('reference', 'native'):
            use_backend(net, backend)
            assert same(net(x), expected)
        made = bound_region(net.backbone).session.programs[-1].executable
        assert not made.fallbacks
