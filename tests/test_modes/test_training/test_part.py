"""A sub-module of a region runs by itself as it does in the region."""

import pytest
import region_models
import torch
from region_models import images, integer_mode, quantized

from iptq_mm.modes.training import Training
from iptq_mm.modes.training.mode import integers_of
from iptq_mm.modes.training.part import run_part
from iptq_mm.qtensor import QTensor
from iptq_mm.qtensor.carried import Carried
from iptq_mm.qtensor.context import current_location

PARTS = {'vit': 'layers.1', 'mmpretrain_swin': 'stages.0.downsample'}


@pytest.fixture(scope='module', params=PARTS)
def call(request):
    """A model, a part of it, and a call of the part in the model: given, returned."""
    x = images(2, 3, 32, 32)
    path = PARTS[request.param]
    with torch.no_grad():
        net = quantized(region_models.FAMILIES[request.param](), [x])
        seen = []
        hook = net.backbone.get_submodule(path).register_forward_hook(
            lambda _, args, kwargs, result: seen.append((args, kwargs, result)),
            with_kwargs=True,
        )
        net(x)
        hook.remove()
    return net, path, seen[0]


def _first(result):
    return result if isinstance(result, QTensor) else result[0]


def test_the_same_integers(call):
    net, path, (args, kwargs, result) = call
    again = run_part(net.backbone, path, integer_mode(net), args, kwargs)
    one, other = _first(result), _first(again)
    assert torch.equal(one.payload, other.payload)
    assert one.qparams == other.qparams and one.source == other.source
    assert one.source.startswith(path) and current_location() is None


def test_other_parameters_by_name(call):
    """What training gives in the place of integers, with gradients."""
    net, path, (args, kwargs, result) = call
    mode = integer_mode(net)
    given = {
        name: torch.nn.Parameter(mode.parameter(name, value).real_values())
        for name, value in net.backbone.named_parameters()
        if name.startswith(f'{path}.')
    }
    carried = [
        x.like(Carried.wrap(x.payload.float())) if isinstance(x, QTensor) else x
        for x in args
    ]
    training = Training(mode.plan)
    found = _first(run_part(net.backbone, path, training, carried, kwargs, given))
    assert torch.equal(integers_of(found).payload, _first(result).payload)
    found.payload.numbers.sum().backward()
    assert all(value.grad is not None for value in given.values())
    assert all(not p.is_floating_point() for p in net.backbone.parameters())
