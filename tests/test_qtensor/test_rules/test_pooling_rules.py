"""Pooling and resizing in integers, as torch does in floats."""

import pytest
import torch
from region_models import Net, WithNorm, images, quantized, same, sqnr
from torch import nn
from torch.nn import functional as F

from iptq_mm.modes import bound_region
from iptq_mm.program import use_backend
from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


class Body(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.conv, self.body = nn.Conv2d(4, 4, 1), body

    def forward(self, x):
        return self.body(self.conv(x))


def check(body, least=35.0):
    torch.manual_seed(0)
    net = WithNorm(Body(body)).eval()
    batches = [images(2, 4, 9, 7, seed=s) for s in range(2)]
    whole = quantized(net, batches)
    made = whole(batches[0])
    assert sqnr(net(batches[0])[0], made[0]) > least
    use_backend(whole, 'native')
    assert same(whole(batches[0]), made)
    assert not bound_region(whole.backbone).session.programs[-1].executable.fallbacks


POOLING = {
    'max': nn.MaxPool2d(3, 2, 1),
    'max without stride': nn.MaxPool2d(2),
    'max, ceiling': nn.MaxPool2d(3, 2, ceil_mode=True),
    'max, other sizes': nn.MaxPool2d((2, 3), (1, 2), (1, 0)),
    'max of rows': lambda x: F.max_pool1d(x.flatten(2), 3, 2, 1),
    'global max': nn.AdaptiveMaxPool2d(1),
    'amax': lambda x: x.amax((2, 3), keepdim=True),
    'amin': lambda x: torch.amin(x, 1),
    'max of all': lambda x: x.max().view(1, 1),
    'average': nn.AvgPool2d(3, 1, 1),
    'average of what is inside': nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    'average, ceiling': nn.AvgPool2d(2, 2, ceil_mode=True),
    'average, a divisor': lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    'average of rows': nn.Sequential(nn.Flatten(2), nn.AvgPool1d(3, 2, 1)),
    'adaptive': nn.AdaptiveAvgPool2d((3, 1)),
    'adaptive, kept': nn.AdaptiveAvgPool2d((None, 7)),
    'adaptive max': nn.AdaptiveMaxPool2d((3, 7)),
    'sum': lambda x: x.sum((2, 3)),
    'norm': lambda x: torch.norm(x, p=2, dim=(2, 3), keepdim=True),
    'vector norm': lambda x: torch.linalg.vector_norm(x, dim=1),
}


@pytest.mark.parametrize('name', POOLING)
def test_pooling(name):
    check(POOLING[name])


RESIZING = {
    'twice': lambda x: F.interpolate(x, scale_factor=2, mode='bilinear'),
    'size': lambda x: F.interpolate(x, (13, 20), mode='bilinear'),
    'corners': nn.UpsamplingBilinear2d(size=(18, 5)),
    'bicubic': lambda x: F.interpolate(x, (5, 14), mode='bicubic'),
    'factors': lambda x: F.interpolate(x, scale_factor=(0.5, 3.0), mode='bilinear'),
}


@pytest.mark.parametrize('name', RESIZING)
def test_resizing(name):
    check(RESIZING[name])


@pytest.mark.parametrize(
    'body',
    [
        nn.MaxPool2d(3, dilation=2),
        nn.MaxPool2d(3, return_indices=True),
        nn.AdaptiveAvgPool2d(2),
        lambda x: F.interpolate(x.flatten(2), 5, mode='linear'),
        lambda x: x.max(1),
        lambda x: x.norm(p=1),
    ],
)
def test_what_has_no_rule(body):
    with pytest.raises(UnsupportedOperationError, match='no (integer )?rule'):
        check(body)


def test_a_maximum_is_in_every_type():
    """Of what has 16 bits, and of negative numbers alone."""
    net = Net(WithNorm(Body(lambda x: (x - 9).amax(1)))).eval()
    x = images(1, 4, 6, 6)
    whole = quantized(net.backbone, [x])
    assert sqnr(net(x)[0], whole(x)[0]) > 35 and float(whole(x)[0].max()) < 0
