"""Predictions of all test images, without looking at labels."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ...program import use_backend
from ..calibration_data import explained
from ..loading.checkpoints import loading
from ..loading.models import is_quantized, unwrapped
from ..loading.pretrained import without_pretrained
from ..run.runner import built_runner

#: The file of predictions, as mm's test tools write it with ``--out``.
PREDICTIONS = 'predictions.pkl'


def predict(cfg: Config, path: str, backend: str | None = None) -> None:
    """Test a model, and keep what it predicts.

    Args:
        cfg: The whole config; it is changed.
        path: Pickle file to write.
        backend: What runs an integer model; None: as the config says.

    Raises:
        ConfigError: If the config cannot be built, or the checkpoint cannot be loaded.
    """
    mmdet = cfg.get('default_scope') == 'mmdet'
    kind = 'DumpDetResults' if mmdet else 'DumpResults'
    # No metric that wants labels: there are none.
    cfg.test_evaluator = [dict(type=kind, out_file_path=path)]
    cfg.test_cfg = dict()
    for part in ('train', 'val'):
        for key in (f'{part}_dataloader', f'{part}_cfg', f'{part}_evaluator'):
            cfg[key] = None
    cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.resume = False
    cfg.work_dir = str(Path(path).parent)
    if not is_quantized(cfg.model):
        cfg.model = without_pretrained(cfg.model)
    runner = built_runner(cfg)
    with explained('the test images'):
        runner.test_loop  # noqa: B018 builds the data set
    with loading(cfg.load_from):
        runner.load_or_resume()
    if backend:
        use_backend(unwrapped(runner.model), backend)
    runner.test()
