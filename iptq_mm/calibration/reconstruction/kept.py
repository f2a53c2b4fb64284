"""Tensors that are kept in memory up to a limit, and beyond it in temporary files."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np
import torch
from torch import Tensor


class Memory:
    """The memory that the kept tensors of a reconstruction share.

    Args:
        limit_mb: Most MiB of tensors in memory; what does not fit lies on the disk.

    Attributes:
        used: Bytes in memory now.
        peak: Most bytes in memory so far.
        spilled: Bytes that were written to the disk so far.
    """

    def __init__(self, limit_mb: int) -> None:
        self._limit = limit_mb * 2**20
        self.used = self.peak = self.spilled = 0

    def keep(self, tensor: Tensor) -> Kept:
        """Keep a copy of a tensor, on the CPU."""
        tensor = tensor.detach()
        size = tensor.numel() * tensor.element_size()
        if self.used + size <= self._limit or not size:
            kept = Kept(tensor.to('cpu', copy=True).contiguous(), tensor.device)
            self.used += size
            self.peak = max(self.peak, self.used)
            weakref.finalize(kept, self._release, size)
            return kept
        self.spilled += size
        return Kept(_on_disk(tensor), tensor.device)

    def _release(self, size: int) -> None:
        self.used -= size


class Kept:
    """A kept tensor; it is gone with this object.

    Args:
        numbers: Its numbers, on the CPU.
        device: Where it came from.
    """

    def __init__(self, numbers: Tensor, device: torch.device) -> None:
        self._numbers, self._device = numbers, device

    def read(self) -> Tensor:
        """The tensor, on its device. Nobody may write to it."""
        return self._numbers.to(self._device)


def _on_disk(tensor: Tensor) -> Tensor:
    """A copy of a tensor whose memory is a file without a name.

    The file has no other owner than the memory map: it goes with the tensor.
    """
    numbers = tensor.cpu().contiguous().numpy()
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, numbers.dtype, 'w+', shape=numbers.shape or (1,))
    mapped[...] = numbers
    return torch.from_numpy(mapped).view(tensor.shape)
