"""Functions on several ranks, in forks of the test's own process."""

import multiprocessing
import queue
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

#: Seconds in which all ranks have to be done.
PATIENCE = 600


def on_ranks(count: int, work: Callable[[], Any]) -> list[Any]:
    """What a function returns on each of several ranks.

    Args:
        count: How many ranks there are; 1: this process, without a group.
        work: The function. What it returns can be pickled.
    """
    if count == 1:
        return [work()]
    context = multiprocessing.get_context('fork')
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / 'store'
        ranks = [
            context.Process(target=_rank, args=(rank, count, store, work, results))
            for rank in range(count)
        ]
        for rank in ranks:
            rank.start()
        try:
            found = dict(results.get(timeout=PATIENCE) for _ in ranks)
        except queue.Empty:
            raise TimeoutError('a rank does not come back') from None
        finally:
            for rank in ranks:
                rank.join(5)
                rank.kill()
    failed = [value for value in found.values() if isinstance(value, Exception)]
    if failed:
        raise failed[0]
    return [found[rank] for rank in range(count)]


def _rank(rank: int, count: int, store: Path, work: Any, results: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=count
    )
    try:
        results.put((rank, work()))
    except Exception as error:  # the parent raises it
        results.put((rank, RuntimeError(f'rank {rank}: {type(error)} {error}')))
    results.close()
    results.join_thread()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
