"""Settings of a process that measures, made before it imports torch."""

from __future__ import annotations

import os
import warnings
from pathlib import Path


def prepare_process(threads: int) -> None:
    """Threads for every runtime, a lasting cache for compilers, and no chatter.

    Args:
        threads: Of each contender.
    """
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ[name] = str(threads)
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    folder = str(Path(cache) / 'iptq_mm' / 'inductor')
    os.environ.setdefault('TORCHINDUCTOR_CACHE_DIR', folder)
    warnings.simplefilter('ignore')

    import torch
    from mmengine.logging import MMLogger

    import iptq_mm  # noqa: F401  (before mmpretrain and mmdet)

    torch.set_num_threads(threads)
    MMLogger.get_instance('benchmarks', log_level='ERROR')
