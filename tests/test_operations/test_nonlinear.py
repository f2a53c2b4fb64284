"""GELU, Softmax and LayerNorm as sites: edge cases of calibration and of rows."""

import pytest
import torch
from region_models import (
    CANDIDATES,
    SEVERAL,
    Custom,
    attempt,
    calibrated,
    config,
    integer_mode,
    quantized,
    rows,
    sqnr,
)
from torch import nn
from torch.nn import functional as F

from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS, SiteInputs
from iptq_mm.registry import FUNCTIONS

pytestmark = pytest.mark.usefixtures('no_grad')


def names(kind):
    FUNCTIONS.import_from_location()
    return sorted(n for n, f in FUNCTIONS.module_dict.items() if f.kind == kind)


def only(kind, name):
    return config({**CANDIDATES, kind: [dict(type=name)]})


@pytest.mark.parametrize('name', names('layer_norm'))
def test_layer_norm_edges(name):
    """Gammas of 0, a channel always 0, rows without variance."""
    module = Custom(lambda self, x: self.edge(x * self.zero), edge=nn.LayerNorm(16))
    module.zero = nn.Parameter(torch.ones(16))
    module.zero[3] = 0.0
    module.edge.weight[::3] = 0.0
    batches = [rows(4, 5, seed=s) for s in range(3)]
    net = quantized(module, batches, only('layer_norm', name))
    assert sqnr(module(batches[0]), net(batches[0])) > 20
    flat = nn.LayerNorm(16)
    flat.weight[:], flat.bias[:] = torch.rand(16), torch.randn(16)
    module = Custom(
        lambda self, x: self.flat(x[..., :1].expand(-1, -1, 16) * 1.0), flat=flat
    )
    net = quantized(module, batches, only('layer_norm', name))
    # No variance: beta alone, whatever the row holds.
    error = (net(batches[0]) - flat.bias).abs().max()
    assert error < 0.01 * flat.bias.abs().max()


@pytest.mark.parametrize('name', names('layer_norm'))
def test_layer_norm_without_any_gamma(name):
    module = Custom(lambda self, x: self.last(self.dead(x)) + x, dead=nn.LayerNorm(16))
    module.dead.weight.zero_()
    module.dead.bias.zero_()
    net = quantized(module, [rows()], only('layer_norm', name))
    assert sqnr(module(rows()), net(rows())) > 20


@pytest.mark.parametrize('name', names('softmax'))
def test_softmax_of_one_hot_and_flat_rows(name):
    # Published approximations of the exponential differ by several percent.
    floor = 10 if name in ('log_int_softmax', 'bit_softmax', 'shiftmax') else 30
    for factor, least in ((100.0, 25), (1e-4, floor), (1.0, 12)):
        module = Custom(lambda self, x, f=factor: (x * f).softmax(-1))
        net = quantized(module, [rows(seed=s) for s in range(2)], only('softmax', name))
        assert sqnr(module(rows()), net(rows())) > least, factor


def test_softmax_of_zeros():
    """Queries that are 0: every score is 0, the attention flat."""
    module = Custom(lambda self, x: ((x * 0.0) @ x.mT).softmax(-1) @ self.last(x))
    net = quantized(module, [rows()], config(SEVERAL))
    assert sqnr(module(rows()), net(rows())) > 25


def test_softmax_of_one_token():
    module = Custom(lambda self, x: (x @ x.mT).softmax(-1) @ self.last(x))
    net = quantized(module, [rows(4, 1)], config(SEVERAL))
    assert sqnr(module(rows(4, 1)), net(rows(4, 1))) > 25


@pytest.mark.parametrize('name', names('gelu'))
@pytest.mark.parametrize('approximate', ['none', 'tanh'])
def test_gelu(name, approximate):
    body = Custom(lambda self, x: F.gelu(self.last(x), approximate=approximate))
    batches = [rows(seed=s) for s in range(2)]
    net = quantized(body, batches, only('gelu', name))
    assert sqnr(body(rows()), net(rows())) > 15


def test_dead_channels_and_zero_weights():
    def body(self, x):
        return self.dead(x) + self.last(F.gelu(self.empty(x)))

    parts = dict(dead=nn.Linear(16, 16), empty=nn.Linear(16, 16))
    module = Custom(body, **parts)
    module.dead.weight.zero_()
    module.empty.weight.zero_()
    module.empty.bias.zero_()
    module.last.weight[:4] = 0.0
    net = quantized(module, [rows()])
    assert sqnr(module(rows()), net(rows())) > 30


def test_all_zero_input():
    net = quantized(Custom(lambda self, x: self.last(x)), [torch.zeros(2, 3, 8)])
    assert net(torch.zeros(2, 3, 8)).isfinite().all()


def test_constants_are_remade_from_parameters_where_these_are_in_them():
    _, plan, record = calibrated(
        Custom(lambda self, x: self.last(x).softmax(-1)), [rows()]
    )
    assert plan.sites['norm/layer_norm:0'].constants is None
    assert plan.sites['/softmax:0'].constants
    assert set(record.constants) == {'/softmax:0'}


def test_saved_constants_are_used_for_the_input_they_were_made_for():
    softmax = OPERATIONS['softmax']
    x, out = QParams(0.01, -127, 127), QParams(1 / 255, 0, 255)
    function = FUNCTIONS.build(dict(type='table_softmax'))
    saved = {'anything': 1}
    site = SiteInputs([None], [x], out, {}, 0, function, saved)
    assert softmax.prepare(site) is saved
    with pytest.raises(TypeError, match='integer function'):
        softmax.integer([], {}, {})


def test_layer_norm_without_affine_part():
    bare = nn.LayerNorm(16, elementwise_affine=False)
    assert attempt(lambda self, x: self.last(self.bare(x)), bare=bare) > 25
    unbiased = nn.LayerNorm(16, bias=False)
    assert attempt(lambda self, x: self.last(self.bare(x)), bare=unbiased) > 25


def test_layer_norm_bits_are_24():
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    parameters = integer_mode(net).plan.parameters
    assert parameters['norm.weight'].bits == parameters['norm.bias'].bits == 24
    assert net.backbone.norm.weight.dtype == torch.int32
