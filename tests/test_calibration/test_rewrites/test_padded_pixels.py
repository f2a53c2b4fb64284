"""Regions that take pixels of images that are padded after normalization."""

import copy

import pytest
import torch
from pixel_models import Padded, Padding, config, fold, of_sizes
from region_models import mmdet_swin, same, spread, sqnr, vit

from iptq_mm.calibration import fold_normalization
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.models.quantized import await_plan
from iptq_mm.pixels import pixels_of
from iptq_mm.program import Deployed, save_program, trace, use_backend

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


@pytest.mark.slow
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
