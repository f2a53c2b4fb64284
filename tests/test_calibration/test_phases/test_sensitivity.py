"""What each width does to the outputs, against what it does."""

import copy
import json
import random

import pytest
import torch
from region_models import Net, config, images, quantized, vit
from scipy.stats import spearmanr
from torch import nn

from iptq_mm.calibration import measure, observe
from iptq_mm.calibration.phases.sensitivity.effects import SiteSensitivity
from iptq_mm.calibration.phases.sensitivity.forms import (
    WeightForm,
    weight_form,
    weight_forms,
)
from iptq_mm.calibration.phases.sensitivity.measure import sensitivities
from iptq_mm.calibration.phases.sensitivity.rounded import rounded_weights
from iptq_mm.calibration.planner import Planner
from iptq_mm.registry import OBSERVERS

WIDTHS = (3, 4, 5, 6, 8)


def forms(*widths, group=0):
    return weight_forms(widths or WIDTHS, [group])


class Linears(nn.Module):
    """Two layers, linear but for a LayerNorm beside them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(12, 16), nn.Linear(16, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        return self.last(self.first(x))


def measured(backbone, batches, draws=1, cfg=None, moments=False):
    net, cfg = Net(copy.deepcopy(backbone)).eval(), cfg or config()
    records, inputs = observe(net, cfg, net, batches), None
    if moments:
        plan = Planner(records['backbone'], cfg).plan(type(backbone).__name__)
        inputs = measure(net, {'backbone': plan}, net, batches)
    tried = forms(group=cfg.weight.group), WIDTHS
    found = sensitivities(net, cfg, records, net, batches, *tried, draws, inputs)
    return found['backbone'], records['backbone'], cfg


@torch.no_grad()
def test_it_is_the_relative_error_of_the_outputs():
    """Of a linear model the first order is all; many draws tell it exactly."""
    net = Linears()
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    found, record, cfg = measured(net, [x], draws=400)
    real = net(x)
    power = real.square().sum(1)
    scale = OBSERVERS.build(cfg.weight.observer).scales
    for bits in (3, 6):
        step = scale(net.first.weight, bits)[:, None]
        most = 2 ** (bits - 1) - 1
        rounded = (net.first.weight / step).round().clamp(-most, most) * step
        error = x @ (rounded - net.first.weight).t() @ net.last.weight.t()
        wanted = float((error.square().sum(1) / power).mean())
        site = found['first/linear:0']
        assert site.weight_errors[WeightForm(bits)][0] / site.draws == pytest.approx(
            wanted, rel=0.2
        )

        q = Planner(record, cfg).operand('first/linear:0', bits)
        hidden = net.first(x)
        lost = q.dequantize(q.quantize(hidden)) - hidden
        error = lost @ net.last.weight.t()
        wanted = float((error.square().sum(1) / power).mean())
        site = found['last/linear:0']
        found_error = site.activation_errors[bits][0] / site.draws
        assert found_error == pytest.approx(wanted, rel=0.2)


@torch.no_grad()
def test_weights_count_as_they_will_be_rounded():
    """By the inputs, with factors of groups, and with a bias that makes up for it."""
    net = Linears()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator) @ torch.randn(3, 12) + 1
    power = net(x).square().sum(1)
    rounding = dict(type='second_order')
    cfg = config(weight=dict(bits=4, group=4, rounding=rounding, bias_correction=True))
    found, record, cfg = measured(net, [x], draws=100, cfg=cfg, moments=True)
    nearest, _, _ = measured(net, [x], draws=1)
    plan = Planner(record, cfg).plan('Linears')
    inputs = measure(Net(net), {'backbone': plan}, Net(net), [x])['backbone']
    made = rounded_weights(net, plan, record, cfg, inputs, forms(group=4))
    for form in forms(group=4):
        rounded = made['first.weight', form]
        lost = x @ rounded.error.t() + rounded.bias
        assert float(lost.mean().abs()) < 1e-2 * float(lost.abs().max())
        wanted = float(((lost @ net.last.weight.t()).square().sum(1) / power).mean())
        site = found['first/linear:0']
        by_outputs, by_channels = site.weight_errors[form]
        assert by_outputs / site.draws == pytest.approx(wanted, rel=0.3)
        assert wanted / 3 < by_channels / site.draws < 3 * wanted
    site = nearest['first/linear:0']
    grouped = found['first/linear:0'].error(WeightForm(3, 4), None)
    assert grouped < 0.3 * site.error(WeightForm(3), None)


class Upsampling(nn.Module):
    """A transposed convolution, and a product with a parameter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(3, 8, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.p = nn.Parameter(torch.randn(16, 5))

    def forward(self, x):
        return self.up(self.first(x)) @ self.p


@torch.no_grad()
def test_transposed_convolutions_and_products_with_parameters():
    """A weight counts as its site gets it; a parameter belongs to every image."""
    net = Upsampling()
    weight = dict(rounding=dict(type='second_order'), bias_correction=True)
    cfg, x = config(weight=weight), images(4, 3, 8, 8)
    found, record, cfg = measured(net, [x], draws=200, cfg=cfg, moments=True)
    (product,) = (seen for seen in found.values() if seen.operation == 'matmul')
    assert not product.weight and product.images == 4
    site = found['up/conv2d:0']
    plan = Planner(record, cfg).plan('Upsampling')
    inputs = measure(Net(net), {'backbone': plan}, Net(net), [x])['backbone']
    made = rounded_weights(net, plan, record, cfg, inputs, forms(3))
    made = made['up.weight', WeightForm(3)]
    assert made.error.shape == (24, 8, 1, 1) and made.bias.shape == (24,)
    up, real = copy.deepcopy(net.up), net(x)
    places = made.error.view(6, 2, 2, 8).permute(3, 0, 1, 2)
    up.weight += places
    up.bias += made.bias.view(6, 4)[:, 0]
    error = up(net.first(x)) @ net.p - real
    wanted = error.flatten(1).square().sum(1) / real.flatten(1).square().sum(1)
    by_outputs = site.weight_errors[WeightForm(3)][0] / site.draws
    assert by_outputs == pytest.approx(float(wanted.mean()), rel=0.3)


@torch.no_grad()
def test_wide_inputs_count_as_the_plan_takes_them():
    """Without the clipping that suits few bits."""
    module = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 8))
    module[0].weight[3] = 60
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    cfg = config(activation=dict(observer=dict(type='percentile', percentile=90.0)))
    net = Net(module).eval()
    records = observe(net, cfg, net, [x])
    found = sensitivities(net, cfg, records, net, [x], forms(8), (8, 16), 20)[
        'backbone'
    ]
    errors = found['1/linear:0'].activation_errors
    assert 0 < max(errors[16]) < 1e-4 * max(errors[8])


def test_every_product_of_a_vit():
    batches = [images(2, 3, 16, 16, seed=s) for s in range(2)]
    found, record, _ = measured(vit(dims=16, size=16), batches)
    products = {
        site
        for site, kind in record.operations.items()
        if kind in ('linear', 'conv2d', 'matmul')
    }
    assert found.keys() == products
    qkv = found['layers.0.attn.qkv/linear:0']
    assert (qkv.weight, qkv.numbers) == ('layers.0.attn.qkv.weight', 48 * 16)
    assert qkv.multiplications == 5 * 48 * 16 and qkv.draws == 4
    assert qkv.kernel['shapes'] == [[1, 5, 16], [48, 16]]
    for site in found.values():
        values = [site.error(bits if site.weight else None, bits) for bits in (3, 5, 8)]
        if site.operation != 'conv2d':
            assert values == sorted(values, reverse=True) and values[-1] > 0
    attention = [s for s in found.values() if 16 in s.kernel['given_bits']]
    assert len(attention) == 2  # probabilities times values
    again = SiteSensitivity.from_dict(qkv.to_dict())
    assert again == qkv


def test_it_ranks_plans_as_their_integers_do():
    """Of random bits everywhere, the predicted loss is in the order of the real one."""
    backbone = vit(dims=16, size=16)
    batches = [images(4, 3, 16, 16, seed=s) for s in range(2)]
    found, _, _ = measured(backbone, batches, draws=2)
    with torch.no_grad():
        real = torch.cat([backbone(batch)[0] for batch in batches])
    generator, predicted, lost = random.Random(1), [], []
    for level in range(9):
        overrides, loss = [], 0.0
        for site, seen in found.items():
            bits = [
                generator.choice(WIDTHS[i : i + 2]) for i in (level % 4, level // 3)
            ]
            form = WeightForm(bits[0]) if seen.weight else None
            loss += seen.error(form, bits[1])
            more = dict(weight=dict(bits=bits[0])) if seen.weight else {}
            where = f'backbone{site}' if site[0] == '/' else f'backbone.{site}'
            overrides.append(dict(where=where, activation=dict(bits=bits[1]), **more))
        net = quantized(backbone, batches, config(overrides=overrides))
        with torch.no_grad():
            integer = torch.cat([net(batch)[0] for batch in batches])
        predicted.append(loss)
        lost.append(float((integer - real).square().mean()))
    assert spearmanr(predicted, lost).statistic > 0.9


def test_fewer_bits_are_never_better_by_chance():
    errors = {4: [1e-3, 2e-3], 6: [1e-5, 3e-5], 8: [9e-5, 1e-5]}
    seen = SiteSensitivity('linear', draws=2, activation_errors=errors)
    four, six, eight = (seen.error(None, bits) for bits in (4, 6, 8))
    assert eight == 9e-5 / 2 and four == 2e-3 / 2
    assert eight < six < 1.01 * eight
    assert seen.error(None, 5) == 0  # not measured


def test_finer_forms_of_weights_are_never_worse_by_chance():
    coarse, fine, more = WeightForm(4, 16), WeightForm(4, 8), WeightForm(5, 32)
    errors = {coarse: [0, 1e-3], fine: [0, 2e-3], more: [0, 3e-3], (8, 0): [0, 4e-3]}
    seen = SiteSensitivity(
        'linear',
        'w',
        draws=1,
        weight_errors={WeightForm(*f): e for f, e in errors.items()},
    )
    assert seen.error(WeightForm(8), None) == 4e-3
    assert all(4e-3 < seen.error(form, None) < 4.1e-3 for form in (coarse, fine, more))
    assert seen.error(coarse, None) >= seen.error(fine, None)
    # Five bits with larger groups are neither coarser nor finer than four.
    assert coarse.steps_to(more) is None and more.steps_to(coarse) is None
    assert seen.error(WeightForm(3, 8), None) == 0  # not measured
    again = SiteSensitivity.from_dict(json.loads(json.dumps(seen.to_dict())))
    assert again == seen


def test_forms_without_factors_are_one():
    assert weight_form(8, 16) == WeightForm(8) and weight_form(4, 16).group == 16
    assert weight_forms([4, 8], [8, 16]) == [(4, 8), (4, 16), (8, 0)]
