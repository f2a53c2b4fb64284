"""QuantizationHook in ordinary runs of mmengine."""

import pytest
import tiny_models
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from iptq_mm.calibration import ConfigError
from iptq_mm.modes import Integer, regions_in

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def runner_of(vit_run, tmp_path):
    """Makes a Runner of the tiny ViT's config with the hook in it."""

    def make(**changes):
        cfg = Config.fromfile(vit_run.config)
        cfg.custom_hooks = [dict(type='iptq_mm.QuantizationHook')]
        cfg.update(changes)
        cfg.work_dir, cfg.launcher = str(tmp_path), 'none'
        cfg.experiment_name = tmp_path.name
        return Runner.from_cfg(cfg)

    return make


def test_test(runner_of, vit_run, tmp_path):
    runner = runner_of()
    metrics = runner.test()
    assert {k: round(v, 6) for k, v in metrics.items()} == vit_run.results['integer']
    plan = (tmp_path / 'plan.json').read_text()
    assert plan == (vit_run.folder / 'plan.json').read_text()
    regions = regions_in(runner.model)
    assert set(regions) == {'backbone', 'head'}
    assert all(isinstance(region.mode, Integer) for region in regions.values())


def test_val(runner_of, vit_run, tmp_path):
    """Also without anything to test on."""
    metrics = runner_of(test_dataloader=None, test_cfg=None, test_evaluator=None).val()
    assert {k: round(v, 6) for k, v in metrics.items()} == vit_run.results['integer']
    plan = (tmp_path / 'plan.json').read_text()
    assert plan == (vit_run.folder / 'plan.json').read_text()


def test_quantizes_once(runner_of, tmp_path):
    runner = runner_of()
    first = runner.test()
    (tmp_path / 'plan.json').unlink()
    assert runner.val() == first
    assert not (tmp_path / 'plan.json').exists()


def test_training_stays_float(runner_of, monkeypatch, tmp_path):
    runner = runner_of()
    seen = []
    original = type(runner.model).val_step

    def val_step(model, data):
        seen.append(bool(regions_in(model)))
        return original(model, data)

    monkeypatch.setattr(type(runner.model), 'val_step', val_step)
    runner.train()
    assert seen and not any(seen)
    assert not (tmp_path / 'plan.json').exists()
    runner.val()
    assert seen[-1] and (tmp_path / 'plan.json').exists()
    with pytest.raises(RuntimeError, match='integers cannot be trained'):
        runner.call_hook('before_train')


def test_settings_of_its_own(runner_of, vit_run):
    cfg = Config.fromfile(vit_run.config)
    hook = dict(
        type='iptq_mm.QuantizationHook',
        quantization=dict(cfg.quantization, regions=['backbone']),
        candidates=cfg.candidates,
    )
    runner = runner_of(quantization=None, candidates=None, custom_hooks=[hook])
    runner.test()
    assert set(regions_in(runner.model)) == {'backbone'}


def test_averaging_hook_is_refused(runner_of):
    hooks = [dict(type='EMAHook'), dict(type='iptq_mm.QuantizationHook')]
    with pytest.raises(ConfigError, match='EMAHook writes to the weights'):
        runner_of(custom_hooks=hooks).test()


def test_quantized_checkpoint_is_refused(runner_of, vit_run):
    runner = runner_of(load_from=str(vit_run.folder / 'integer.pth'))
    with pytest.raises(ConfigError, match='quantized already'):
        runner.test()


def test_names_converted_on_loading_count_as_loaded(runner_of, vit_run, tmp_path):
    """Old checkpoints have other names; the model's own loading knows them."""
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    checkpoint['state_dict'] = {
        f'module.{k}': v for k, v in checkpoint['state_dict'].items()
    }
    torch.save(checkpoint, tmp_path / 'wrapped.pth')
    assert runner_of(load_from=str(tmp_path / 'wrapped.pth')).test()


def test_model_that_is_given_needs_no_checkpoint(runner_of, vit_run, tmp_path):
    runner = runner_of(load_from=None)
    model = tiny_models.build(Config.fromfile(vit_run.config))
    runner.model.load_state_dict(model.state_dict())
    metrics = runner.test()
    assert {k: round(v, 6) for k, v in metrics.items()} == vit_run.results['integer']
