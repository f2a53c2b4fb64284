"""The dist_ and slurm_ scripts pass on what users of mm give to theirs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / 'tools'


def launch(script, *arguments, cwd, **variables):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
    return subprocess.run(
        ['bash', TOOLS / script, *map(str, arguments)],
        env=environment | variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.mark.parametrize('tool', ['quantize', 'test'])
def test_slurm(tool, tmp_path):
    """A program called srun says what it was asked for."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    srun.chmod(0o755)
    done = launch(
        f'slurm_{tool}.sh',
        *('part', 'job', 'a config.py', 'a.pth', '--work-dir', 'a b'),
        cwd=tmp_path,
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        GPUS='16',
        SRUN_ARGS='--quotatype=auto -x node1',
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words == [
        *('-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16'),
        *('--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1'),
        *('--quotatype=auto', '-x', 'node1', sys.executable, '-u'),
        *(str(TOOLS / f'{tool}.py'), 'a config.py', 'a.pth', '--launcher=slurm'),
        *('--work-dir', 'a b'),
    ]


@pytest.mark.slow
def test_dist(vit_run, tmp_path, port):
    """Two processes on this CPU: the same plan, and the same metrics from it."""
    done = launch(
        'dist_quantize.sh',
        *(vit_run.config, vit_run.checkpoint, 2, '--work-dir', 'out'),
        cwd=tmp_path,
        PORT=port,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    plan = (tmp_path / 'out/plan.json').read_text()
    assert plan == (vit_run.folder / 'plan.json').read_text()
    done = launch(
        'dist_test.sh',
        *('out/integer.py', 'out/integer.pth', 2, '--work-dir', 'tested'),
        cwd=tmp_path,
        PORT=port,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (written,) = (tmp_path / 'tested').glob('*/*.json')
    found = json.loads(written.read_text())['accuracy/top1']
    expected = vit_run.results['integer']['accuracy/top1']
    assert np.float32(found) == np.float32(expected)
