"""A tiny training, run once."""

import pytest
import tiny_models
import tiny_runs
import tiny_training

from iptq_mm.engine.train.pipeline import train_and_compare


@pytest.fixture(scope='session')
def trained_vit(tiny_data, tmp_path_factory):
    """Config, work dir and results of a training without a break."""
    folder = tmp_path_factory.mktemp('trained_vit')
    cfg = tiny_training.vit(tiny_data / 'classification')
    with tiny_runs.threads(1):
        config, _ = tiny_models.write(cfg, folder, 'trained_vit')
        results = train_and_compare(config, work_dir=str(folder / 'run'))
    return config, folder / 'run', results
