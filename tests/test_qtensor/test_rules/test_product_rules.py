"""Transposed convolutions, which become a 1x1 convolution and a movement."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import (
    WithNorm,
    calibrated,
    config,
    images,
    integer_mode,
    quantized,
    sqnr,
)
from torch import nn

from iptq_mm.calibration import freeze_regions, measure
from iptq_mm.modes import Region, bind
from iptq_mm.modes.base import FloatMode
from iptq_mm.modes.fake import Fake
from iptq_mm.operations import TRANSPOSED
from iptq_mm.patches import from_transposed_rows, transposed_rows
from iptq_mm.program import trace
from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


def inputs_scale(plan):
    """Of what the layer gets, in 8 bits."""
    return plan.sites['layer/conv2d:0'].inputs[0].scale


sizes = st.integers(1, 4)


@settings(deadline=None, max_examples=25)
@given(sizes, sizes, sizes, sizes, st.booleans(), st.integers(0, 99))
def test_transposed_convolution(inputs, outputs, down, across, bias, seed):
    torch.manual_seed(seed)
    kernel = (down, across)
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, kernel, bias=bias)
    x = torch.randn(2, inputs, 3, 5)
    expected = layer(x)
    bind(layer, Region('backbone', FloatMode()))
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_transposed_convolution_in_integers():
    torch.manual_seed(0)
    net = WithNorm(nn.ConvTranspose2d(4, 3, 2, 2)).eval()
    net.layer.weight[:, 0] *= 50  # each output channel has its scale
    net.layer.weight[:, 1, 0, 1] *= 20  # and each place of the kernel
    batches = [images(2, 4, 6, 5, seed=s) for s in range(3)]
    cfg = config(
        weight=dict(bits=8, rounding=dict(type='second_order'), bias_correction=True)
    )
    whole, plan, record = calibrated(net, batches, cfg)
    plans = {'backbone': plan}
    inputs = measure(whole, plans, whole, batches)
    assert inputs['backbone'].keys() == {('layer.weight', inputs_scale(plan))}
    freeze_regions(whole, cfg, plans, {'backbone': record}, inputs)
    plan = integer_mode(whole).plan.parameters['layer.weight']
    assert plan.role == TRANSPOSED and plan.shape == (4, 3, 2, 2)
    assert len(plan.scale) == 12
    assert whole.backbone.layer.weight.shape == (4, 3, 2, 2)
    expected, found = net(batches[0])[0], whole(batches[0])[0]
    for channel in range(3):
        assert sqnr(expected[:, channel], found[:, channel]) > 35
    kinds = [node.kind for node in trace(whole.backbone, (batches[0],)).program.nodes]
    assert kinds[:5] == ['requantize', 'conv2d', 'reshape', 'permute', 'reshape']
    # Nearest rounding, and training's view of it.
    float_net, plan, _ = calibrated(net, batches)
    bind(float_net.backbone, Region('backbone', Fake(plan)))
    assert sqnr(expected, float_net(batches[0])[0]) > 30


@given(sizes, sizes, sizes, sizes)
def test_rows_of_a_transposed_weight(inputs, outputs, down, across):
    weight = torch.randn(inputs, outputs, down, across)
    rows = transposed_rows(weight)
    assert rows.shape == (outputs * down * across, inputs)
    assert torch.equal(from_transposed_rows(rows, weight.shape), weight)


@pytest.mark.parametrize(
    'options',
    [
        dict(kernel_size=3, stride=2),
        dict(kernel_size=2, stride=2, padding=1),
        dict(kernel_size=2, stride=2, output_padding=1),
        dict(kernel_size=2, stride=2, groups=2),
    ],
)
def test_other_transposed_convolutions(options):
    net = WithNorm(nn.ConvTranspose2d(4, 4, **options))
    with pytest.raises(UnsupportedOperationError, match='only stride = kernel'):
        quantized(net, [images(1, 4, 4, 4)])
