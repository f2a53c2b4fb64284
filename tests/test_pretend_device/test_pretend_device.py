"""Calibration and evaluation on another device than the CPU, shown without a GPU.

The device is ``pretend_device.py``: it refuses tensors of two devices in
one operation, and computes as the CPU does. Reconstruction and training are not among
the cases: their integers are of a subclass of tensors, and those of the device are of
another one. They need a GPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: Of a process that imports the device and the tiny models.
ENVIRONMENT = {
    **os.environ,
    'OMP_NUM_THREADS': '1',
    'PYTHONPATH': os.pathsep.join(
        [str(HERE), str(HERE.parent / 'support'), os.environ.get('PYTHONPATH', '')]
    ),
}
CASES = (
    'plain',
    'presets',
    'assigned ranges',
    'whole-model',
    'detector',
    'evaluation',
)


@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    """What each case says, by name."""
    command = [
        sys.executable,
        str(HERE / 'pretend_runs.py'),
        str(tmp_path_factory.mktemp('pretend')),
        *CASES,
    ]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [x for x in done.stdout.splitlines() if x.startswith('{"case"')]
    return {line['case']: line for line in map(json.loads, lines)}


@pytest.mark.parametrize('name', CASES)
def test_everything_is_where_the_model_is(ran, name):
    """The same plan, the same integers, the same outputs, to the bit."""
    line = ran[name]
    assert line['plans'] and line['weights'] and line['outputs'] and line['programs']
    assert line['count'] > 1


def test_the_device_refuses_what_a_gpu_refuses():
    program = '\n'.join(
        [
            'import torch, pretend_device',
            'with pretend_device.pretending() as device:',
            '    x = torch.zeros(3, device=device)',
            '    assert x.device.type == "pretend" and not x.is_cpu',
            '    assert (x + 1 + torch.tensor(1.0)).cpu().tolist() == [2, 2, 2]',
            '    for wrong in (lambda: x + torch.zeros(3), lambda: x.numpy()):',
            '        try:',
            '            wrong()',
            '        except (RuntimeError, TypeError) as error:',
            '            print(error)',
        ]
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'found two, pretend:0 and cpu' in done.stdout
    assert 'cannot convert pretend tensor to numpy' in done.stdout
