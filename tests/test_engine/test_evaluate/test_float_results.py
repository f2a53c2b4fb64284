"""Earlier results of the float model, or none: the integers are the same."""

import json
import re
import shutil

import mmengine
import pytest
import tiny_runs
import torch
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.evaluate.comparing_loop import ComparingLoop
from iptq_mm.engine.evaluate.float_results import FloatResults, read_float_results
from iptq_mm.engine.run.pipeline import quantize_and_compare

pytestmark = pytest.mark.usefixtures('one_thread')

#: Sections of the results that say nothing of the float model.
INTEGER = ('integer', 'assignment', 'saturated_values', 'out_of_range', 'checks')


@pytest.fixture
def ran(monkeypatch):
    """The models that predicted batches, in order."""
    timed, names = ComparingLoop._timed, []

    def noted(self, name, *arguments):
        names.append(name)
        return timed(self, name, *arguments)

    monkeypatch.setattr(ComparingLoop, '_timed', noted)
    return names


def evaluated(run, folder, **options):
    return quantize_and_compare(run.config, work_dir=str(folder), **options)


def same_integers(results, run, folder):
    assert all(results[key] == run.results[key] for key in INTEGER)
    a, b = (
        torch.load(f / 'integer.pth', weights_only=True) for f in (folder, run.folder)
    )
    assert tiny_runs.same(a, b)


def test_without_the_float_model(run, tmp_path, ran):
    out = tmp_path / 'out.pkl'
    results = evaluated(run, tmp_path, run_float=False, out=str(out))
    # Not one batch more than the integer model: that is the time it promises.
    assert set(ran) == {'integer'} and len(ran) >= 2
    same_integers(results, run, tmp_path)
    assert tiny_runs.same(mmengine.load(out), run.predictions)
    assert results['float'] == {} and results['output_sqnr_db'] == {}
    assert 'agreement' not in results and 'float' not in results['seconds']
    assert not (tmp_path / 'float.json').exists()
    log = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'not run' in log
    with pytest.raises(ConfigError, match=r'had no float metrics \(--no-float\)'):
        read_float_results(tmp_path / 'results.json')


@pytest.mark.parametrize('name', ['', 'float.json', 'results.json'])
def test_with_those_of_an_earlier_run(run, tmp_path, ran, name):
    results = evaluated(run, tmp_path, float_results=str(run.folder / name))
    assert set(ran) == {'integer'}
    same_integers(results, run, tmp_path)
    assert results['float'] == run.results['float']
    assert results['seconds']['float'] == run.results['seconds']['float']
    if name != 'results.json':  # which has no class of each image
        assert results.get('agreement') == run.results.get('agreement')
        written = (tmp_path / 'float.json').read_text()
        assert written == (run.folder / 'float.json').read_text()


def float_predictions(run, folder):
    """What mm's own test of the float model writes with ``--out``."""
    _, predictions = tiny_runs.run_test(run.config, folder)
    return predictions, folder / 'out.pkl'


def test_with_predictions(run, tmp_path, ran):
    _, path = float_predictions(run, tmp_path / 'float')
    ran.clear()
    results = evaluated(run, tmp_path / 'run', float_results=str(path))
    assert set(ran) == {'integer'}
    same_integers(results, run, tmp_path / 'run')
    assert results['float'] == run.results['float']
    assert results.get('agreement') == run.results.get('agreement')


def changed_config(run, folder, change):
    cfg = Config.fromfile(run.config)
    change(cfg)
    cfg.dump(folder / 'changed.py')
    return folder / 'changed.py'


def refused(config, folder, file, checkpoint=None):
    """What is said; nothing was calibrated before."""
    with pytest.raises(ConfigError) as said:
        quantize_and_compare(
            config, checkpoint, work_dir=str(folder / 'w'), float_results=str(file)
        )
    assert not (folder / 'w/calibration.pth').exists()
    return str(said.value)


def test_of_another_checkpoint(vit_run, tmp_path):
    weights = torch.load(vit_run.checkpoint, weights_only=True)
    weights['state_dict']['backbone.cls_token'] += 1
    torch.save(weights, tmp_path / 'other.pth')
    message = refused(
        vit_run.config, tmp_path, vit_run.folder, str(tmp_path / 'other.pth')
    )
    assert 'was made with another checkpoint; run the float model' in message


CHANGES = {
    'fewer images': (
        lambda cfg: cfg.test_dataloader.dataset.update(indices=4),
        'other images.*6 images, where this run has 4',
    ),
    'another pipeline': (
        lambda cfg: cfg.data_preprocessor.update(mean=[120.0] * 3),
        'another test pipeline or data_preprocessor',
    ),
    'another metric': (
        lambda cfg: cfg.test_evaluator.update(topk=(1, 2)),
        'another test_evaluator',
    ),
}


@pytest.mark.parametrize('name', CHANGES)
def test_of_another_evaluation(vit_run, tmp_path, name):
    change, expected = CHANGES[name]
    config = changed_config(vit_run, tmp_path, change)
    message = refused(config, tmp_path, vit_run.folder)
    assert re.search(expected, message)


def test_data_may_lie_elsewhere(vit_run, tmp_path, ran):
    cfg = Config.fromfile(vit_run.config)
    shutil.copytree(cfg.test_dataloader.dataset.data_root, tmp_path / 'moved')

    def move(cfg):
        for name in ('train', 'val', 'test'):
            cfg[f'{name}_dataloader'].dataset.data_root = str(tmp_path / 'moved')

    config = changed_config(vit_run, tmp_path, move)
    results = quantize_and_compare(
        config, work_dir=str(tmp_path / 'w'), float_results=str(vit_run.folder)
    )
    assert results['agreement'] == vit_run.results['agreement']
    assert set(ran) == {'integer'}


def test_files_that_are_none(vit_run, tmp_path):
    for name, content in {
        'text.json': 'hello',
        'list.json': '[1]',
        'other.json': '{"a": 1}',
        'number.json': '{"float": 1, "seconds": 2}',
    }.items():
        (tmp_path / name).write_text(content)
        message = refused(vit_run.config, tmp_path, tmp_path / name)
        assert 'neither float.json nor results.json' in message
    mmengine.dump({'a': 1}, tmp_path / 'dict.pkl')
    message = refused(vit_run.config, tmp_path, tmp_path / 'dict.pkl')
    assert 'holds no predictions' in message and '--no-float' in message
    with pytest.raises(FileNotFoundError, match='there is no file .*gone.json'):
        read_float_results(tmp_path / 'gone.json')
    with pytest.raises(FileNotFoundError, match='there is no file .*float.json'):
        read_float_results(tmp_path)  # a folder that is no work dir


def test_predictions_of_other_images(vit_run, tmp_path):
    predictions, _ = float_predictions(vit_run, tmp_path / 'float')
    mmengine.dump(predictions[:4], tmp_path / 'few.pkl')
    message = refused(vit_run.config, tmp_path, tmp_path / 'few.pkl')
    assert 'predictions of 4 images, where this run has 6' in message
    for sample in predictions:
        sample['img_path'] = sample['img_path'].replace('0.png', '1.png')
    mmengine.dump(predictions, tmp_path / 'others.pkl')
    message = refused(vit_run.config, tmp_path, tmp_path / 'others.pkl')
    assert "image 0 is '1.png' there and '0.png' in this run" in message


def test_both_at_once(vit_run, tmp_path):
    with pytest.raises(ConfigError, match='exclude each other'):
        quantize_and_compare(
            vit_run.config,
            work_dir=str(tmp_path),
            run_float=False,
            float_results=str(vit_run.folder),
        )


def test_results_that_say_little_are_taken_on_trust(tmp_path, caplog):
    old = {'float': {'top1': 50.0}, 'integer': {}, 'seconds': {'float': 2.0}}
    (tmp_path / 'results.json').write_text(json.dumps(old))
    found = read_float_results(tmp_path / 'results.json')
    assert found == FloatResults(
        {'top1': 50.0}, 2.0, {}, None, str(tmp_path / 'results.json')
    )
    found.check({'weights': 'a', 'images': 'b'}, images=3)
