#!/usr/bin/env bash
# Two MMEngine runners of one second and one config name share the default scope.
#
# A runner calls itself <config name>_<date and second>, and keeps its default scope, its
# log and its message hub under that name. Here a program tests the models of two
# configs, mmdet/swin.py and mmpretrain/swin.py say, one after the other. Each sets its
# own default_scope, and both scopes have a class called Net, as those two packages do.
#
# Expected: each runner builds Net of its own scope, and writes into its own work_dir.
# Happens:  within a second, the other runner builds Net of the first one's scope, and
#           its log lines go to the first one's work_dir. Nothing says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onedl-mmengine==0.10.12 numpy==2.2.6 setuptools==80.9.0 torch==2.13.0 opencv-python-headless==4.12.0.88
cd "$folder"
venv/bin/python - <<'PYTHON' 2>log || { cat log; exit 1; }
import time
from pathlib import Path

import mmengine
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, Registry
from mmengine.runner import Runner

for scope in 'one', 'two':
    registry = Registry('model', parent=MODELS, scope=scope)

    @registry.register_module(name='Net')
    class Net(BaseModel):
        origin = scope

        def forward(self, x, mode):
            return x

    Path(scope).mkdir()
    Path(scope, 'net.py').write_text(
        f"default_scope = '{scope}'\n"
        "model = dict(type='Net')\n"
        f"work_dir = '{scope}/run'\n"
    )


def built():
    found, stamps, logs = [], set(), []
    for scope in 'one', 'two':
        runner = Runner.from_cfg(Config.fromfile(f'{scope}/net.py'))
        runner.logger.info(f'this is {scope}')
        found.append(runner.model.origin)
        stamps.add(runner.timestamp)
        logs.append(sorted(Path(runner.log_dir).glob('*.log')))
    return found, logs, len(stamps) == 1


while True:
    time.sleep(1.01)  # a name that is not taken yet
    found, logs, same = built()
    if same:
        break
print('mmengine', mmengine.__version__, 'torch', torch.__version__)
print('scopes of the two models:', found, 'log files:', [len(files) for files in logs])
print("expected: ['one', 'two'], a log file each")
assert (found, [len(files) for files in logs]) == (['one', 'one'], [1, 0]), (
    'it has changed'
)
assert 'this is two' in logs[0][0].read_text(), 'it has changed'
PYTHON
