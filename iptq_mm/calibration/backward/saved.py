"""What autograd saves for a pass backward: in memory up to a limit, else in files."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor

from ..kept_tensors import Kept, Memory

#: Bytes of a tensor that is not worth a file.
_SMALL = 2**16


class Saved:
    """Keeps tensors from a forward pass for the pass backward.

    Between :meth:`begin` and :meth:`end`, everything that autograd saves goes through
    :meth:`keep`. The numbers are the same, wherever they lie meanwhile.

    Args:
        limit_mb: Most MiB of tensors in memory; one that is saved twice counts twice.

    Attributes:
        memory: Where they are kept.
    """

    def __init__(self, limit_mb: int) -> None:
        self.memory = Memory(limit_mb)
        self._elsewhere: set[int] = set()
        self._hooks = ExitStack()

    def never(self, tensor: Tensor) -> None:
        """Tell of a tensor that stays in memory anyway: a parameter."""
        self._elsewhere.add(tensor.untyped_storage().data_ptr())

    def begin(self) -> None:
        """From here on, what autograd saves is kept here."""
        hooks = torch.autograd.graph.saved_tensors_hooks(self.keep, Kept.read)
        self._hooks.enter_context(hooks)

    def end(self) -> None:
        """Autograd saves by itself again; what is kept can be read until it is gone."""
        self._hooks.close()

    def keep(self, tensor: Tensor) -> Kept:
        """Keep a tensor, detached, which nobody may write to from here on.

        Raises:
            OSError: If the disk is full.
        """
        small = tensor.numel() * tensor.element_size() < _SMALL
        if small or tensor.untyped_storage().data_ptr() in self._elsewhere:
            return Kept(tensor.detach(), tensor.device)
        return self.memory.keep(tensor, copy=False)
