"""Training of a detector whose backbone, neck and heads are integers."""

import copy

import pytest
import tiny_models
import tiny_runs
import tiny_training

from iptq_mm.engine.train.pipeline import train_and_compare

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]

WHOLE = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head']


@pytest.mark.parametrize('loss', ['features', 'labels'])
def test_every_region_learns(tiny_data, tmp_path, loss):
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    cfg.quantization.regions = WHOLE
    cfg.quantization.on_mismatch = 'warn'
    cfg.qat = {
        **copy.deepcopy(tiny_training.QAT),
        'loss': loss,
        'train_cfg': dict(by_epoch=True, max_epochs=1, val_interval=1),
        'custom_hooks': [],
    }
    config, _ = tiny_models.write(cfg, tmp_path, f'detector_{loss}')
    results = train_and_compare(config, work_dir=str(tmp_path / 'run'))
    training = results['training']
    assert all(x > 0 for x in training['loss'])
    metrics, _ = tiny_runs.run_test(str(tmp_path / 'run/integer.py'), tmp_path / 'test')
    last = dict(training['validation'][-1])
    last.pop('iteration')
    assert {k: float(v) for k, v in metrics.items()} == pytest.approx(
        last, abs=0, nan_ok=True
    )
