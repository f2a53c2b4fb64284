"""iptq_mm.quantize: batches of any form, regions, settings, files, errors."""

import json
import re

import pytest
import torch
from region_models import CANDIDATES
from torch import nn
from torch.nn import functional as F

import iptq_mm
from iptq_mm.calibration import ConfigError
from iptq_mm.engine.any_torch.calling import calibration_batches, rows_of
from iptq_mm.engine.any_torch.presets import FOLDER, preset_settings
from iptq_mm.modes import bound_region
from iptq_mm.plan import PlanError
from iptq_mm.program import Deployed

FEW = dict(candidates=CANDIDATES, weight=dict(rounding=dict(type='nearest')))


class Tiny(nn.Module):
    """A block of a transformer on images, in plain torch."""

    def __init__(self, dims=16):
        super().__init__()
        self.patches = nn.Conv2d(3, dims, 4, 4)
        self.norm, self.last = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.qkv, self.out = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)
        self.hidden = nn.Sequential(nn.Linear(dims, 32), nn.GELU(), nn.Linear(32, dims))
        self.head = nn.Linear(dims, 5)

    def forward(self, image, gain=1.0):
        x = self.patches(image).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v))
        x = x + self.hidden(self.last(x))
        return {'logits': self.head(x.mean(1)) * gain, 'features': x}


class LikeMM(Tiny):
    """Its ``train`` and ``eval`` return nothing, as those of mm's backbones."""

    def train(self, mode=True):
        super().train(mode)


def test_a_model_whose_eval_returns_nothing(tmp_path):
    batches = [torch.randn(2, 3, 16, 16) for _ in range(2)]
    quantized = iptq_mm.quantize(LikeMM(), batches, settings=FEW)
    quantized.save(tmp_path / 'model.pth')
    again = iptq_mm.load(LikeMM(), tmp_path / 'model.pth')
    made, other = quantized(batches[0]), again(batches[0])
    assert torch.equal(made['logits'], other['logits'])


class Odd(Tiny):
    """Has an operation without a rule after its block."""

    def forward(self, image):
        return torch.fft.fft(super().forward(image)['logits']).real


class Mixed(nn.Module):
    """A block of two parts with a LayerNorm each."""

    def __init__(self, dims=16):
        super().__init__()
        self.norm, self.last = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.tokens, self.hidden = nn.Linear(dims, dims), nn.Linear(dims, dims)

    def forward(self, x):
        x = x + F.gelu(self.tokens(self.norm(x)))
        return x + F.gelu(self.hidden(self.last(x)))


def images(count=3, batch=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 3, 16, 16, generator=generator) for _ in range(count)]


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return Tiny().eval()


@pytest.fixture(scope='module')
def quantized(model):
    return iptq_mm.quantize(model, images(), settings=FEW)


def test_the_result(model, quantized):
    x = images()[0]
    assert bound_region(model) is None and type(model) is Tiny
    assert isinstance(quantized.model, Tiny)
    assert bound_region(quantized.model).name == 'model'
    with torch.no_grad():
        found = quantized.model(x)
    assert found.keys() == {'logits', 'features'}
    assert all(torch.equal(found[k], quantized(x)[k]) for k in found)
    assert quantized.model.head.weight.dtype == torch.int8
    assert quantized.plan.keys() == {'model'}
    report = json.loads(json.dumps(quantized.report))
    assert report['regions'] == ['model'] and report['audit']['holds']
    assert report['decibels'].keys() == {'output:0', 'output:1'}
    assert min(report['decibels'].values()) > 25
    kinds = {name.partition('/')[2] for name in report['functions']}
    assert {'softmax:0', 'gelu:0', 'layer_norm:0'} <= kinds
    assert report['bytes']['integer'] < report['bytes']['float'] / 2
    assert report['samples'] == 6 and report['preset'] == 'w8a8'


def test_batches_of_any_form(quantized, model):
    """The same numbers make the same plan, and the model takes the same batches."""
    expected = quantized.plan['model'].to_dict()
    first = images()[0]
    answer = quantized.model(first)['logits']
    labels = torch.zeros(2), 'name'
    for batches, batch in (
        (((x, *labels) for x in images()), (first, *labels)),
        ([dict(image=x) for x in images()], dict(image=first)),
        (torch.utils.data.DataLoader(torch.cat(images()), batch_size=2), first),
    ):
        made = iptq_mm.quantize(model, batches, settings=FEW)
        assert made.plan['model'].to_dict() == expected
        assert torch.equal(made(batch)['logits'], answer)
    assert torch.equal(quantized(image=first)['logits'], answer)
    own = iptq_mm.quantize(
        model,
        [[dict(x=x)] for x in images()],
        settings=FEW,
        forward=lambda model, batch: model(batch[0]['x']),
    )
    assert own.plan['model'].to_dict() == expected
    assert torch.equal(own([dict(x=first)])['logits'], answer)


def test_as_many_samples_as_the_preset_wants(model):
    kept = calibration_batches(iter(images(9)), model, 5)
    assert [rows_of(x) for x in kept] == [2, 2, 2]
    assert len(calibration_batches(images(1)[0], model, 5)) == 1
    assert rows_of({'n': 3, 'x': torch.zeros(4, 2)}) == 4 and rows_of('x') == 1
    with pytest.raises(ConfigError, match='batches is empty'):
        calibration_batches([], model, 5)
    with pytest.raises(ConfigError, match='batches is int: give an iterable'):
        calibration_batches(3, model, 5)


@pytest.mark.parametrize('preset', sorted(p.stem for p in FOLDER.glob('*.py')))
def test_presets_are_those_of_configs(preset):
    config = preset_settings(preset, ['model'], 4, None)
    weight, activation = map(int, re.findall(r'\d', preset))
    assert (config.weight.bits, config.activation.bits) == (weight, activation)
    assert config.regions == ['model'] and not config.pixels
    assert config.calibration.batch_size == 4
    assert config.calibration.num_images >= 128


def test_settings_in_place_of_those_of_a_preset():
    given = dict(calibration=dict(num_images=7), wide=dict(bits=12))
    config = preset_settings('w8a8', ['model'], 4, given)
    assert config.calibration.num_images == 7 and config.wide.bits == 12
    assert config.wide.observer == dict(type='minmax')
    other = dict(activation=dict(observer=dict(_delete_=True, type='minmax')))
    for _ in range(2):  # the marks are still there
        config = preset_settings('w8a8', ['model'], 4, other)
        assert config.activation.observer == dict(type='minmax')
    mirrored = dict(calibration=dict(mirrored=True))
    with pytest.raises(ConfigError, match='calibration.mirrored is for configs'):
        preset_settings('w8a8', ['model'], 4, mirrored)
    with pytest.raises(ConfigError, match="no preset 'w9': there are"):
        preset_settings('w9', ['model'], 4, None)


def test_parts_of_a_model(model):
    made = iptq_mm.quantize(model, images(), regions=['hidden', 'head'], settings=FEW)
    assert made.report['regions'] == ['hidden', 'head']
    assert bound_region(made.model) is None
    assert made.model.hidden[0].weight.dtype == torch.int8
    assert made.model.qkv.weight.dtype == torch.float32
    with pytest.raises(ConfigError, match="no part 'heads'"):
        iptq_mm.quantize(model, images(), regions=['heads'], settings=FEW)


def test_a_model_without_a_rule():
    torch.manual_seed(0)
    model = Odd().eval()
    with pytest.raises(ConfigError, match='no integer rule for torch.fft') as error:
        iptq_mm.quantize(model, images(), settings=FEW)
    assert "pass regions=['patches', 'norm'," in str(error.value)
    made = iptq_mm.quantize(model, images(), regions='auto', settings=FEW)
    assert made.report['regions'] == [
        'patches',
        'norm',
        'last',
        'qkv',
        'out',
        'hidden',
        'head',
    ]


def test_saved_and_loaded(model, quantized, tmp_path):
    path, x = tmp_path / 'tiny.pth', images()[0]
    quantized.save(path)
    again = iptq_mm.load(Tiny(), path, backend='reference')
    with torch.no_grad():
        found, expected = again.model(x), quantized.model(x)
    assert all(torch.equal(found[k], expected[k]) for k in expected)
    assert again.report == json.loads(json.dumps(quantized.report))
    assert again.plan['model'].to_dict() == quantized.plan['model'].to_dict()
    with pytest.raises(ConfigError, match='give a batch'):
        again.export(tmp_path / 'tiny.program')
    with pytest.raises(PlanError, match='made for another model'):
        iptq_mm.load(Tiny(32), path)
    with pytest.raises(PlanError, match='made for another model'):
        iptq_mm.load(nn.Linear(2, 2), path)
    torch.save({'state_dict': {}}, path)
    with pytest.raises(PlanError, match='was not written by save'):
        iptq_mm.load(Tiny(), path)


def test_parts_saved_and_loaded(model, tmp_path):
    made = iptq_mm.quantize(model, images(), regions=['hidden'], settings=FEW)
    made.save(tmp_path / 'part.pth')
    again = iptq_mm.load(Tiny(), tmp_path / 'part.pth')
    x = images()[0]
    with torch.no_grad():
        assert torch.equal(again.model(x)['logits'], made.model(x)['logits'])
    with pytest.raises(PlanError, match="no part 'hidden'"):
        iptq_mm.load(nn.Linear(2, 2), tmp_path / 'part.pth')


def test_exported(quantized, tmp_path):
    x = images()[-1]
    program = quantized.export(tmp_path / 'tiny.program')
    assert program.input_shapes == [(2, 3, 16, 16)]
    logits, features = Deployed.load(tmp_path / 'tiny.program', 'reference')(x)
    with torch.no_grad():
        expected = quantized.model(x)
    assert torch.equal(logits, expected['logits'])
    assert torch.equal(features, expected['features'])
    quantized.export(tmp_path / 'tiny.onnx', x[:1])
    assert (tmp_path / 'tiny.onnx').stat().st_size > 1000


def test_a_back_end(model, quantized):
    made = iptq_mm.quantize(model, images(), backend='native', settings=FEW)
    assert bound_region(made.model).session.name == 'native'
    x = images()[0]
    with torch.no_grad():
        assert torch.equal(made.model(x)['logits'], quantized.model(x)['logits'])
    with pytest.raises(KeyError, match='no back end'):
        iptq_mm.quantize(model, images(), backend='gpu', settings=FEW)


def test_blocks_learn(model):
    # The region is the whole model, and it is called as one.
    settings = dict(FEW, weight=dict(bits=4), reconstruction=dict(epochs=2))
    stacked = nn.Sequential(
        nn.Sequential(model.patches, nn.Flatten(2)), nn.Sequential(Mixed(), Mixed())
    ).eval()
    made = iptq_mm.quantize(stacked, images(), settings=settings)
    learned = made.report['reconstruction']['decibels']
    assert {'model.1.0', 'model.1.1'} <= learned.keys()
    assert all(after >= before for before, after in learned.values())
