#!/usr/bin/env bash
# Every process of an MMEngine test writes the metrics file, and all write the same one.
#
# LoggerHook.after_test_epoch dumps the metrics and the mean times of a test to
# <work_dir>/<timestamp>/<timestamp>.json. Here two processes test a model; the data of
# the second takes longer to load, so their times differ, and it ends last.
#
# Expected: the first process writes the file: its times are in it.
# Happens:  both write it, without waiting for each other. Those of the last one stay;
#           two that write at once can leave a mixture that is no JSON.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onedl-mmengine==0.10.12 numpy==2.2.6 setuptools==80.9.0 torch==2.13.0 opencv-python-headless==4.12.0.88
cd "$folder"
cat > ranks.py <<'PYTHON'
import json
import os
import time
from pathlib import Path

import mmengine
import torch
from mmengine import dist
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

torch.distributed.init_process_group('gloo')
rank = dist.get_rank()


class Images:
    """Takes longer in the second process."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        time.sleep(0.1 * (1 + 4 * rank))
        return dict(x=torch.tensor([float(index)]))


class Net(BaseModel):
    def forward(self, x, mode):
        return list(x)


class Mean(BaseMetric):
    def process(self, batch, samples):
        self.results += [float(s) for s in samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


class Wait(Hook):
    """The second process comes to the end of its test a second later."""

    priority = 'VERY_HIGH'

    def after_test_epoch(self, runner, metrics=None):
        time.sleep(rank)


runner = Runner(
    Net(),
    work_dir='run',
    test_dataloader=dict(
        dataset=Images(),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
    ),
    test_evaluator=[Mean()],
    test_cfg=dict(),
    custom_hooks=[Wait()],
    launcher='none',
    log_level='ERROR',
)
runner.test()
torch.distributed.barrier()
if rank == 0:
    (written,) = Path(runner.log_dir).glob('*.json')
    found = json.loads(written.read_text())
    print('mmengine', mmengine.__version__, 'torch', torch.__version__)
    print('written:', found)
    print('expected: a data_time of about 0.1 seconds, that of the first process')
    assert found['mean'] == 1.5
    assert found['data_time'] > 0.4, 'it has changed'
torch.distributed.barrier()
torch.distributed.destroy_process_group()
PYTHON
OMP_NUM_THREADS=1 venv/bin/torchrun --nproc_per_node 2 --master_port "${PORT:-29531}" ranks.py 2>log || { cat log; exit 1; }
