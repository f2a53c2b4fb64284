"""A training from a config to a written integer model."""

import json
import shutil

import pytest
import tiny_models
import tiny_runs
import tiny_training
import torch
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.run import work_dir
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.engine.train import pipeline
from iptq_mm.engine.train.pipeline import train_and_compare
from iptq_mm.plan import load_plan

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]


def test_results(trained_vit):
    config, folder, results = trained_vit
    assert json.loads((folder / 'results.json').read_text()) == results
    training = results['training']
    assert training['iterations'] == 10 and training['images'] == 18
    assert len(training['loss']) == 10 and all(x > 0 for x in training['loss'])
    assert [v['iteration'] for v in training['validation']] == [5, 10]
    assert training['peak_memory_mb'] > 50
    assert results['seconds']['train'] == training['seconds'] > 0
    assert training['settings']['optim_wrapper']['optimizer']['lr'] == 0.02
    assert training['settings']['loss'] == [{'type': 'labels'}, {'type': 'logits'}]
    log = ''.join(p.read_text() for p in folder.rglob('*.log'))
    assert 'loss_logits' in log and 'peak_memory_mb' in log
    said = log.partition('the share of the time that is expected: ')[2]
    names = [part.split()[0] for part in said.splitlines()[0].split(', ')]
    assert {'observe', 'freeze', 'check'} < set(names)
    assert names[-3:] == ['train', 'evaluate', 'report']
    assert log.index('the share of the time') < log.index('loss_logits')


def test_a_finished_run_that_is_resumed(trained_vit, tmp_path, monkeypatch):
    """It says so, leaves out what is done, and gives the same again."""
    config, whole, results = trained_vit
    run = tmp_path / 'run'
    shutil.copytree(whole, run)
    for log in run.rglob('*.log'):
        log.unlink()
    said: list[str] = []
    monkeypatch.setattr(work_dir, 'print_log', lambda text, *_: said.append(text))
    again = train_and_compare(config, work_dir=str(run), resume=True)
    assert again['integer'] == results['integer']
    assert any('the run there is finished' in text for text in said)
    log = ''.join(p.read_text() for p in run.rglob('*.log'))
    shares = log.partition('the share of the time that is expected: ')[2]
    assert shares.startswith('train below 1%, evaluate ')


def test_reloaded_it_gives_the_last_validation(trained_vit, tmp_path):
    _, folder, results = trained_vit
    metrics, _ = tiny_runs.run_test(str(folder / 'integer.py'), tmp_path)
    last = dict(results['training']['validation'][-1])
    last.pop('iteration')
    assert {k: float(v) for k, v in metrics.items()} == last
    assert {k: round(v, 6) for k, v in last.items()} == results['integer']
    assert 'qat' not in Config.fromfile(folder / 'integer.py')


def test_the_result_is_that_of_quantization_but_for_the_training(trained_vit, tmp_path):
    config, folder, results = trained_vit
    before = quantize_and_compare(config, work_dir=str(tmp_path))
    assert set(results) - set(before) == {'training'}
    assert results['assignment'] == before['assignment']
    assert results['calibration'] == before['calibration']
    assert results['float'] == before['float']
    first, last = tiny_training.integers(tmp_path), tiny_training.integers(folder)
    assert first.keys() == last.keys()
    moved = [k for k in first if not torch.equal(first[k], last[k])]
    assert all(k.startswith(('backbone.', 'head.')) for k in moved)
    assert any(k.endswith('qkv.weight') for k in moved)
    assert all(first[k].dtype == last[k].dtype for k in first)


def test_float_results_of_an_earlier_run(trained_vit, tmp_path):
    """The same training and the same integers; a wrong file is found before it."""
    config, folder, results = trained_vit
    again = train_and_compare(
        config, work_dir=str(tmp_path / 'again'), float_results=str(folder)
    )
    for key in ('integer', 'float', 'agreement', 'assignment'):
        assert again[key] == results[key]
    assert again['training']['loss'] == results['training']['loss']
    assert tiny_runs.same(
        tiny_training.integers(tmp_path / 'again'), tiny_training.integers(folder)
    )
    cfg = Config.fromfile(config)
    cfg.test_evaluator.topk = (1, 2)
    cfg.dump(tmp_path / 'other.py')
    with pytest.raises(ConfigError, match='made with another test_evaluator'):
        train_and_compare(
            str(tmp_path / 'other.py'),
            work_dir=str(tmp_path / 'other'),
            float_results=str(folder),
        )
    assert not (tmp_path / 'other/quantized.pth').exists()


def test_the_loss_goes_down(tiny_data, tmp_path):
    """Few images again and again: 2-bit weights learn what the float model says."""
    cfg = tiny_training.vit(
        tiny_data / 'classification',
        loss='logits',
        train_cfg=dict(by_epoch=True, max_epochs=12, val_interval=12),
        param_scheduler=None,
        custom_hooks=[],
    )
    cfg.quantization.weight.bits = 2
    config, _ = tiny_models.write(cfg, tmp_path, 'learns')
    loss = train_and_compare(config, work_dir=str(tmp_path / 'run'))['training']['loss']
    assert sum(loss[-3:]) < 0.5 * sum(loss[:3])


@pytest.mark.parametrize('by_epoch', [True, False])
def test_iterations_and_accumulated_gradients(tiny_data, tmp_path, by_epoch):
    """mmengine's other loop, its endless sampler, and sums of gradients."""
    train_cfg = dict(by_epoch=True, max_epochs=1)
    sampler = dict(type='DefaultSampler', shuffle=True)
    if not by_epoch:
        train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=4)
        sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg = tiny_training.vit(
        tiny_data / 'classification',
        loss=dict(type='features', weight=2.0),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1e-2),
            accumulative_counts=2,
            clip_grad=dict(max_norm=1.0),
        ),
        train_cfg=train_cfg,
        train_dataloader=dict(batch_size=2, sampler=sampler),
    )
    config, _ = tiny_models.write(cfg, tmp_path, f'iter{by_epoch}')
    results = train_and_compare(config, work_dir=str(tmp_path / 'run'))
    training = results['training']
    assert training['iterations'] == (5 if by_epoch else 6)
    expected = [5] if by_epoch else [4, 6]
    assert [v['iteration'] for v in training['validation']] == expected


def test_float_modules_too(tiny_data, tmp_path):
    """``parameters='all'``: the float head learns; else it stays to the bit."""
    kept = {}
    for parameters in ('regions', 'all'):
        cfg = tiny_training.vit(
            tiny_data / 'classification', parameters=parameters, custom_hooks=[]
        )
        cfg.quantization.regions = ['backbone']
        config, checkpoint = tiny_models.write(cfg, tmp_path, parameters)
        train_and_compare(config, work_dir=str(tmp_path / f'run_{parameters}'))
        state = tiny_training.integers(tmp_path / f'run_{parameters}')
        before = torch.load(checkpoint, weights_only=True)['state_dict']
        key = 'head.layers.head.weight'
        kept[parameters] = torch.equal(state[key], before[key])
    assert kept == {'regions': True, 'all': False}


def test_learned_ranges(tiny_data, tmp_path, monkeypatch):
    """They change the plan, come back when a run is resumed, and in the result."""
    cfg = tiny_training.vit(
        tiny_data / 'classification', learn_ranges=True, loss='logits'
    )
    config, _ = tiny_models.write(cfg, tmp_path, 'ranges')
    results = train_and_compare(config, work_dir=str(tmp_path / 'whole'))
    assert results['training']['settings']['learn_ranges'] is True
    metrics, _ = tiny_runs.run_test(str(tmp_path / 'whole/integer.py'), tmp_path / 't')
    last = results['training']['validation'][-1]
    assert {k: float(v) for k, v in metrics.items()}.items() <= last.items()
    plans = load_plan(tmp_path / 'whole/plan.json')
    before = quantize_and_compare(config, work_dir=str(tmp_path / 'before'))
    assert before['assignment'] == results['assignment']
    first = load_plan(tmp_path / 'before/plan.json')
    moved = [
        site
        for name, plan in plans.items()
        for site, planned in plan.sites.items()
        if planned.output.scale != first[name].sites[site].output.scale
    ]
    assert len(moved) >= 6
    gelus = [p for p in plans['backbone'].sites.values() if p.operation == 'gelu']
    assert gelus and all(p.constants for p in gelus)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, 'compare', killed)
    with pytest.raises(KeyboardInterrupt):
        train_and_compare(config, work_dir=str(tmp_path / 'resumed'))
    monkeypatch.undo()
    train_and_compare(config, work_dir=str(tmp_path / 'resumed'), resume=True)
    assert tiny_training.same_integers(tmp_path / 'whole', tmp_path / 'resumed')
