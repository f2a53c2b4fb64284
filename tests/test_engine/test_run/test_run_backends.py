"""Evaluation on each back end: the same predictions to the last digit."""

import pytest
import tiny_runs
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.backends import check_backend
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.native.library import available

pytestmark = pytest.mark.usefixtures('one_thread')

BACKENDS = [
    'reference',
    pytest.param('native', marks=pytest.mark.skipif(not available(), reason='no g++')),
]


@pytest.mark.parametrize('backend', BACKENDS)
def test_written_config(run, tmp_path, backend):
    regions = Config.fromfile(run.config).quantization.regions
    options = {f'model.{region}.backend': backend for region in regions}
    metrics, predictions = tiny_runs.run_test(
        run.folder / 'integer.py', tmp_path, **options
    )
    assert tiny_runs.same(predictions, run.predictions)
    assert {k: round(v, 6) for k, v in metrics.items()} == run.results['integer']


def test_comparison(vit_run, tmp_path):
    results = quantize_and_compare(
        vit_run.config,
        work_dir=str(tmp_path),
        backend='reference',
        cfg_options={'test_cfg.count_every': 1},
    )
    same = 'float', 'integer', 'agreement', 'output_sqnr_db', 'assignment'
    for key in (*same, 'out_of_range', 'saturation', 'saturated_values'):
        assert results[key] == vit_run.results[key]
    assert results['out_of_range']['backbone']['counted'] == 6
    written = Config.fromfile(tmp_path / 'integer.py')
    assert written.model.backbone.backend == 'reference'
    assert 'backend' not in written
    log = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'counted: backbone 6 of 6' in log


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason='no g++')
def test_a_detector_is_counted_alike(detector_run, tmp_path):
    """Heads that see another number of boxes in every image; several maps at once."""
    counted = {}
    for every in (1, 3):
        results = quantize_and_compare(
            detector_run.config,
            work_dir=str(tmp_path / str(every)),
            backend='native',
            cfg_options={'test_cfg.count_every': every},
        )
        counted[every] = results['out_of_range']
    assert counted[1] == detector_run.results['out_of_range']
    for name, log in counted[3].items():
        assert log['rows'] == counted[1][name]['rows'] >= log['counted'] > 0


def test_no_such_backend():
    with pytest.raises(ConfigError, match="no back end 'fast'.*native"):
        check_backend('fast')


def test_backend_that_cannot_run(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'onnxruntime', None)
    with pytest.raises(ConfigError, match='pip install'):
        check_backend('onnx')
