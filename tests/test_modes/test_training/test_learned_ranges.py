"""Learned ranges: the scales of values are trained, and end up in the plan."""

import copy

import pytest
import torch
from region_models import (
    FAMILIES,
    SEVERAL,
    Custom,
    config,
    images,
    quantized,
    rows,
    same,
    sqnr,
    tensors,
)
from torch.nn import functional as F

from iptq_mm.modes import bound_region
from iptq_mm.modes.training import begin_training, end_training, keep_constants
from iptq_mm.modes.training.ranges import RANGES_KEY, values_with_ranges
from iptq_mm.native.library import available
from iptq_mm.plan import RegionPlan
from iptq_mm.program.runtime.site_kernels import SiteKernels


def with_ranges(net, kernels=None):
    other = copy.deepcopy(net)
    plan = bound_region(other.backbone).mode.plan
    begin_training(other.backbone, None, kernels, values_with_ranges(plan))
    return other


def deployed(net):
    other = copy.deepcopy(net)
    end_training(other.backbone)
    return other


@pytest.mark.parametrize('native', [False, True])
@pytest.mark.parametrize('name', FAMILIES)
def test_what_is_trained_is_what_is_deployed(name, native):
    if native and not available():
        pytest.skip('no C++ compiler')
    cfg = config(SEVERAL, activation=dict(bits=6), wide=dict(gelu=8))
    with torch.no_grad():
        net = quantized(FAMILIES[name](), [images(4, 3, 32, 32)], cfg)
    net = with_ranges(net, SiteKernels() if native else None)
    x = images(2, 3, 32, 32, seed=5)
    ranges = net.backbone.get_parameter(RANGES_KEY)
    assert ranges.numel() >= 8
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            ranges.copy_(0.5 * torch.randn(ranges.shape, generator=generator))
            integers = deployed(net)
            expected = integers(x)
        assert same(net(x), expected)
        plan = bound_region(integers.backbone).mode.plan
        kept = RegionPlan.from_tensor(integers.backbone.quantization_plan)
        assert kept.to_dict() == plan.to_dict()
        assert RANGES_KEY not in integers.backbone.state_dict()


@pytest.mark.parametrize('factor', [0.25, 4.0])
def test_a_range_that_is_wrong_is_found_again(factor):
    module, x = Custom(lambda self, x: self.last(F.gelu(x))), rows(16, 16)
    cfg = config(activation=dict(bits=4), weight=dict(bits=8))
    with torch.no_grad():
        target = module(x)
        net = quantized(module, [x], cfg)
        plan = bound_region(net.backbone).mode.plan
        assert '/gelu:0' in values_with_ranges(plan)
        before = sqnr(target, net(x))
    net = with_ranges(net)
    place = bound_region(net.backbone).mode.ranges.sites.index('/gelu:0')
    ranges = net.backbone.get_parameter(RANGES_KEY)
    with torch.no_grad():
        ranges[place] = torch.log2(torch.tensor(factor))
        spoilt = sqnr(target, net(x))
    optimizer = torch.optim.Adam([ranges], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (net(x) - target).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = sqnr(target, deployed(net)(x))
    assert spoilt < before - 3
    assert after > before - 0.5


def test_values_whose_scale_others_share_are_left_out():
    module = Custom(
        lambda self, x: self.last(F.relu(self.other(x))), other=torch.nn.Linear(16, 16)
    )
    with torch.no_grad():
        net = quantized(module, [rows()])
    plan = bound_region(net.backbone).mode.plan
    sites = values_with_ranges(plan)
    assert '/relu:0' not in sites and 'other/linear:0' not in sites
    assert 'norm/layer_norm:0' in sites
    assert 'norm/layer_norm:0' not in values_with_ranges(plan, ['norm/layer_norm:0'])


def test_a_copy_has_ranges_of_its_own():
    with torch.no_grad():
        net = with_ranges(quantized(Custom(lambda self, x: self.last(x)), [rows()]))
        net.backbone.get_parameter(RANGES_KEY).fill_(0.3)
        first = net(rows())
        other = copy.deepcopy(net)
        assert same(other(rows()), first)
        other.backbone.get_parameter(RANGES_KEY).fill_(0.0)
        assert not same(other(rows()), first)
        assert same(net(rows()), first)
    assert tensors(first)


def test_the_plan_gets_the_constants_of_functions_back():
    module, x = Custom(lambda self, x: self.last(F.gelu(x))), rows()
    with torch.no_grad():
        net = with_ranges(quantized(module, [x]))
        net.backbone.get_parameter(RANGES_KEY).fill_(0.3)
        end_training(net.backbone)
        plan = bound_region(net.backbone).mode.plan
        assert plan.sites['/gelu:0'].constants is None
        expected = net(x)
        keep_constants(net.backbone)
        kept = RegionPlan.from_tensor(net.backbone.quantization_plan)
        assert kept.sites['/gelu:0'].constants
        assert kept.sites['/gelu:0'].made_for is not None
        before = net.backbone.quantization_plan
        keep_constants(net.backbone)
        assert net.backbone.quantization_plan is before
        assert same(net(x), expected)
