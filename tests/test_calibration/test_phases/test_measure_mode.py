"""Moments of what weights get: exact, the same for any batches."""

import copy

import pytest
import torch
from region_models import (
    Custom,
    calibrated,
    config,
    images,
    mmdet_swin,
    rows,
    tensors,
)

from iptq_mm.calibration.phases import measure_mode
from iptq_mm.calibration.phases.freeze import quantize_parameters
from iptq_mm.calibration.phases.measure_mode import Inputs, Measuring
from iptq_mm.calibration.sampling import drawn_rows
from iptq_mm.modes import running
from iptq_mm.patches import patches


def measured(net, plan, batches):
    inputs = {}
    with torch.no_grad(), running(net, {'backbone': Measuring(plan, inputs)}):
        outputs = [net(batch) for batch in batches]
    return inputs, outputs


def test_moments_are_those_of_the_quantized_inputs():
    module = Custom(lambda self, x: self.last(x))
    batches = [rows(seed=s) for s in range(3)]
    net, plan, _ = calibrated(module, batches)
    inputs, outputs = measured(net, plan, batches)
    assert {name for name, _ in inputs} == {'first.weight', 'last.weight'}
    seen = next(i for (name, _), i in inputs.items() if name == 'first.weight')
    x = torch.cat(batches).flatten(0, 1)
    qparams = plan.inputs['input:0']
    q = qparams.quantize(x).double()
    assert torch.equal(seen.moments.second, q.T @ q)
    assert torch.equal(seen.moments.sum, q.sum(0))
    # Real means are kept in 1/256 of a step.
    limit = qparams.scale / 512
    assert (seen.real_mean - x.double().mean(0)).abs().max() <= limit
    with torch.no_grad():
        for batch, output in zip(batches, outputs, strict=True):
            torch.testing.assert_close(output, module(batch))


def test_batches_make_no_difference():
    model = mmdet_swin()
    x = images(4, 3, 40, 36)
    net, plan, _ = calibrated(model, [x])
    one, _ = measured(net, plan, [x])
    two, _ = measured(net, plan, [x[:1], x[1:]])
    merged, _ = measured(net, plan, [x[:3]])
    rest, _ = measured(net, plan, [x[3:]])
    assert one.keys() == two.keys() == merged.keys()
    for key, seen in one.items():
        merged[key].merge(rest[key])
        for other in (two[key], merged[key]):
            # Float32 sums of the model itself may differ in their last bits.
            assert other.moments.count == seen.moments.count
            torch.testing.assert_close(
                other.moments.second, seen.moments.second, rtol=1e-2, atol=200
            )


def test_patches_of_a_convolution():
    model = mmdet_swin()
    x = images(1, 3, 32, 32)
    net, plan, _ = calibrated(model, [x])
    inputs, _ = measured(net, plan, [x])
    (seen,) = [
        i for (n, _), i in inputs.items() if n == 'patch_embed.projection.weight'
    ]
    weight = model.patch_embed.projection.weight
    q = plan.inputs['input:0'].quantize(x)
    expected = patches(q, weight.shape, 4).double()
    assert torch.equal(seen.moments.second, expected.T @ expected)


def test_grouped_convolutions_are_left_out():
    class Grouped(Custom):
        def __init__(self):
            super().__init__(lambda self, x: self.last(x))
            self.conv = torch.nn.Conv2d(8, 8, 3, groups=4, padding=1)

        def forward(self, x):
            x = self.conv(x.mT[:, :, None]).squeeze(2).mT
            return self.last(self.norm(self.first(x)))

    module = Grouped()
    net, plan, _ = calibrated(module, [rows()])
    inputs, _ = measured(net, plan, [rows()])
    assert 'conv.weight' not in {name for name, _ in inputs}


def test_inputs_merge():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(20, 5, generator=generator)
    q = (real / 0.02).round().clamp(-127, 127).to(torch.int8)
    whole, first, second = (Inputs(5, 0.02) for _ in range(3))
    whole.update(q, real)
    first.update(q[:7], real[:7])
    second.update(q[7:], real[7:])
    first.merge(copy.deepcopy(second))
    assert torch.equal(first.fine, whole.fine)
    assert torch.equal(first.real_mean, whole.real_mean)
    with pytest.raises(ValueError, match='do not'):
        first.merge(Inputs(4, 0.02))


def test_every_output_is_the_float_one():
    model = mmdet_swin()
    x = images(2, 3, 32, 32)
    net, plan, _ = calibrated(model, [x])
    _, outputs = measured(net, plan, [x])
    with torch.no_grad():
        for real, seen in zip(tensors(model(x)), tensors(outputs), strict=True):
            torch.testing.assert_close(seen, real, rtol=1e-4, atol=1e-4)


def test_guided_rows_count_by_what_the_outputs_make_of_them():
    # The output sees the first token ten times as large as the others.
    gains = torch.tensor([10.0, 1.0, 1.0, 1.0])[:, None]

    def forward(self, x):
        y = self.last(x)
        return torch.cat([y[:, :1] * 10, y[:, 1:]], 1)

    module = Custom(forward)
    batch = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    net, plan, _ = calibrated(module, [batch])
    inputs = {}
    mode = Measuring(plan, inputs, guided=True)
    with torch.no_grad(), running(net, {'backbone': mode}):
        net(batch)
        assert not any(i.moments.count for i in inputs.values())
        mode.finish()
    with torch.no_grad():
        hidden = module.norm(module.first(batch))
    qparams = plan.sites['norm/layer_norm:0'].output
    q = qparams.quantize(hidden).double()
    seen = inputs['last.weight', qparams.scale]
    # Squared gains, over their mean of each image, times 16.
    weights = (gains.square() / gains.square().mean() * 16).round().clamp(min=1)
    assert weights.flatten().tolist() == [62, 1, 1, 1]
    assert seen.moments.count == 2 * 65
    weighted = (q * weights).flatten(0, 1)
    assert torch.equal(seen.moments.second, weighted.T @ q.flatten(0, 1))
    mean = (hidden.double() * weights).flatten(0, 1).sum(0) / 130
    assert (seen.real_mean - mean).abs().max() <= seen.moments.scale / 512


def test_what_is_clipped_is_no_part_of_the_mean():
    """A massive value would move all other rows: it counts to the end of the range."""
    module = Custom(lambda self, x: self.last(x))
    usual = rows(20, seed=1)
    net, plan, _ = calibrated(module, [usual])
    qparams = plan.inputs['input:0']
    massive = usual.clone()
    massive[0, 3] = 1e4
    means = []
    for batch in (usual, massive):
        inputs, _ = measured(net, plan, [batch])
        seen = next(i for (name, _), i in inputs.items() if name == 'first.weight')
        assert (seen.real_mean - seen.moments.mean).abs().max() < qparams.scale / 2
        means.append(seen.real_mean)
    moved = (means[1] - means[0]).abs()
    end = (qparams.qmax + 1) * qparams.scale
    assert 0 < moved[3] <= (end - float(usual[0, 3])) / len(usual)
    assert moved[:3].max() == moved[4:].max() == 0


@pytest.mark.parametrize('guided', [False, True])
def test_large_maps_are_looked_at_here_and_there(monkeypatch, guided):
    model = mmdet_swin()
    x = images(2, 3, 64, 48)  # 16 x 12 positions each
    net, plan, _ = calibrated(model, [x])
    monkeypatch.setattr(measure_mode, 'moment_rows', lambda features, images: 100)
    inputs = {}
    mode = Measuring(plan, inputs, guided)
    with torch.no_grad(), running(net, {'backbone': mode}):
        net(x)
        mode.finish()
    (key,) = [key for key in inputs if key[0] == 'patch_embed.projection.weight']
    q = plan.inputs['input:0'].quantize(x)
    weight = model.patch_embed.projection.weight
    # Each second column.
    seen = patches(q, weight.shape, (4, 8)).double()
    found = inputs[key].moments
    if guided:
        assert found.count > len(seen) and found.sum.any()
    else:
        assert found.count == len(seen)
        assert torch.equal(found.second, seen.T @ seen)


@pytest.mark.parametrize('guided', [False, True])
def test_some_rows_of_each_image_count(monkeypatch, guided):
    module = Custom(lambda self, x: self.last(x))
    batch = torch.randn(3, 40, 8, generator=torch.Generator().manual_seed(0))
    net, plan, _ = calibrated(module, [batch])
    monkeypatch.setattr(measure_mode, 'moment_rows', lambda features, images: 10)
    asked = []
    monkeypatch.setattr(
        measure_mode, 'drawn_rows', lambda *a: asked.append(a[1:]) or drawn_rows(*a)
    )
    together, alone = {}, {}
    for inputs, batches in ((together, [batch]), (alone, [*batch.split(1)])):
        mode = Measuring(plan, inputs, guided, calibrating=3)
        with torch.no_grad(), running(net, {'backbone': mode}):
            for one in batches:
                net(one)
                mode.finish()
    assert {*asked} == {(3, 10), (1, 10)}
    for key, seen in together.items():
        assert (seen.moments.count == 3 * 10) is not guided
        assert torch.equal(seen.moments.second, alone[key].moments.second)
        assert torch.equal(seen.fine, alone[key].fine)
    q = plan.inputs['input:0'].quantize(drawn_rows(batch, 3, 10)).double().flatten(0, 1)
    first = next(i for (name, _), i in together.items() if name == 'first.weight')
    assert guided or torch.equal(first.moments.second, q.T @ q)


def test_layers_of_very_many_inputs_are_left_out(monkeypatch):
    module = Custom(lambda self, x: self.last(x))
    net, plan, record = calibrated(module, [rows()])
    monkeypatch.setattr(measure_mode, 'MAX_FEATURES', 8)
    inputs, _ = measured(net, plan, [rows()])
    assert {name for name, _ in inputs} == {'first.weight'}  # of 8 inputs
    cfg = config(weight=dict(bits=8, rounding=dict(type='second_order')))
    integers = quantize_parameters(net.backbone, plan, record, cfg, inputs)
    assert integers['last.weight'].shape == (16, 16)
