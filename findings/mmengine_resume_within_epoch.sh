#!/usr/bin/env bash
# MMEngine resumes the middle of an epoch at its first image.
#
# CheckpointHook(by_epoch=False) saves every few iterations, for runs that may be killed.
# Here an epoch has six batches and the run ends after three. It is resumed from the
# checkpoint of that iteration.
#
# Expected: the resumed run sees the three batches that are left.
# Happens:  it begins the epoch anew, sees the first three again and the others, and
#           counts nine iterations for six batches.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onedl-mmengine==0.10.12 numpy==2.2.6 setuptools==80.9.0 torch==2.13.0 opencv-python-headless==4.12.0.88
cd "$folder"
venv/bin/python - <<'PYTHON' 2>log || { cat log; exit 1; }
import mmengine
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

seen = []
last = 3


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, mode):
        if len(seen) == last:
            raise KeyboardInterrupt
        seen.append(int(x[0, 0]))
        return dict(loss=self.layer(x).sum())

    def train_step(self, data, optim_wrapper):
        loss = self(data, 'loss')['loss']
        optim_wrapper.update_params(loss)
        return dict(loss=loss.detach())


def run(resume):
    runner = Runner(
        Net(),
        work_dir='run',
        experiment_name='again' if resume else 'first',
        train_dataloader=dict(
            dataset=[torch.tensor([float(i)]) for i in range(6)],
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=1,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)
        ),
        resume=resume,
        log_level='ERROR',
    )
    runner.train()
    return runner.iter


try:
    run(False)
except KeyboardInterrupt:
    pass
first, seen, last = seen, [], None
iterations = run(True)
print('mmengine', mmengine.__version__, 'torch', torch.__version__)
print(f'before: batches {first}; resumed: batches {seen}, {iterations} iterations')
print('expected after resuming: batches [3, 4, 5], 6 iterations')
assert first == [0, 1, 2]
assert (seen, iterations) == ([0, 1, 2, 3, 4, 5], 9), 'it has changed'
PYTHON
