"""Integers that something overwrites with floats: an error, never other results."""

import copy

import pytest
import torch
from mmengine.utils import digit_version
from region_models import Custom, images, quantized, rows, vit
from torch import nn

from iptq_mm.plan import PlanError
from iptq_mm.program import use_backend
from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')

# torch 2.1 makes each assigned parameter one that wants gradients.
ASSIGNS_INTEGERS = digit_version(torch.__version__) >= digit_version('2.4')
BACKENDS = [None, 'reference', 'native']


@pytest.fixture(scope='module')
def made():
    """A float ViT, and its integer self."""
    module = vit()
    with torch.no_grad():
        return module, quantized(module, [images(2, 3, 32, 32)])


@pytest.mark.parametrize('part', ['', 'backbone', 'backbone.layers.0'])
def test_float_checkpoints(made, part):
    """Also where the model was quantized in this process, and of a part of it."""
    module, net = made[0], copy.deepcopy(made[1])
    path = part.removeprefix('backbone').strip('.')
    state = module.get_submodule(path).state_dict()
    if not part:
        state = {f'backbone.{name}': value for name, value in state.items()}
    before = {k: v.clone() for k, v in net.backbone.layers.state_dict().items()}
    with pytest.raises(PlanError, match='is float in the checkpoint and integer in'):
        net.get_submodule(part).load_state_dict(state, strict=False)
    after = net.backbone.layers.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_own_integers_are_taken(made):
    net = copy.deepcopy(made[1])
    x = images(2, 3, 32, 32)
    expected = net(x)[0]
    net.load_state_dict(net.state_dict())
    net.backbone.layers.load_state_dict(net.backbone.layers.state_dict())
    state = {k: v.clone() for k, v in net.state_dict().items()}
    if ASSIGNS_INTEGERS:
        net.load_state_dict(state, assign=True)
    assert torch.equal(net(x)[0], expected)


def replaced(net):
    net.backbone.last.weight = nn.Parameter(torch.randn(16, 16))


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('called', [False, True])
@pytest.mark.parametrize('change', [replaced, lambda net: net.type(torch.float32)])
def test_floats_in_the_place_of_integers(backend, called, change):
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    use_backend(net, backend)
    if called:
        net(rows())
    change(net)
    with pytest.raises(UnsupportedOperationError, match='holds floats, not its integ'):
        net(rows())


@pytest.mark.parametrize('backend', BACKENDS)
def test_casts_leave_integers_alone(backend):
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    expected = net(rows())
    use_backend(net, backend)
    for cast in (nn.Module.half, nn.Module.double, nn.Module.bfloat16):
        assert torch.equal(cast(net)(rows()), expected)


@pytest.mark.parametrize('backend', BACKENDS)
def test_jit_trace(made, backend):
    """What is traced computes, whatever runs the model: no constants of one image."""
    net = copy.deepcopy(made[1])
    use_backend(net, backend)
    x, y = images(2, 3, 32, 32), images(2, 3, 32, 32, seed=1)
    expected = [net(image)[0] for image in (x, y)]
    traced = torch.jit.trace(lambda image: net(image)[0], x, check_trace=False)
    assert torch.equal(traced(x), expected[0]) and torch.equal(traced(y), expected[1])
    assert not torch.equal(*expected)
