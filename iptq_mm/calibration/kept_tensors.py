"""Tensors that are kept in memory up to a limit, and beyond it in temporary files."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np
import torch
from torch import Tensor


class Memory:
    """The memory that kept tensors share.

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

    def keep(self, tensor: Tensor, copy: bool = True) -> Kept:
        """Keep a tensor.

        Args:
            tensor: The tensor.
            copy: Whether a contiguous copy on the CPU is kept; else the tensor itself,
                which nobody may write to from here on.

        Raises:
            OSError: If the disk is full.
        """
        tensor = tensor.detach().contiguous() if copy else tensor.detach()
        size = tensor.numel() * tensor.element_size()
        if self.used + size <= self._limit or not size:
            numbers = tensor.to('cpu', copy=True) if copy else tensor
            kept = Kept(numbers, tensor.device)
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
        numbers: Its numbers.
        device: Where it came from.
    """

    def __init__(self, numbers: Tensor, device: torch.device) -> None:
        self._numbers, self._device = numbers, device

    def read(self) -> Tensor:
        """The tensor, on its device. Nobody may write to it."""
        return self._numbers.to(self._device)


def _on_disk(tensor: Tensor) -> Tensor:
    """A copy of a tensor whose memory is a file without a name.

    Its dimensions lie in the same order, on which float sums over it depend. The file
    has no other owner than the memory map: it goes with the tensor. Its pages are in
    memory when they are read.
    """
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    dense = tensor.permute(order).cpu().resolve_conj().resolve_neg().contiguous()
    numbers = dense.view(-1).view(torch.uint8).numpy()  # numpy has no bfloat16
    with tempfile.TemporaryFile() as file:
        try:  # a map of a file that the disk cannot hold would end the process
            file.write(numbers.data)
            file.flush()
        except OSError as error:
            raise OSError(
                f'{error}: {numbers.nbytes / 2**20:.0f} MiB of activations do not fit '
                f'into {tempfile.gettempdir()}; give TMPDIR a folder with more space, '
                'or raise quantization.calibration.gradient_memory_mb or '
                'quantization.reconstruction.memory_limit_mb'
            ) from error
        mapped = torch.from_numpy(np.memmap(file, np.uint8, 'c', shape=numbers.shape))
    back = [order.index(dim) for dim in range(tensor.dim())]
    return mapped.view(tensor.dtype).view(dense.shape).permute(back)
