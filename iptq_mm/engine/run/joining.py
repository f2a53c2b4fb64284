"""How the processes of a launcher find one another."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.utils.dl_utils import set_multi_processing

from ...calibration import ConfigError

_LAUNCHERS = ('pytorch', 'slurm', 'mpi')
#: How long a process waits for another one, which may be evaluating metrics. Those that
#: died are noticed otherwise, see :mod:`.watch`.
_PATIENCE = datetime.timedelta(days=2)
#: Variables of the launchers: number of a process, how many there are, and both on
#: this machine. Open MPI has its own, MPICH and Intel MPI those of PMI.
_MPI = (
    ('OMPI_COMM_WORLD_RANK', 'PMI_RANK', 'PMIX_RANK'),
    ('OMPI_COMM_WORLD_SIZE', 'PMI_SIZE'),
    ('OMPI_COMM_WORLD_LOCAL_RANK', 'MPI_LOCALRANKID'),
    ('OMPI_COMM_WORLD_LOCAL_SIZE', 'MPI_LOCALNRANKS'),
)
_SLURM = (
    ('SLURM_PROCID',),
    ('SLURM_NTASKS',),
    ('SLURM_LOCALID',),
    ('SLURM_NTASKS_PER_NODE',),
)
_NAMES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE')
_PORT = '29500'


def join(cfg: Config) -> None:
    """Join the process group of the launcher.

    Without a GPU, mmengine's own way fails for two of the three launchers.

    Args:
        cfg: Has ``launcher`` and ``env_cfg``.

    Raises:
        ConfigError: If there is no such launcher, or it did not start this process.
    """
    if cfg.launcher not in _LAUNCHERS:
        raise ConfigError(
            f"there is no launcher '{cfg.launcher}': "
            f'use {", ".join(_LAUNCHERS)} or none'
        )
    settings = cfg.get('env_cfg') or {}
    options = dict(settings.get('dist_cfg') or {})
    if get_device() != 'cpu':
        set_multi_processing(**(settings.get('mp_cfg') or {}), distributed=True)
        dist.init_dist(cfg.launcher, **options)
        return
    os.environ.update(described(cfg.launcher, os.environ))
    missing = [name for name in (*_NAMES[:2], 'MASTER_ADDR') if name not in os.environ]
    if missing:
        raise ConfigError(
            f"launcher='{cfg.launcher}' did not start this process: "
            f'{", ".join(missing)} missing in the environment'
        )
    os.environ.setdefault('MASTER_PORT', _PORT)
    seconds = options.get('timeout')
    patience = datetime.timedelta(seconds=seconds) if seconds else _PATIENCE
    torch.distributed.init_process_group('gloo', timeout=patience)


def described(launcher: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What torch wants to know of a process, in the names of ``torchrun``.

    Args:
        launcher: Of the process.
        environment: The variables that it set.

    Returns:
        Those that are missing.
    """
    if launcher == 'pytorch':
        return {}
    tables = {'mpi': _MPI, 'slurm': _SLURM}[launcher]
    found: dict[str, str] = {}
    for name, sources in zip(_NAMES, tables, strict=True):
        value = next((environment[s] for s in sources if environment.get(s)), None)
        if value is not None:
            found[name] = value
    if 'MASTER_ADDR' not in environment:
        address = _first_machine(launcher, environment, found)
        if address:
            found['MASTER_ADDR'] = address
    return found


def _first_machine(
    launcher: str, environment: Mapping[str, str], found: Mapping[str, Any]
) -> str:
    """The machine of the first process; ``''`` if the launcher does not say."""
    if launcher == 'mpi':
        alone = found.get('LOCAL_WORLD_SIZE') == found.get('WORLD_SIZE')
        return '127.0.0.1' if alone and found.get('WORLD_SIZE') else ''
    nodes = environment.get('SLURM_JOB_NODELIST') or environment.get('SLURM_NODELIST')
    if environment.get('SLURM_NNODES', environment.get('SLURM_JOB_NUM_NODES')) == '1':
        return '127.0.0.1'
    if nodes and shutil.which('scontrol'):
        command = ['scontrol', 'show', 'hostnames', nodes]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        return said.stdout.partition('\n')[0]
    # One name, or several: node[3-5,9],other.
    match = re.match(r'([^,\[]+)(?:\[(\d+))?', nodes or '')
    return match[1] + (match[2] or '') if match else ''
