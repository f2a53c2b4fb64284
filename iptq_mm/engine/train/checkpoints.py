"""Checkpoints of a training: whole files, and the newest one of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine import dist
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from ...utils.files import write_whole

#: Under this key, a checkpoint says of which run it is.
OURS = 'iptq_mm'
_PATTERNS = ('iter_*.pth', 'epoch_*.pth')


@register_backend('iptq_mm.whole', force=True)
class WholeFiles(LocalBackend):
    """mmengine's local files, but whole or not there.

    mmengine writes over the file, so that a process that is killed leaves a part of it.
    """

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        """Write a file.

        Args:
            obj: What it holds.
            filepath: Its path.

        Raises:
            OSError: If it cannot be written; what was there stays.
        """
        write_whole(filepath, lambda beside: beside.write_bytes(obj))


class Kept(NamedTuple):
    """A whole checkpoint.

    Attributes:
        iteration: How many it has behind it.
        path: Of the file.
    """

    iteration: int
    path: str


def newest_checkpoint(folder: Path, run: str) -> Kept | None:
    """The newest whole checkpoint of a run, the same in all processes.

    Args:
        folder: Where mmengine's ``CheckpointHook`` saves them.
        run: Name of the run.

    Returns:
        None if there is none.
    """
    found = [_newest(folder, run) if dist.is_main_process() else None]
    dist.broadcast_object_list(found)
    return found[0]


def checkpoints_in(folder: Path) -> list[Path]:
    """The files of mmengine's ``CheckpointHook``, of any run."""
    return [path for pattern in _PATTERNS for path in folder.glob(pattern)]


def _newest(folder: Path, run: str) -> Kept | None:
    best: Kept | None = None
    for path in checkpoints_in(folder):
        try:
            # Numbers of mmengine's message hub are numpy's.
            state: Any = torch.load(path, map_location='cpu', weights_only=False)
            mine, iteration = state[OURS]['run'] == run, int(state['meta']['iter'])
        except Exception as error:  # torch.load raises anything on damaged files
            message = str(error).partition('\n')[0]
            print_log(f'{path} is not used: {message}', 'current')
            continue
        if mine and (best is None or iteration > best.iteration):
            best = Kept(iteration, str(path))
    return best
