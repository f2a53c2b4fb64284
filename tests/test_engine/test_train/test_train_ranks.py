"""Two processes train the weights that one trains, given the same images."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
import tiny_training
import torch

from iptq_mm.engine.train.pipeline import train_and_compare

TOOL = Path(__file__).parents[3] / 'tools/train.py'

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]


def _weights(folder):
    path = folder / 'iter_2.pth'
    return torch.load(path, weights_only=False)['state_dict']


@pytest.mark.parametrize('accumulated', [1, 2])
def test_two_processes(tiny_data, tmp_path, accumulated):
    """Sums of floats in another order: the weights differ by their rounding only."""
    cfg = tiny_training.vit(
        tiny_data / 'classification',
        loss=['logits', dict(type='features', weight=0.5)],
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1e-2), accumulative_counts=accumulated
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2 * accumulated),
        param_scheduler=None,
        checkpoint=dict(interval=2),
    )
    config, _ = tiny_models.write(cfg, tmp_path, f'ranks{accumulated}')
    folders = {}
    for ranks in (1, 2):
        cfg.qat.train_dataloader.batch_size = 4 // ranks
        cfg.dump(config)
        folders[ranks] = tmp_path / f'run{ranks}'
        if ranks == 1:
            train_and_compare(config, work_dir=str(folders[1]))
            continue
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        command += ['--nproc-per-node=2', str(TOOL), config, '--launcher=pytorch']
        done = subprocess.run(
            [*command, '--work-dir', str(folders[2])],
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = _weights(folders[1]), _weights(folders[2])
    assert one.keys() == two.keys()
    for key, value in one.items():
        if value.is_floating_point():
            torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-6)
    start = torch.load(folders[1] / 'quantized.pth', weights_only=True)
    name = 'layers.0.attn.qkv.weight'
    moved = one[f'backbone.{name}'] - start['real']['backbone'][name]
    assert moved.abs().max() > 1e-3
