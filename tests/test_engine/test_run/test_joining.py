"""What the launchers say of their processes."""

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.run import joining
from iptq_mm.engine.run.joining import described, join


@pytest.mark.parametrize(
    'launcher, environment, expected',
    [
        ('pytorch', {'RANK': '1'}, {}),
        (
            'mpi',
            {
                'OMPI_COMM_WORLD_RANK': '1',
                'OMPI_COMM_WORLD_SIZE': '2',
                'OMPI_COMM_WORLD_LOCAL_RANK': '1',
                'OMPI_COMM_WORLD_LOCAL_SIZE': '2',
            },
            {
                'RANK': '1',
                'WORLD_SIZE': '2',
                'LOCAL_RANK': '1',
                'LOCAL_WORLD_SIZE': '2',
                'MASTER_ADDR': '127.0.0.1',
            },
        ),
        (  # Intel MPI on several machines: the user names the first one
            'mpi',
            {'PMI_RANK': '3', 'PMI_SIZE': '8', 'MPI_LOCALNRANKS': '4'},
            {'RANK': '3', 'WORLD_SIZE': '8', 'LOCAL_WORLD_SIZE': '4'},
        ),
        (
            'slurm',
            {
                'SLURM_PROCID': '2',
                'SLURM_NTASKS': '4',
                'SLURM_LOCALID': '0',
                'SLURM_JOB_NODELIST': 'node[07-08,12],other',
            },
            {
                'RANK': '2',
                'WORLD_SIZE': '4',
                'LOCAL_RANK': '0',
                'MASTER_ADDR': 'node07',
            },
        ),
        (
            'slurm',
            {
                'SLURM_PROCID': '0',
                'SLURM_NTASKS': '2',
                'SLURM_LOCALID': '0',
                'SLURM_NNODES': '1',
                'SLURM_JOB_NODELIST': 'alone',
                'MASTER_ADDR': 'given',
            },
            {'RANK': '0', 'WORLD_SIZE': '2', 'LOCAL_RANK': '0'},
        ),
    ],
)
def test_described(monkeypatch, launcher, environment, expected):
    monkeypatch.setattr(joining.shutil, 'which', lambda _: None)
    assert described(launcher, environment) == expected


def test_one_machine_of_slurm_needs_no_name():
    environment = {'SLURM_NNODES': '1', 'SLURM_JOB_NODELIST': 'alone'}
    assert described('slurm', environment) == {'MASTER_ADDR': '127.0.0.1'}


def test_scontrol_knows_best(monkeypatch, tmp_path):
    (tmp_path / 'scontrol').write_text('#!/bin/sh\necho first-of-$3\necho second\n')
    (tmp_path / 'scontrol').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    found = described('slurm', {'SLURM_JOB_NODELIST': 'rack'})
    assert found == {'MASTER_ADDR': 'first-of-rack'}


@pytest.mark.parametrize('launcher', ['pytorch', 'mpi', 'slurm'])
def test_a_process_that_no_launcher_started(monkeypatch, launcher):
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joining, 'get_device', lambda: 'cpu')
    with pytest.raises(ConfigError, match='did not start this process: RANK'):
        join(Config(dict(launcher=launcher)))


def test_an_unknown_launcher():
    with pytest.raises(ConfigError, match="no launcher 'ssh'"):
        join(Config(dict(launcher='ssh')))
