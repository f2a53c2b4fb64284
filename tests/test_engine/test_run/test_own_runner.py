"""Runners of one process, and of several, keep to themselves."""

import json
import time
from types import SimpleNamespace

import pytest
from mmengine import dist
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.registry import DefaultScope
from torch import nn

from iptq_mm.engine.run.runner import OwnMetricsFile, built_runner


@pytest.fixture
def config(tmp_path):
    """A config of nothing but a model, whose name others may have too."""

    def make(scope):
        folder = tmp_path / scope
        folder.mkdir(exist_ok=True)
        (folder / 'same.py').write_text(f'default_scope = {scope!r}\n')
        cfg = Config.fromfile(folder / 'same.py')
        cfg.work_dir = str(folder / 'out')
        cfg.model = nn.Linear(1, 1)
        return cfg

    return make


def test_runners_of_one_second(config, monkeypatch):
    """They share neither the default scope nor the log."""
    moment = time.time()
    monkeypatch.setattr(time, 'time', lambda: moment)
    scopes, logs = [], []
    for scope in ('mmpretrain', 'mmdet'):
        runner = built_runner(config(scope))
        scopes.append(DefaultScope.get_current_instance().scope_name)
        runner.logger.warning('here')
        logs += runner._log_dir, *(h.baseFilename for h in runner.logger.handlers[1:])
    assert scopes == ['mmpretrain', 'mmdet']
    assert len(set(logs)) == 4


def test_visualizers_of_one_name(config):
    """Each writes into the folder of its own run."""
    visualizer = dict(
        type='Visualizer', name='same', vis_backends=[dict(type='LocalVisBackend')]
    )
    made = []
    for scope in ('mmpretrain', 'mmdet'):
        cfg = config(scope)
        cfg.visualizer = visualizer
        runner = built_runner(cfg)
        (backend,) = runner.visualizer._vis_backends.values()
        made.append(backend._save_dir)
        assert cfg.visualizer.name == 'same'
    assert made[0] != made[1] and '/mmdet/' in made[1]


def test_metrics_of_the_first_process_only(tmp_path, monkeypatch):
    monkeypatch.setattr(dist, 'get_rank', lambda: 1)
    written = tmp_path / 'now.json'
    written.write_text('{"top1": 1}')
    logger = LoggerHook()
    logger.json_log_path = 'now.json'
    processor = SimpleNamespace(
        get_log_after_epoch=lambda *_, **__: (dict(top1=2.0, time=1.0), '')
    )
    runner = SimpleNamespace(
        hooks=[logger],
        timestamp='now',
        log_dir=str(tmp_path),
        log_processor=processor,
        logger=SimpleNamespace(info=lambda _: None),
        test_dataloader=[],
    )
    hook = OwnMetricsFile()
    hook.before_test(runner)
    logger.after_test_epoch(runner)
    assert len(list(tmp_path.iterdir())) == 2
    hook.after_test(runner)
    assert list(tmp_path.iterdir()) == [written]
    assert json.loads(written.read_text()) == dict(top1=1)


def test_who_gets_the_hook(config, monkeypatch):
    for first in (True, False):
        monkeypatch.setattr(dist, 'is_main_process', lambda first=first: first)
        hooks = built_runner(config('mmpretrain')).hooks
        assert any(isinstance(hook, OwnMetricsFile) for hook in hooks) != first
