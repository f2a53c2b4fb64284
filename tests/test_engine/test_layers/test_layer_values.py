"""What is compared at a layer: the same values as hooks see, in the float scale."""

import copy
import csv
import functools

import pytest
import tiny_models
import torch
from mmengine.config import Config
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.criteria.errors import CandidateErrors
from iptq_mm.engine.layers import comparing, draw_histogram, draw_layers, pictures
from iptq_mm.engine.layers.models import Models, images
from iptq_mm.engine.layers.pictures import site_named
from iptq_mm.engine.layers.watching import MOST, Seen, restored, sampled
from iptq_mm.engine.loading.models import build_model, load_quantized, read_config
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes import Integer, regions_in
from iptq_mm.plan import load_plan

pytestmark = pytest.mark.usefixtures('one_thread')


def hooked(model, batch):
    """Real operand and result of every GELU module, by path in the backbone."""
    seen, handles = {}, []

    def real(x):
        x = x.real_values() if hasattr(x, 'real_values') else x
        return x.detach().clone()

    def hook(name, module, args, y):
        seen[name] = real(args[0]), real(y)

    for name, module in model.backbone.named_modules():
        if isinstance(module, nn.GELU):
            named = functools.partial(hook, name)
            handles.append(module.register_forward_hook(named))
    with torch.no_grad():
        model.test_step(copy.deepcopy(batch))
    for handle in handles:
        handle.remove()
    return seen


def test_layers_are_those_that_hooks_see(vit_run):
    models = Models(vit_run.config, [vit_run.folder])
    batches = images(models.cfg, 'test', 3)
    written = draw_layers(vit_run.config, [vit_run.folder], count=3)
    real = build_model(read_config(vit_run.config))
    integer = load_quantized(vit_run.folder / 'integer.py')[1]
    expected = {}
    for batch in batches:
        floats, integers = hooked(real, batch), hooked(integer, batch)
        assert len(floats) == 2
        for name, (operand, result) in floats.items():
            errors = expected.setdefault(f'backbone:{name}/gelu:0', CandidateErrors())
            mine = integers[name]
            errors.add_batch(result, mine[1], operand, mine[0], images=1)
    with open(written[2]) as file:
        lines = {line['site']: line for line in csv.DictReader(file)}
    assert len(lines) == 9 and {x['model'] for x in lines.values()} == {'run'}
    for site, errors in expected.items():
        for figure in ('sqnr_db', 'input_sqnr_db', 'asqnr', 'input_asqnr'):
            found = float(lines[site][figure])
            assert found == pytest.approx(getattr(errors, figure), abs=2e-3)
    assert [path.name for path in written] == [*pictures.LAYER_FILES]
    for path in written[:2]:
        assert path.read_bytes().startswith(b'\x89PNG')


def test_models_of_any_kind(run):
    *_, path = draw_layers(run.config, [run.folder], count=1)
    with open(path) as file:
        lines = list(csv.DictReader(file))
    assert {line['site'] for line in lines} == {*run.results['assignment']}
    assert min(float(line['sqnr_db']) for line in lines) > 5


@pytest.mark.slow
def test_outputs_of_equalized_layer_norms(tiny_data, tmp_path, monkeypatch):
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.quantization.equalization = [dict(type='layer_norm')]
    config, _ = tiny_models.write(cfg, tmp_path, 'equalized')
    quantize_and_compare(config, work_dir=str(tmp_path / 'run'))

    def worst():
        *_, path = draw_layers(config, [tmp_path / 'run'], count=1)
        with open(path) as file:
            lines = [x for x in csv.DictReader(file) if x['kind'] == 'layer_norm']
        return min(float(line['sqnr_db']) for line in lines)

    assert worst() > 15
    monkeypatch.setattr(comparing, 'restored', lambda integer, real: integer)
    assert worst() < 10


def test_models_are_as_before(vit_run):
    models = Models(vit_run.config, [vit_run.folder])
    (model,) = models._integers.values()
    batch = images(models.cfg, 'test', 1)[0]

    def scores():
        with torch.no_grad():
            return model.test_step(copy.deepcopy(batch))[0].pred_score

    before = scores()
    models.compare([batch], models.sites(), lambda *_: None)
    assert all(type(r.mode) is Integer for r in regions_in(model).values())
    assert torch.equal(scores(), before)
    assert not regions_in(models._float)


def test_what_is_drawn(vit_run, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, 'plot_by_layer', lambda f, *args, **_: drawn.append((f, args[2]))
    )
    for literal in (False, True):
        *_, path = draw_layers(
            vit_run.config,
            [vit_run.folder],
            count=2,
            split='calibration',
            literal=literal,
        )
        (outputs, unit), (lost, label) = drawn[-2:]
        assert ('dB' in unit) != literal and label == f'{unit}: input - output'
        names = ('input_asqnr', 'asqnr') if literal else ('input_sqnr_db', 'sqnr_db')
        with open(path) as file:
            for line in csv.DictReader(file):
                i, o = (float(line[name]) for name in names)
                assert outputs['run'][line['site']] == pytest.approx(o, abs=1e-3)
                assert lost['run'][line['site']] == pytest.approx(i - o, abs=2e-3)


def test_histogram(vit_run, monkeypatch):
    path = draw_histogram(vit_run.config, vit_run.folder, '0.ffn.layers.0.1/gelu:0')
    assert path.name == 'histogram_backbone-layers.0.ffn.layers.0.1-gelu-0.png'
    assert path.read_bytes().startswith(b'\x89PNG')
    drawn = []
    monkeypatch.setattr(pictures, 'plot_histogram', lambda *args: drawn.append(args))
    draw_histogram(vit_run.config, vit_run.folder, 'patch_embed', count=2)
    ((floats, integers, _, title),) = drawn
    # 2 images, 16 patches, 128 channels; integers are multiples of the scale.
    assert floats.shape == integers.shape == (2 * 16 * 128,)
    sites = load_plan(vit_run.folder / 'plan.json')['backbone'].sites
    (step,) = {p.output.scale for n, p in sites.items() if n.startswith('patch_embed')}
    assert abs(integers / step - (integers / step).round()).max() < 1e-3
    assert title.startswith('backbone:patch_embed') and 'SQNR' in title


def test_what_does_not_belong_together(vit_run, swin_run, tmp_path):
    with pytest.raises(ConfigError, match='name the config that was quantized'):
        draw_layers(vit_run.config, [swin_run.folder], count=1)
    with pytest.raises(FileNotFoundError, match='has no integer.py'):
        draw_layers(vit_run.config, [tmp_path], count=1)
    with pytest.raises(ConfigError, match='0 images'):
        draw_layers(vit_run.config, [vit_run.folder], count=0)
    with pytest.raises(ConfigError, match="split is one of .* not 'train'"):
        images(Config.fromfile(vit_run.config), 'train', 1)


def test_names_of_sites():
    sites = [
        'backbone:layers.0/gelu:0',
        'backbone:layers.10/gelu:0',
        'head:fc/linear:0',
    ]
    assert site_named('head:fc/linear:0', sites) == sites[2]
    assert site_named('fc', sites) == sites[2]
    assert site_named('layers.1', sites) == sites[1]
    with pytest.raises(ConfigError, match='part of the names of 2 sites: say which'):
        site_named('layers', sites)
    with pytest.raises(ConfigError, match="did you mean 'backbone:layers.0"):
        site_named('layer.0/gelu:0', sites)
    with pytest.raises(ConfigError, match='no site .*; there are backbone:layers.0'):
        site_named('xyz', sites)


def test_the_affine_part_of_an_equalized_layer_norm_is_restored():
    x = torch.randn(5, 4)
    gamma = torch.tensor([1.0, -2.0, 0.5, 0.0])
    beta = torch.tensor([0.0, 1.0, 3.0, 1.0])
    factor = torch.tensor([2.0, 0.5, 4.0, 3.0])
    middle = torch.tensor([0.0, 1.0, 2.0, 3.0])
    real = Seen('layer_norm', x, x * gamma + beta, gamma, beta)
    moved = gamma * factor, (beta - middle) * factor
    integer = Seen('layer_norm', x, x * moved[0] + moved[1], *moved)
    assert torch.allclose(restored(integer, real).result, real.result, atol=1e-5)
    for other in (Seen('gelu', x, x), Seen('layer_norm', x, x)):  # nothing to restore
        assert restored(other, other) is other
    bare = Seen('layer_norm', x, x * gamma, gamma)
    assert torch.allclose(restored(bare, bare).result, bare.result)


def test_samples_are_the_same_elements():
    x = torch.arange(5.0 * MOST).reshape(5, -1)
    seen = sampled(Seen('gelu', x, -x))
    assert MOST // 2 <= seen.operand.numel() <= MOST
    assert torch.equal(seen.operand, -seen.result)
