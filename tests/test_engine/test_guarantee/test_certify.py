"""Whole runs of a tiny ViT that ask for a guarantee."""

import json

import pytest
import tiny_models
import tiny_runs
import torch
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.guarantee import Guarantee
from iptq_mm.models import Flags, GuardedClassifier

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread')]
#: 3 of the 9 images calibrate nothing.
ASKED = dict(images=3, agreement=0.6, confidence=0.7, target=0.6, guard=dict())


@pytest.fixture(scope='module')
def guarded_run(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('guarded')
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.quantization.guarantee = ASKED
    with tiny_runs.threads(1):
        config, _ = tiny_models.write(cfg, folder, 'vit')
        results = quantize_and_compare(config, work_dir=str(folder / 'run'))
    return folder / 'run', results


def batch_of(cfg):
    from mmengine.runner import Runner

    return next(iter(Runner.build_dataloader(cfg.test_dataloader)))


def test_the_results_have_the_guarantee(guarded_run):
    folder, results = guarded_run
    assert results == json.loads((folder / 'results.json').read_text())
    found = results['guarantee']
    assert found['images'] == 3 and found['guarded']
    assert found['evaluation']['images'] == 6
    log = ''.join(p.read_text() for p in folder.rglob('*.log'))
    for sentence in Guarantee.from_dict(found).sentences():
        assert sentence in log


def test_the_integer_model_flags_in_a_test_of_mm(guarded_run, tmp_path):
    folder, results = guarded_run
    _, predictions = tiny_runs.run_test(str(folder / 'integer.py'), tmp_path)
    assert len(predictions) == 6
    flagged = sum(p['flagged'] for p in predictions)
    assert flagged == results['guarantee']['evaluation']['flagged']
    margin = results['guarantee']['margin']
    assert all(p['flagged'] == (p['margin'] < margin) for p in predictions)


def test_the_guarded_model_runs_in_a_test_of_mm(guarded_run, tmp_path):
    folder, _ = guarded_run
    metrics, predictions = tiny_runs.run_test(str(folder / 'guarded.py'), tmp_path)
    assert 'accuracy/top1' in metrics and len(predictions) == 6
    assert all('flagged' in p for p in predictions)


@pytest.mark.parametrize('backend', [None, 'reference', 'native'])
def test_flagged_images_get_the_answer_of_the_wide_model(guarded_run, backend):
    from iptq_mm.program import use_backend

    folder, _ = guarded_run
    cfg, model = load_quantized(folder / 'guarded.py')
    assert isinstance(model, GuardedClassifier)
    batch = batch_of(cfg)
    x = model.data_preprocessor(batch, False)['inputs']
    with torch.no_grad():
        narrow, wide = model.model(x), model.wide(x)
    top = narrow.topk(2, 1).values.double() / model.guarantee.scale
    margins = (top[:, 0] - top[:, 1]).round().long()
    if backend:
        use_backend(model.model, backend)
        use_backend(model.wide, backend)
    for margin in (0, int(margins.sort().values[2]), int(margins.max()) + 1):
        data = {**model.guarantee.to_dict(), 'margin': margin}
        model.guarantee = Guarantee.from_dict(data)
        flagged = margins < margin
        with torch.no_grad():
            logits = model(x)
            samples = model.test_step(batch)
        assert torch.equal(logits, torch.where(flagged[:, None], wide, narrow))
        assert [s.flagged for s in samples] == flagged.tolist()
        assert [s.margin for s in samples] == margins.tolist()
        chosen = torch.where(flagged[:, None], wide, narrow).argmax(1)
        assert [int(s.pred_label) for s in samples] == chosen.tolist()


def test_margins_are_the_same_without_shared_integers(guarded_run):
    folder, results = guarded_run
    cfg, model = load_quantized(folder / 'integer.py')
    flags, batch = Flags(model, results['guarantee']), batch_of(cfg)
    with torch.no_grad():
        first = [s.margin for s in model.test_step(batch)]
    with torch.inference_mode():
        assert [s.margin for s in model.test_step(batch)] == first
    assert flags.images == 2 * len(first)
    flags.remove()
    assert not hasattr(model.test_step(batch_of(cfg))[0], 'flagged')


def test_the_wide_model_is_nearer_to_float(guarded_run, tiny_data):
    """On images that calibrated: those of the evaluation leave the ranges of six."""
    folder, _ = guarded_run
    cfg, model = load_quantized(folder / 'guarded.py')
    cfg.test_dataloader.dataset.data_prefix = 'train'
    floats = tiny_models.build(tiny_models.vit(tiny_data / 'classification'))
    floats.load_state_dict(torch.load(folder.parent / 'vit.pth')['state_dict'])
    x = model.data_preprocessor(batch_of(cfg), False)['inputs']
    with torch.no_grad():
        real = floats(x)
        errors = ((m(x) - real).abs().amax(1) for m in (model.wide, model.model))
        wide, narrow = (e.sort().values for e in errors)
    # One of the four may be an image that was held out.
    assert (wide[:3] < narrow[:3] / 4).all()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(images=2), r'2 held-out images cannot show .* it takes 3'),
        (dict(images=3, agreement=0.9), r'it takes 12'),
        (dict(guard=dict(weights=dict(bits=8))), r"no option 'weights'.*'weight'"),
        (dict(guard=dict(weight=dict(bits=99))), r'guard: quantization.weight.bits=99'),
        (dict(confidence=1.0), r'confidence=1.0: use a share'),
    ],
)
def test_mistakes_are_found_before_anything_runs(tiny_data, tmp_path, options, message):
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.quantization.guarantee = {**ASKED, **options}
    config, _ = tiny_models.write(cfg, tmp_path, 'vit')
    with pytest.raises(ConfigError, match=message):
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    assert not (tmp_path / 'run' / 'calibration.pth').exists()


def test_too_few_images_are_left(tiny_data, tmp_path):
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.quantization.guarantee = ASKED
    cfg.quantization.calibration.num_images = 8
    config, _ = tiny_models.write(cfg, tmp_path, 'vit')
    with pytest.raises(ConfigError, match='1 held-out images cannot show'):
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))


def test_a_detector_has_no_margins(tiny_data, tmp_path):
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    cfg.quantization.guarantee = {**ASKED, 'images': 3}
    config, _ = tiny_models.write(cfg, tmp_path, 'detector')
    with pytest.raises(ConfigError, match='a guarantee is for classifiers'):
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))


def test_an_alarm_is_a_warning(guarded_run, tmp_path):
    folder, _ = guarded_run
    cfg = Config.fromfile(folder / 'integer.py')
    (hook,) = [h for h in cfg.custom_hooks if h['type'] == 'iptq_mm.FlagHook']
    # Of 10000 images none was flagged, and here every one is.
    hook['guarantee'].update(margin=10**6, flagged=0, images=10000)
    cfg.load_from = str(folder / 'integer.pth')
    cfg.dump(tmp_path / 'alarm.py')
    tiny_runs.run_test(str(tmp_path / 'alarm.py'), tmp_path / 'run')
    log = ''.join(p.read_text() for p in (tmp_path / 'run').rglob('*.log'))
    assert '6 of 6 answers have a flag' in log and 'WARNING' in log
    assert 'not like those that calibrated' in log
