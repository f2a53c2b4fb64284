"""Reader and executor under address and undefined-behaviour sanitizers."""

import os
import subprocess

import numpy as np
import pytest
from native_cases import extremes
from program_cases import integers
from runtime_cases import all_cases, fuzzed, written
from runtime_checks.sanitizing import ENVIRONMENT

pytestmark = pytest.mark.slow


def test_files_that_were_changed(sanitized, tmp_path):
    models = [
        written(made, tmp_path / f'{number}.iptq')
        for number, (_, made) in enumerate(fuzzed())
    ]
    made = subprocess.run(
        [sanitized / 'iptq-fuzz', '500', '1', *models],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    counts = [int(word) for word in made.stdout.split() if word.isdigit()]
    # All of them, and some of each kind.
    assert counts[0] == 500 and min(counts[1:5]) > 20, made.stdout


def test_all_programs(sanitized, tmp_path):
    env = {**os.environ, **ENVIRONMENT}
    command = sanitized / 'iptq-run'
    levels = subprocess.check_output([command, '--levels'], text=True, env=env).split()
    for name, made in all_cases():
        path = written(made, tmp_path / f'{name}.iptq')
        batches = [integers(made), extremes(made, 1)]
        paths = []
        for i, port in enumerate(zip(*batches, strict=True)):
            paths.append(tmp_path / f'{name}_{i}.npy')
            np.save(paths[-1], np.stack([x.numpy() for x in port]))
        for level in levels:
            arguments = [command, path, *paths, '--each', '--integers', '--isa', level]
            ran = subprocess.run(arguments, env=env, capture_output=True, text=True)
            assert ran.returncode == 0, (name, level, ran.stderr[-3000:])
