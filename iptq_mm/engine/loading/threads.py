"""The threads of a tool: chosen before it computes, and stated in its log."""

from __future__ import annotations

from dataclasses import replace

import torch
from mmengine.logging import print_log

from ...utils.threads import Threads, sensible_threads

_chosen: Threads | None = None


def choose_threads() -> Threads:
    """Let torch, and with it the native library, use a sensible number of threads.

    For tools: who calls functions of the package has set the number for the process.

    Returns:
        What torch has now.
    """
    global _chosen
    found = sensible_threads()
    if found.by_user:
        found = replace(found, count=torch.get_num_threads())
    elif found.count != torch.get_num_threads():
        torch.set_num_threads(found.count)
    _chosen = found
    return found


def log_threads() -> None:
    """Log the number of threads, and why it is that."""
    count = torch.get_num_threads()
    reason = f' ({_chosen.reason})' if _chosen and _chosen.count == count else ''
    print_log(f'threads: {count}{reason}', 'current')
