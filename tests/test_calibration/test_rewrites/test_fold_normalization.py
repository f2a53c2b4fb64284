"""Regions that take pixels."""

import copy

import pytest
import torch
from pixel_models import MEAN, STD, Model, Padding, config, fold, pictures
from region_models import mmdet_swin, same, spread, vit
from torch import nn

from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.pixels import pixels_of
from iptq_mm.program import load_program, save_program, trace, use_backend

MODELS = {
    'vit': (vit, (2, 3, 32, 32)),
    'swin that pads': (mmdet_swin, (1, 3, 63, 70)),
    'convolution that pads': (lambda: spread(Padding(padding=(1, 2))), (2, 3, 17, 20)),
}


@pytest.mark.parametrize('build, shape', MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_float_model_stays(build, shape):
    model = Model(build())
    image = pictures(*shape)
    before = model.test_step(image)
    assert fold(model, [image]) == {'backbone': ''}
    pixels = pixels_of(model.backbone)
    assert pixels.mean == pytest.approx(MEAN) and pixels.std == pytest.approx(STD)
    # Bare, the module now takes centred pixels; where it pads, 0 is not the mean.
    after = model.backbone(image.float() - 128)
    if build is vit:
        for x, y in zip(before, after, strict=True):
            assert torch.allclose(x, y, atol=1e-4)


@pytest.mark.parametrize('build, shape', MODELS.values(), ids=MODELS)
@torch.no_grad()
@pytest.mark.slow
def test_integers(build, shape, tmp_path):
    model = Model(build())
    floats = copy.deepcopy(model)
    batches = [pictures(*shape, seed=s) for s in range(3)]
    bits = dict(weight=dict(bits=6), activation=dict(bits=6))
    result = quantize_model(model, config(**bits), batches)
    assert result.plans['backbone'].inputs['input:0'].bits == 8  # of six otherwise
    model.eval()
    x = floats.normalized(batches[0])
    expected, found = floats.backbone(x), model.backbone(x)
    error, size = (expected[0] - found[0]).norm(), expected[0].norm()
    assert error < 0.2 * size  # six bits; without the mean it is wrong altogether
    assert same(model.backbone(batches[0]), found)  # uint8, never a float
    program = trace(model.backbone, (x,)).program
    assert program.inputs[0].pixels == pixels_of(model.backbone)
    assert 'pixels - 128' in str(program)
    save_program(program, tmp_path / 'p.pth')
    assert load_program(tmp_path / 'p.pth').inputs == program.inputs
    for backend in ('reference', 'native', 'onnx'):
        use_backend(model, backend)
        assert same(model.backbone(x), found)
        assert same(model.backbone(batches[0]), found)


def test_pixels_reach_the_first_layer_exactly():
    """No error but that of the weights, which 8 bits hold here."""
    model = Model(spread(Padding(padding=1)))
    with torch.no_grad():  # weights that are integers after folding
        whole = torch.randint(-127, 128, model.backbone.first.weight.shape)
        whole[:, 0, 0, 0] = 127
        std = torch.tensor(STD).view(1, 3, 1, 1)
        model.backbone.first.weight.copy_(whole.double() * std / 127)
    floats = copy.deepcopy(model)
    batches = [pictures(2, 3, 16, 16, seed=s) for s in range(4)]
    quantize_model(model, config(wide=dict(bits=16)), batches)
    with torch.no_grad():
        expected, found = floats.test_step(batches[0]), model.test_step(batches[0])
    # At the border, zeros are half a pixel away.
    inner = (expected - found)[:, 1:, 1:]
    assert inner.norm() < 2e-3 * expected[:, 1:, 1:].norm()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 2), nn.Conv2d(3, 4, 2)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        return self.norm((self.a(x) + self.b(x)).permute(0, 2, 3, 1))


def reason(backbone, image=None, **normalization):
    model = Model(spread(backbone), **normalization)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = fold(model, [pictures(1, 3, 8, 8) if image is None else image])
    assert pixels_of(model.backbone) is None
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    return found['backbone']


def test_obstacles():
    assert '2 operations' in reason(Two())
    assert 'no bias' in reason(Padding(bias=False))
    rest = pictures(1, 3, 8, 8).float() + 0.3
    assert 'no image of 8-bit pixels' in reason(Padding(), rest)
    assert 'no mean and std' in reason(
        Padding(), pictures(1, 3, 8, 8).float(), mean=None
    )


def test_words_for_padding():
    with pytest.raises(Exception, match='pixels=False'):
        model = Model(spread(Padding(padding=(1, 1))))
        model.backbone.first.padding, model.backbone.first.stride = 'same', (1, 1)
        fold(model, [pictures(1, 3, 8, 8)])
