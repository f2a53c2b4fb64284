"""Models of few bits: the same integers from every back end and from a checkpoint."""

import pytest
import torch
from region_models import config, images, integer_mode, quantized, vit

from iptq_mm.modes.install import PLAN_KEY, install
from iptq_mm.plan import RegionPlan
from iptq_mm.program import use_backend

BATCHES = [images(2, 3, 16, 16, seed=s) for s in range(2)]
#: Every width of weights, and every width of activations.
BITS = [(3, 8), (4, 6), (5, 3), (6, 5), (8, 4)]
OBSERVERS = ['minmax', 'ema', 'percentile', 'mse', 'histogram']
ROUNDINGS = ['nearest', 'second_order', 'learned']


def model(weight, activation, observer, rounding):
    cfg = config(
        weight=dict(bits=weight, rounding=dict(type=rounding)),
        activation=dict(bits=activation, observer=dict(type=observer)),
    )
    return quantized(vit(dims=16, size=16), BATCHES, cfg)


@torch.no_grad()
def outputs(net, backend=None):
    use_backend(net, backend)
    (found,) = net(BATCHES[0])
    return found


@pytest.mark.parametrize(('weight', 'activation'), BITS)
def test_back_ends_and_checkpoints_agree(weight, activation):
    at = BITS.index((weight, activation))
    net = model(weight, activation, OBSERVERS[at], ROUNDINGS[at % len(ROUNDINGS)])
    expected = outputs(net)
    for backend in ('reference', 'native'):
        assert torch.equal(outputs(net, backend), expected)
    use_backend(net, None)

    mode = integer_mode(net)
    parameters = dict(net.backbone.named_parameters())
    weights = [n for n, p in mode.plan.parameters.items() if p.role == 'weight']
    assert max(int(parameters[n].abs().max()) for n in weights) == 2 ** (weight - 1) - 1
    qkv = mode.plan.sites['layers.0.attn.qkv/linear:0'].output
    assert qkv.bits == activation

    fresh = type(net)(vit(dims=16, size=16))
    state = net.backbone.state_dict()
    install('backbone', fresh.backbone, RegionPlan.from_tensor(state[PLAN_KEY]))
    fresh.backbone.load_state_dict(state)
    assert torch.equal(outputs(fresh), expected)


@pytest.mark.slow
@pytest.mark.parametrize(('weight', 'activation'), BITS[:1] + BITS[2:3])
def test_the_compiler_agrees(weight, activation):
    net = model(weight, activation, 'minmax', 'nearest')
    assert torch.equal(outputs(net, 'compiled'), outputs(net))


@pytest.mark.parametrize('observer', OBSERVERS)
def test_more_bits_are_nearer(observer):
    """Ranges of every observer suit the bits: an error falls with each of them."""
    real = vit(dims=16, size=16)
    with torch.no_grad():
        (wanted,) = real(BATCHES[0])
    errors = [
        float((outputs(model(bits, bits, observer, 'nearest')) - wanted).norm())
        for bits in (3, 5, 8)
    ]
    assert errors == sorted(errors, reverse=True)
