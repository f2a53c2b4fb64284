"""The processes of a run: joined, kept together, and left in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import nn

from ...registry import MODEL_WRAPPERS
from .joining import join
from .watch import Watch

#: Seconds in which the death of another process is noticed.
_NOTICED = 3.0


class OtherProcessError(RuntimeError):
    """Another process of a run failed or died, and this one ends with it."""


@contextmanager
def joined(cfg: Config, advice: str = '') -> Iterator[None]:
    """Be one of the processes of a launcher while the block runs.

    All of them leave the block together: one that ends early takes the others down,
    as launchers see it. After an error nothing is waited for; the process shall end,
    and with its connections the others.

    Args:
        cfg: The whole config; its ``launcher`` says what started the processes, and
            its model will be wrapped as :class:`Replica`.
        advice: What to do if one of them dies, for the message.

    Raises:
        OtherProcessError: If another process died while this one waited for it.
    """
    if cfg.launcher == 'none':
        yield
        return
    cfg.model_wrapper_cfg = dict(type='iptq_mm.Replica')
    mine = not dist.is_distributed()
    if mine:
        join(cfg)
    watch = Watch(advice)
    try:
        yield
        dist.barrier()
    except Exception as error:
        # An exchange with a process that is gone fails with whatever the library says.
        reason = watch.message(_NOTICED if isinstance(error, RuntimeError) else 0.0)
        if reason:
            raise OtherProcessError(reason) from error
        watch.fail(error)
        raise
    watch.leave()
    if mine:
        # Nothing may hold the group then: its threads end with its last reference,
        # and one that runs when the interpreter is gone aborts the process.
        gc.collect()
        torch.distributed.destroy_process_group()


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
