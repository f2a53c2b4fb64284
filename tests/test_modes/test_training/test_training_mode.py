"""Training: the integers themselves forward, the gradients of the floats backward."""

import copy

import pytest
import torch
from region_models import (
    CANDIDATES,
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
from iptq_mm.modes.training import Training, begin_training, end_training

LITERAL = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)],
)
FEW_BITS = dict(
    weight=dict(bits=4),
    activation=dict(bits=6, observer=dict(type='percentile', percentile=99)),
)
GROUPS = dict(weight=dict(bits=4, group=8))


def trained(net):
    """A copy of an integer model whose parameters can be trained."""
    other = copy.deepcopy(net)
    begin_training(other.backbone)
    return other


def deployed(net):
    """The integer model that a model in training stands for."""
    other = copy.deepcopy(net)
    end_training(other.backbone)
    return other


@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize(
    'case', ['usual', 'few bits', 'groups', 'literal', 'other size']
)
def test_the_forward_pass_is_that_of_the_integers(name, case):
    candidates = LITERAL if case == 'literal' else SEVERAL
    options = {'few bits': FEW_BITS, 'groups': GROUPS}.get(case, {})
    if case == 'literal':
        options = dict(wide=dict(gelu=8, softmax=8))
    sizes = (48, 40) if case == 'other size' else (32, 32)
    with torch.no_grad():
        net = quantized(
            FAMILIES[name](), [images(4, 3, 32, 32)], config(candidates, **options)
        )
        x = images(2, 3, *sizes, seed=5) * 1.5  # some values saturate
        before = net(x)
        net = trained(net)
        expected = deployed(net)(x)
    assert same(net(x), expected)
    # Parameters other than weights have a bit less than before.
    assert sqnr(before, expected) > 25


@pytest.mark.parametrize('name', FAMILIES)
def test_it_still_is_after_a_step_and_so_is_the_model_that_comes_out(name):
    with torch.no_grad():
        net = trained(quantized(FAMILIES[name](), [images(4, 3, 32, 32)]))
    x = images(2, 3, 32, 32, seed=5)
    before = [y.detach() for y in tensors(net(x))]
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    sum(y.square().mean() for y in tensors(net(x))).backward()
    optimizer.step()
    after = [y.detach() for y in tensors(net(x))]
    assert not all(map(torch.equal, before, after))
    end_training(net.backbone)
    with torch.no_grad():
        assert all(map(torch.equal, tensors(net(x)), after))
    assert not any(p.is_floating_point() for p in net.parameters())


@pytest.mark.parametrize('name', ['vit', 'mmpretrain_swin'])
def test_codes_of_groups_stay_codes(name):
    cfg = config(**GROUPS)
    with torch.no_grad():
        net = quantized(FAMILIES[name](), [images(4, 3, 32, 32)], cfg)
    plan = bound_region(net.backbone).mode.plan.parameters
    grouped = [n for n, p in plan.items() if p.group]
    assert any('qkv' in n for n in grouped)
    net = trained(net)
    factors = bound_region(net.backbone).mode.factors
    assert set(factors) == set(grouped)
    assert same(copy.deepcopy(net)(images(2, 3, 32, 32)), net(images(2, 3, 32, 32)))
    optimizer = torch.optim.SGD(net.parameters(), lr=3e-2)
    sum(y.square().mean() for y in tensors(net(images(2, 3, 32, 32)))).backward()
    optimizer.step()
    end_training(net.backbone)
    for path, value in net.backbone.named_parameters():
        if path in grouped:
            codes = value.double() / factors[path]
            assert torch.equal(codes, codes.round()) and codes.abs().max() <= 7, path
            assert factors[path].max() > 1


@pytest.mark.parametrize('name', FAMILIES)
def test_gradients_reach_every_parameter(name):
    with torch.no_grad():
        net = trained(quantized(FAMILIES[name](), [images(4, 3, 32, 32)]))
    outputs = tensors(net(images(2, 3, 32, 32)))
    generator = torch.Generator().manual_seed(1)
    sum(
        (y * torch.randn(y.shape, generator=generator)).sum() for y in outputs
    ).backward()
    for path, p in net.named_parameters():
        if path != 'backbone.attn_drop':
            assert p.grad is not None, path
            assert torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, path


@pytest.mark.parametrize('name', ['vit', 'mmpretrain_swin'])
def test_gradients_are_nearly_those_of_the_float_model(name):
    module = FAMILIES[name]()
    x = images(4, 3, 32, 32)
    with torch.no_grad():
        net = trained(quantized(module, [x, 1.5 * x]))
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=generator) for y in tensors(module(x))]
    for model in (module, net):
        outputs = tensors(model(x))
        sum((y * w).sum() for y, w in zip(outputs, weights, strict=True)).backward()
    for path, p in module.named_parameters():
        if p.grad is None or p.grad.norm() < 1e-3 * weights[0].norm():
            continue  # of a key's bias, which Softmax does not see
        mine = net.backbone.get_parameter(path).grad
        cosine = torch.cosine_similarity(p.grad.flatten(), mine.flatten(), 0)
        assert cosine > 0.9, (path, float(cosine))


def test_saturated_inputs_have_no_gradient():
    with torch.no_grad():
        net = trained(quantized(Custom(lambda self, x: self.last(x)), [rows()]))
    bound = bound_region(net.backbone).mode.plan.inputs['input:0']
    x = (3 * rows()).requires_grad_()
    net(x).square().sum().backward()
    steps = x.detach() / bound.scale
    beyond = (steps > bound.qmax + 1) | (steps < bound.qmin - 1)
    assert beyond.any() and not beyond.all()
    assert (x.grad[beyond] == 0).all() and (x.grad[~beyond] != 0).float().mean() > 0.5


def test_training_lowers_the_loss_of_the_integers():
    module, x = (
        Custom(lambda self, x: self.last(F.gelu(x))),
        rows(),
    )
    with torch.no_grad():
        net = trained(quantized(module, [x], config(**FEW_BITS)))
        target = module(x) * 0.5
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (net(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    end_training(net.backbone)
    with torch.no_grad():
        assert float((net(x) - target).square().mean()) < 0.3 * losses[0]


def test_masters_start_near_the_weights_that_were_rounded():
    module, x = Custom(lambda self, x: self.last(x)), rows()
    with torch.no_grad():
        net = quantized(module, [x], config(**FEW_BITS))
        expected = net(x)
    wanted = {n: p.detach() for n, p in module.named_parameters()}
    begin_training(net.backbone, wanted)
    with torch.no_grad():
        assert sqnr(expected, net(x)) > 40
    scale = bound_region(net.backbone).mode.plan.parameters['last.weight'].scales()
    steps = net.backbone.last.weight / scale.view(-1, 1)
    before = module.last.weight / scale.view(-1, 1)
    kept, lost = steps - steps.round(), before - steps.round()
    assert (kept * lost >= 0).all() and kept.abs().max() < 0.4
    far = lost.abs() > 0.1  # nothing is clamped to one and the same distance
    assert (kept[far].abs() > 0.05).all() and kept.unique().numel() > 200


def test_a_copy_trains_by_itself():
    with torch.no_grad():
        net = trained(quantized(FAMILIES['vit'](), [images(4, 3, 32, 32)]))
    x = images(2, 3, 32, 32, seed=5)
    other = copy.deepcopy(net)
    assert type(bound_region(other.backbone).mode) is Training
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(0.9)
        assert not torch.equal(tensors(net(x))[0], tensors(other(x))[0])


@pytest.mark.parametrize('state', ['float', 'training'])
def test_only_integers_can_begin(state):
    module = Custom(lambda self, x: self.last(x))
    with torch.no_grad():
        net = quantized(module, [rows()], config(CANDIDATES))
    if state == 'training':
        begin_training(net.backbone)
    with pytest.raises(RuntimeError, match='in integer mode'):
        begin_training(module if state == 'float' else net.backbone)


def test_a_parameter_of_zeros_has_room_to_grow():
    module, x = Custom(lambda self, x: self.last(x)), rows()
    with torch.no_grad():
        module.last.bias.zero_()
        net = trained(quantized(module, [x]))
        target = module(x) + 0.3
    optimizer = torch.optim.Adam([net.backbone.last.bias], lr=0.03)
    for _ in range(20):
        optimizer.zero_grad()
        loss = (net(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    plan = bound_region(net.backbone).mode.plan.parameters['last.bias']
    assert plan.scale * plan.bound > 0.3
    assert float(loss.detach()) < 0.02
    # What a checkpoint says of the scales is what the mode uses.
    kept = type(bound_region(net.backbone).mode.plan).from_tensor(
        net.backbone.quantization_plan
    )
    assert kept.parameters['last.bias'].scale == plan.scale


class Pool(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def test_a_region_without_parameters_lets_gradients_through():
    with torch.no_grad():
        net = quantized(Pool(), [images(4, 3, 8, 8)])
        expected = net(images(2, 3, 8, 8, seed=5))
    begin_training(net.backbone)
    x = images(2, 3, 8, 8, seed=5).requires_grad_()
    y = net(x)
    assert same(y, expected)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 1 / 64))
