"""The processes of a run: joined, kept together, and left in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn

from ...calibration import ConfigError
from ...registry import MODEL_WRAPPERS

_LAUNCHERS = ('pytorch', 'slurm', 'mpi')


class OtherProcessError(RuntimeError):
    """The first process of a run failed, and the others end with it."""


@contextmanager
def joined(cfg: Config) -> Iterator[None]:
    """Be one of the processes of a launcher while the block runs.

    All of them leave the block together: one that ends early takes the others down,
    as launchers see it. After an error nothing is waited for; the process shall end,
    and with its connections the others.

    Args:
        cfg: The whole config; its ``launcher`` says what started the processes, and
            its model will be wrapped as :class:`Replica`.
    """
    if cfg.launcher == 'none':
        yield
        return
    cfg.model_wrapper_cfg = dict(type='iptq_mm.Replica')
    mine = not dist.is_distributed()
    if mine:
        _join(cfg)
    yield
    dist.barrier()
    if mine:
        # Nothing may hold the group then: its threads end with its last reference,
        # and one that runs when the interpreter is gone aborts the process.
        gc.collect()
        torch.distributed.destroy_process_group()


def _join(cfg: Config) -> None:
    """Join the process group, as mmengine's runner does, which wants GPUs."""
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        torch.distributed.init_process_group('gloo')
        return
    if cfg.launcher not in _LAUNCHERS:
        raise ConfigError(
            f"there is no launcher '{cfg.launcher}': "
            f'use {", ".join(_LAUNCHERS)} or none'
        )
    settings = cfg.get('env_cfg') or {}
    set_multi_processing(**(settings.get('mp_cfg') or {}), distributed=True)
    dist.init_dist(cfg.launcher, **(settings.get('dist_cfg') or {}))


def by_first(work: Callable[[], Any]) -> None:
    """Let the first process do something, while the others wait for it.

    Raises:
        OtherProcessError: In the others, if it fails in the first.
    """
    failed: Exception | None = None
    if dist.is_main_process():
        try:
            work()
        except Exception as error:  # is raised below, when the others know
            failed = error
    said = [failed and f'{type(failed).__name__}: {failed}']
    dist.broadcast_object_list(said)
    if failed is not None:
        raise failed
    if said[0]:
        raise OtherProcessError(f'the first process of the run failed: {said[0]}')


@MODEL_WRAPPERS.register_module()
class Replica(nn.Module):
    """A model that each process has for itself, since nothing is trained.

    It stands where mmengine wants a wrapper. ``DistributedDataParallel`` would make
    buffers for gradients, refuse SyncBN on CPUs, and hold the process group for good.

    Args:
        module: The model. SyncBN layers become the usual ones, as mmengine does it in
            a run of one process.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        before = [type(m) for m in module.modules()]
        self.module = revert_sync_batchnorm(module)
        if before != [type(m) for m in self.module.modules()]:
            print_log(
                'SyncBatchNorm layers become BatchNorm layers, as in a run of one '
                'process: nothing is trained',
                'current',
            )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        return self.module(*args, **kwargs)

    def test_step(self, data: Any) -> Any:
        """Predict for a batch, as mmengine's loops ask for it."""
        return self.module.test_step(data)
