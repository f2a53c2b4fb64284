"""Values with levels in whole (tiny) models: the same integers on every path."""

import copy
from functools import cache

import pytest
import torch
from region_models import (
    CANDIDATES,
    Custom,
    bound,
    calibrated,
    config,
    images,
    integer_mode,
    quantized,
    rows,
    same,
    sqnr,
    vit,
)
from torch.nn import functional as F

from iptq_mm.calibration import freeze_regions
from iptq_mm.intmath import QParams
from iptq_mm.modes import Fake
from iptq_mm.modes.base import operand_qparams
from iptq_mm.modes.training import begin_training, end_training
from iptq_mm.modes.training.ranges import RANGES_KEY, values_with_ranges
from iptq_mm.native.library import available
from iptq_mm.program import out_of_range, trace, use_backend
from iptq_mm.program.audit import audit_program
from iptq_mm.program.runtime.site_kernels import SiteKernels
from iptq_mm.qtensor import QTensor

CODES = dict(
    gelu=dict(type='levels'),
    layer_norm=dict(type='twin_ranges'),
    linear=dict(type='levels'),
    matmul=dict(type='levels'),
)
#: A look-up of 8 bits, one that vectors compute themselves, and one of arithmetic.
FUNCTIONS = ['table_gelu', 'interpolated_gelu', 'i_gelu']
X = images(2, 3, 32, 32, seed=5) * 1.5  # some values saturate


def coded(gelu, bits=4, **options):
    activation = dict(bits=bits, codes=CODES, **options)
    candidates = {**CANDIDATES, 'gelu': [dict(type=gelu)]}
    return config(candidates, activation=activation)


@cache
def net_with(gelu):
    with torch.no_grad():
        return quantized(vit(), [images(4, 3, 32, 32)], coded(gelu))


@pytest.mark.parametrize('gelu', FUNCTIONS)
def test_values_are_levels(gelu, no_grad):
    net, seen = copy.deepcopy(net_with(gelu)), {}
    for name, layer in net.named_modules():
        if name.endswith(('ffn.layers.0.0', 'ffn.layers.1', 'attn.qkv')):
            layer.register_forward_pre_hook(
                lambda layer, x, name=name: seen.update({name: x[0]})
            )
    net(X)
    assert len(seen) == 6
    for name, x in seen.items():
        assert isinstance(x.qparams, QParams) and x.qparams.bits == 8, name
        assert x.qparams.code_bits == 4
        assert set(x.payload.unique().tolist()) <= set(x.qparams.levels)


@pytest.mark.parametrize('backend', ['reference', 'compiled', 'onnx', 'native'])
@pytest.mark.parametrize('gelu', FUNCTIONS)
def test_back_ends_agree(gelu, backend, no_grad, one_thread):
    if backend == 'native' and not available():
        pytest.skip('no C++ compiler')
    if backend == 'onnx':
        pytest.importorskip('onnxruntime')
    net = copy.deepcopy(net_with(gelu))
    expected, (_, eager) = net(X), logged(net)
    use_backend(net, backend)
    assert same(net(X), expected)
    if backend != 'compiled':
        assert logged(net)[1] == eager


def logged(net):
    with out_of_range(net, 1) as logs:
        return net(X), logs['backbone']


@pytest.mark.parametrize('gelu', FUNCTIONS)
def test_the_audit_proves_it(gelu, no_grad):
    program = trace(net_with(gelu).backbone, (X,)).program
    # Two blocks of five values each, and no node twice.
    assert program.count()['to_levels'] == 10
    audit = audit_program(program)
    assert audit.holds, audit.findings


@pytest.mark.parametrize('native', [False, True])
@pytest.mark.parametrize('gelu', FUNCTIONS)
def test_training_computes_the_same(gelu, native):
    if native and not available():
        pytest.skip('no C++ compiler')
    net = copy.deepcopy(net_with(gelu))
    plan = integer_mode(net).plan
    ranges = values_with_ranges(plan)
    begin_training(net.backbone, None, SiteKernels() if native else None, ranges)
    with torch.no_grad():
        net.backbone.get_parameter(RANGES_KEY).add_(0.1)
        deployed = copy.deepcopy(net)
        end_training(deployed.backbone)
        expected = deployed(X)
    made = net(X)
    assert same(made, expected)
    sum(y.square().sum() for y in made).backward()
    grad = net.backbone.get_parameter(RANGES_KEY).grad
    assert torch.isfinite(grad).all() and (grad != 0).float().mean() > 0.5
    planned = integer_mode(deployed).plan.sites
    coded_sites = [s for s in planned.values() if s.output.levels]
    assert len(coded_sites) >= 6


def test_simulations_have_levels_too(no_grad):
    cfg, batches = coded('table_gelu'), [images(4, 3, 32, 32)]
    net, plan, _ = calibrated(vit(), batches, cfg)
    real = net(X)
    with bound(net.backbone, Fake(plan)):
        fake = net(X)
    freeze_regions(net, cfg, {'backbone': plan})
    assert sqnr(net(X), fake) > sqnr(net(X), real) + 3


def test_levels_help_results_of_gelu(no_grad):
    """Most of them lie about 0, a few far away."""
    module, x = Custom(lambda self, x: self.last(F.gelu(x * x * x))), rows(64, 16)
    expected, found = module(x), {}
    for kind in (None, dict(type='levels')):
        cfg = config(activation=dict(bits=4, codes=dict(gelu=kind)))
        net = quantized(module, [x], cfg)
        found[kind and kind['type']] = sqnr(expected, net(x))
    assert found['levels'] > found[None] + 1


def test_bits_of_8_have_no_codes(no_grad):
    _, plan, _ = calibrated(vit(), [images(4, 3, 32, 32)], coded('table_gelu', bits=8))
    assert not any(s.output.levels for s in plan.sites.values())


def test_values_that_leave_have_no_codes(no_grad):
    module = Custom(lambda self, x: (F.gelu(x), self.last(F.gelu(x))))
    net = quantized(module, [rows()], coded('table_gelu'))
    made = integer_mode(net).plan.sites
    leaving, inside = made['/gelu:0'], made['/gelu:1']
    assert leaving.output.bits == 16 and leaving.output.levels is None
    assert inside.output.code_bits == 4


def test_the_quantizer_of_an_operand_follows_its_factor():
    made, wanted = QParams(0.1, -300, 300), QParams(0.5, -9, 246, (-9, 0, 3, 100))
    plan = copy.deepcopy(integer_mode(net_with('table_gelu')).plan)
    plan.inputs['a'] = made
    x = QTensor(torch.zeros(2, dtype=torch.int16), made, 'a')
    assert operand_qparams(x, wanted, plan) == wanted
    twice = operand_qparams(x.scaled(2.0), wanted, plan)
    assert twice == QParams(1.0, -9, 246, (-9, 0, 3, 100))
    negative = operand_qparams(x.scaled(-1.0), wanted, plan)
    assert negative == QParams(0.5, -246, 9, (-100, -3, 0, 9))
