"""Learning rates in proportion to the parameters."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from region_models import Custom, quantized, rows
from torch import nn

from iptq_mm.modes.training import begin_training

TYPE = 'iptq_mm.RelativeLearningRates'


def wrapper(**paramwise):
    return dict(
        type='OptimWrapper',
        constructor=TYPE,
        optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.05),
        paramwise_cfg=paramwise or None,
    )


def rates(model, **paramwise):
    """Learning rate over root mean square of each parameter, by name."""
    optimizer = build_optim_wrapper(model, wrapper(**paramwise)).optimizer
    rate = {id(g['params'][0]): g['lr'] for g in optimizer.param_groups}
    return {
        name: rate[id(p)] / float(p.detach().square().mean().sqrt())
        for name, p in model.named_parameters()
        if p.detach().any()
    }


def trained(size=1.0):
    module = Custom(lambda self, x: self.last(x))
    with torch.no_grad():
        module.last.weight.mul_(size)
        net = quantized(module, [rows()])
    begin_training(net.backbone)
    return net


@pytest.mark.parametrize('size', [1.0, 1 / 58])
def test_a_step_changes_every_weight_by_the_same_share(size):
    found = rates(trained(size))
    assert found['backbone.last.weight'] == pytest.approx(0.01)
    assert found['backbone.first.weight'] == pytest.approx(0.01)


def test_parameters_that_are_no_weights_have_their_own():
    found = rates(trained(), others_lr_mult=0.125)
    assert found['backbone.last.weight'] == pytest.approx(0.01)
    assert found['backbone.last.bias'] == pytest.approx(0.00125)
    assert found['backbone.norm.weight'] == pytest.approx(0.00125)


def test_mmengines_own_rules_are_kept():
    found = rates(trained(), custom_keys={'last': dict(lr_mult=0.5)})
    assert found['backbone.last.weight'] == pytest.approx(0.005)
    assert found['backbone.first.weight'] == pytest.approx(0.01)


def test_a_parameter_of_zeros_can_change():
    net = trained()
    with torch.no_grad():
        net.backbone.last.bias.zero_()
    optimizer = build_optim_wrapper(net, wrapper()).optimizer
    rate = {id(g['params'][0]): g['lr'] for g in optimizer.param_groups}
    assert rate[id(net.backbone.last.bias)] > 0


def test_the_rate_of_a_float_model_is_relative_too():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    found = rates(model, others_lr_mult=0.5)
    assert found['0.weight'] == pytest.approx(0.01)
    assert found['0.bias'] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(paramwise_cfg=dict(others_lr_mult=-1)), 'others_lr_mult=-1'),
        (dict(optimizer=dict(type='Adadelta')), 'has no lr'),
    ],
)
def test_bad_settings_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        build_optim_wrapper(trained(), {**wrapper(), **change})
