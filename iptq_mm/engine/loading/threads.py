"""The threads of a tool: chosen before it computes, and stated in its log."""

from __future__ import annotations

import torch
from mmengine.logging import print_log

from ...utils.threads import Threads, sensible_threads

_chosen: Threads | None = None


def choose_threads() -> None:
    """Let torch, and with it the native library, use a sensible number of threads.

    For tools: who calls functions of the package has set the number for the process.
    """
    global _chosen
    _chosen = sensible_threads()
    if _chosen.count != torch.get_num_threads() and not _is_chosen_by_user(_chosen):
        torch.set_num_threads(_chosen.count)


def _is_chosen_by_user(threads: Threads) -> bool:
    return threads.reason.endswith('says so')


def log_threads() -> None:
    """Log the number of threads, and why it is that."""
    count = torch.get_num_threads()
    reason = f' ({_chosen.reason})' if _chosen and _chosen.count == count else ''
    print_log(f'threads: {count}{reason}', 'current')
