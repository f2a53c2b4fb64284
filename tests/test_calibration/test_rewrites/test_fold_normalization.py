"""Regions that take pixels."""

import copy

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from region_models import CANDIDATES, Net, mmdet_swin, same, spread, sqnr, vit
from torch import nn

from iptq_mm.calibration import QuantizationConfig, fold_normalization
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.models.quantized import await_plan
from iptq_mm.pixels import pixels_of
from iptq_mm.program import Deployed, load_program, save_program, trace, use_backend

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Model(Net):
    """As much of an mm model as calibration needs."""

    def __init__(self, backbone: nn.Module, **normalization) -> None:
        super().__init__(backbone)
        self.data_preprocessor = ImgDataPreprocessor(
            **(normalization or dict(mean=MEAN, std=STD))
        )
        self.eval()

    def normalized(self, image: torch.Tensor) -> torch.Tensor:
        return self.data_preprocessor({'inputs': list(image)})['inputs']

    def test_step(self, image: torch.Tensor):
        return self.backbone(self.normalized(image))


class Padding(nn.Module):
    """A first layer that pads, with a norm so that there is a transformer's part."""

    def __init__(self, **conv) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, **conv)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        return self.norm(self.first(x).permute(0, 2, 3, 1))


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def config(pixels: bool = True, **options) -> QuantizationConfig:
    given = dict(regions=['backbone'], pixels=pixels, **options)
    return QuantizationConfig.from_dict(given, CANDIDATES)


def fold(model: Model, batches) -> dict[str, str]:
    return fold_normalization(model, config(), model.test_step, batches)


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


def preprocessor(kind: str, divisor: int = 32, value: float = 0) -> nn.Module:
    """One of mm's own, which pads what it has normalized."""
    options = dict(mean=MEAN, std=STD, pad_size_divisor=divisor, pad_value=value)
    if kind == 'mmdet':
        from mmdet.models import DetDataPreprocessor

        return DetDataPreprocessor(bgr_to_rgb=True, **options)
    if kind == 'mmpretrain':
        from mmpretrain.models import ClsDataPreprocessor

        return ClsDataPreprocessor(**options)
    return ImgDataPreprocessor(**options)


class Padded(Model):
    """A model whose images have sizes of their own."""

    def __init__(self, backbone: nn.Module, kind: str = 'mmdet', **options) -> None:
        super().__init__(backbone)
        self.data_preprocessor = preprocessor(kind, **options)
        self.eval()

    def normalized(self, images: list[torch.Tensor]) -> torch.Tensor:
        batch = {'inputs': images}
        if type(self.data_preprocessor).__name__ == 'DetDataPreprocessor':
            from mmdet.structures import DetDataSample

            batch['data_samples'] = [DetDataSample() for _ in images]
        return self.data_preprocessor(batch)['inputs']


def of_sizes(*sizes: tuple[int, int], seed: int = 0) -> list[torch.Tensor]:
    return [pictures(3, *size, seed=seed + i) for i, size in enumerate(sizes)]


SIZES = {
    'one that is padded': ([(60, 90)],),
    'sizes that differ': ([(64, 64), (60, 64)],),
    'a later batch': ([(64, 64)], [(57, 61)]),
}


@pytest.mark.parametrize('kind', ['mmengine', 'mmdet', 'mmpretrain'])
@pytest.mark.parametrize('sizes', SIZES.values(), ids=SIZES)
@torch.no_grad()
def test_padding_after_normalization(kind, sizes):
    model = Padded(mmdet_swin(), kind)
    batches = [of_sizes(*batch, seed=9 * i) for i, batch in enumerate(sizes)]
    x = model.normalized(batches[-1])
    assert (x == 0).all(1).any()
    before = model.backbone(x)
    assert fold(model, batches) == {'backbone': ''}
    pixels = pixels_of(model.backbone)
    assert pixels.marked and model.backbone.patch_embed.projection.weight.shape[1] == 4
    after = model.backbone(pixels.centred(x))
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_no_marks_where_none_are_needed():
    model = Padded(vit(), 'mmdet')
    assert fold(model, [of_sizes((32, 32))]) == {'backbone': ''}
    assert not pixels_of(model.backbone).marked
    model = Padded(spread(Padding()), divisor=8)
    model.data_preprocessor.mean[:] = torch.tensor([124.0, 0, 255]).view(3, 1, 1)
    assert fold(model, [of_sizes((5, 7))]) == {'backbone': ''}
    assert not pixels_of(model.backbone).marked


def test_padding_with_other_values_is_no_pixel():
    model = Padded(spread(Padding()), divisor=8, value=0.123)
    assert 'off by' in fold(model, [of_sizes((5, 7))])['backbone']


@torch.no_grad()
def test_integers_where_images_are_padded(tmp_path):
    """All back ends, a file and a loaded model agree; nothing is lost by pixels."""
    batches = [of_sizes((60, 90), (50, 77), seed=3 * s) for s in range(3)]
    floats, found = Padded(mmdet_swin()), {}
    x = floats.normalized(batches[0])
    expected = floats.backbone(x)
    for pixels in (False, True):
        model = copy.deepcopy(floats)
        quantize_model(model, config(pixels), batches)
        model.eval()
        found[pixels] = sqnr(expected, model.backbone(x))
    assert found[True] > found[False] - 0.2
    eager = model.backbone(x)
    images = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    eager_pixels = model.backbone(images)
    program = trace(model.backbone, (x,)).program
    assert program.input_shapes == [(2, 3, 64, 96)]
    save_program(program, tmp_path / 'p')
    loaded = Padded(mmdet_swin())
    await_plan(loaded.backbone)
    loaded.load_state_dict(model.state_dict())
    assert same(loaded.backbone(x), eager)
    for backend in ('reference', 'native', 'onnx'):
        use_backend(loaded, backend)
        assert same(loaded.backbone(x), eager)
        assert same(loaded.backbone(images), eager_pixels)
        assert same(loaded.backbone(x.double()), eager)
        deployed = Deployed.load(tmp_path / 'p', backend)
        assert same(deployed(x), list(eager))
        assert same(deployed(images), list(eager_pixels))
    # Another checkpoint may have no marks.
    plain = Padded(mmdet_swin())
    quantize_model(plain, config(), [of_sizes((64, 96))])
    use_backend(loaded, None)
    loaded.load_state_dict(plain.state_dict())
    assert same(loaded.backbone(x), plain.eval().backbone(x))


WEIGHTS = {
    'nearest': dict(bits=8),
    'corrected': dict(bits=8, bias_correction=True),
    'few bits': dict(bits=4, bias_correction=True, rounding=dict(type='second_order')),
}


@pytest.mark.parametrize('options', WEIGHTS.values(), ids=WEIGHTS)
@torch.no_grad()
def test_padding_is_exact_in_integers(options):
    """A window of padding makes the bias, whatever rounding did to the weights."""
    net = spread(Padding())
    # A norm makes much of what is beside a bias as small as this.
    net.first.bias.mul_(1e-3)
    floats = Padded(net)
    batches = [of_sizes((20, 30), seed=s) for s in range(3)]
    x = floats.normalized(batches[0])
    assert (x[:, :, 20:] == 0).all()
    expected, errors = floats.backbone(x), []
    for pixels in (True, False):
        model = copy.deepcopy(floats)
        quantize_model(model, config(pixels, weight=options), batches)
        found = model.eval().backbone(x)
        rows = expected[:, 10:]  # whose windows have nothing else
        errors.append(float((found[:, 10:] - rows).norm() / rows.norm()))
    assert errors[0] < max(1.1 * errors[1], 1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_compiled_where_images_are_padded():
    model = Padded(spread(Padding()), divisor=8)
    batches = [of_sizes((20, 30), seed=s) for s in range(2)]
    quantize_model(model, config(), batches)
    x = model.normalized(batches[0])
    eager = model.eval().backbone(x)
    use_backend(model, 'compiled')
    assert same(model.backbone(x), eager)


def test_ranks_decide_together():
    """As if each rank had the batches of all."""

    def gathered(mine):
        return [mine, {'backbone': ('', True)}]

    def refused(mine):
        return [mine, {'backbone': ('dark in another rank', False)}]

    for gather, reason in ((gathered, ''), (refused, 'dark in another rank')):
        model = Padded(spread(Padding()), divisor=1)
        forward, batches = model.test_step, [of_sizes((8, 8))]
        found = fold_normalization(model, config(), forward, batches, gather)
        assert found == {'backbone': reason}
        pixels = pixels_of(model.backbone)
        assert (pixels is None) == bool(reason) and (reason or pixels.marked)
