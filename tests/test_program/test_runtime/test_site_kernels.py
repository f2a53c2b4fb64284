"""Native kernels of sites give training the integers and gradients that torch gives."""

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
    tensors,
)
from torch.nn import functional as F

from iptq_mm.modes import bound_region
from iptq_mm.modes.training import begin_training
from iptq_mm.native.library import available
from iptq_mm.program.runtime.site_kernels import SiteKernels

pytestmark = pytest.mark.skipif(not available(), reason='no C++ compiler')


def both(module, batch, cfg=None):
    """A model in training that torch computes, and the same with kernels."""
    with torch.no_grad():
        net = quantized(module, [batch], cfg)
    begin_training(net.backbone)
    other = copy.deepcopy(net)
    mode = bound_region(other.backbone).mode
    mode.kernels = SiteKernels()
    return net, other


def step(net, x):
    outputs = tensors(net(x))
    net.zero_grad()
    sum((y * y.detach().roll(1)).mean() for y in outputs).backward()
    return outputs


@pytest.mark.parametrize('bits', [4, 8])
@pytest.mark.parametrize('name', FAMILIES)
def test_integers_and_gradients_are_equal(name, bits):
    cfg = config(
        SEVERAL,
        weight=dict(bits=bits),
        activation=dict(bits=bits, observer=dict(type='percentile', percentile=99)),
    )
    net, other = both(FAMILIES[name](), images(4, 3, 32, 32), cfg)
    for size in ((32, 32), (48, 40), (32, 32)):
        x = images(2, 3, *size, seed=5)
        assert same(step(net, x), step(other, x))
        for (path, a), b in zip(
            net.named_parameters(), other.parameters(), strict=True
        ):
            assert (a.grad is None) == (b.grad is None), path
            assert a.grad is None or torch.equal(a.grad, b.grad), path
        with torch.no_grad():
            for a, b in zip(net.parameters(), other.parameters(), strict=True):
                a.mul_(0.97)
                b.mul_(0.97)


def test_kernels_are_made_again_only_for_parameters_that_changed():
    module = Custom(lambda self, x: self.last(F.gelu(x)))
    _, net = both(module, rows())
    kernels = bound_region(net.backbone).mode.kernels
    net(rows())
    before = {k[0]: v for k, v in kernels._kernels.items()}
    with torch.no_grad():
        net.backbone.last.bias.add_(0.1)
    net(rows())
    after = {k[0]: v for k, v in kernels._kernels.items()}
    changed = {site for site in after if after[site] is not before[site]}
    assert changed == {'last/linear:0'}
    assert {'first/linear:0', '/gelu:0'} <= before.keys()


def test_memory_is_bounded():
    module = Custom(lambda self, x: self.last(F.gelu(x)))
    net, other = both(module, rows())
    bound_region(other.backbone).mode.kernels = kernels = SiteKernels(memory=1)
    for rows_of_image in (2, 3, 4):
        x = rows(rows_of_image)
        assert same(net(x), other(x))
        assert len(kernels._kernels) == 1
